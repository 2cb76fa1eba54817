"""``manage.py remove_second_factors USERNAME``: for the last Super Admin, whom nobody else can help."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from accounts.second_factor.factors import remove_all


class Command(BaseCommand):
    help = "Removes all second factors of a person who has lost them, and signs the person out everywhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="What the person signs in as.")

    def handle(self, username: str, **_: Any) -> None:
        person = User.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"Nobody signs in as {username}.")
        if not remove_all(person, by=None):
            raise CommandError(f"{username} has no second factor.")
        self.stdout.write(f"{username} signs in with the password alone now.")
