"""``manage.py reconcile``: compare sums with events, and repair the sums on request."""

import sys
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand

from ledger.management.options import can_be_run_again, day, organizations_named
from ledger.upkeep.reconciliation import Drift, reconcile


class Command(BaseCommand):
    help = (
        "Compares rollups and sessions with the events, day by day and organization by organization, while recording "
        "goes on. Reports what differs; --repair makes it right. Days whose events are gone are left as they are. The "
        "exit code is 1 if something is wrong and stays so."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organization", metavar="SLUG", help="only this one")
        parser.add_argument("--from", dest="first", type=day, metavar="DATE", help="first local day")
        parser.add_argument("--to", dest="last", type=day, metavar="DATE", help="last local day")
        parser.add_argument("--repair", action="store_true", help="make sums what the events say")

    @can_be_run_again()
    def handle(
        self, *, organization: str | None, first: date | None, last: date | None, repair: bool, **_: Any
    ) -> None:
        result = reconcile(organizations_named(organization), first, last, repair=repair, told=self._tell)
        repaired = f", {result.repaired} repaired" if repair else ""
        self.stdout.write(f"{result.compared} days compared, {result.drifted} drifted{repaired}.")
        if result.unrepaired:
            sys.exit(1)

    def _tell(self, drift: Drift) -> None:
        self.stdout.write(self.style.WARNING(str(drift)))
