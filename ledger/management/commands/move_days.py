"""``manage.py move_days``: move an organization's events to the days of its present time zone."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand

from ledger.management.options import can_be_run_again, organizations_named
from ledger.upkeep.day_moves import change_days


class Command(BaseCommand):
    help = (
        "Moves the events of an organization to the days and hours of its present time zone, and their sums with them. "
        "Run it after a change of the zone. It can be broken off and started again; recording goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organization", metavar="SLUG", required=True)

    @can_be_run_again()
    def handle(self, *, organization: str, **_: Any) -> None:
        for one in organizations_named(organization) or ():
            moved = change_days(one.pk, self._tell)
            self.stdout.write(f"Moved {moved:,} events to the days of {one.time_zone}.")

    def _tell(self, day: date, moved: int) -> None:
        if moved:
            self.stdout.write(f"{day}: {moved:,}")
