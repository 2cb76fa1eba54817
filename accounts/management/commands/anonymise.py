"""``manage.py anonymise USERNAME``: makes a person anonymous, as the button on the member's page does."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.anonymising import anonymise
from accounts.models import User


class Command(BaseCommand):
    help = "Makes a person anonymous for good. All totals stay; the worker clears the texts of past requests."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="What the person signs in as; the Django admin lists it for everybody.")

    def handle(self, username: str, **_: Any) -> None:
        person = User.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"Nobody has the username {username}.")
        try:
            now = anonymise(person, by=None)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"This is {now.handle} from now on. The worker clears the texts of past requests.")
