"""``manage.py recount``: raise the counters for metrics to the events that are there."""

from django.core.management.base import BaseCommand

from ledger.management.options import can_be_run_again
from ledger.upkeep.recount import recount


class Command(BaseCommand):
    help = (
        "Raise the counters at /metrics to the requests that are there in detail. Use it once after an upgrade from a "
        "release that had no metrics, so that they begin with the past. It reads every request, and lowers no counter."
    )

    @can_be_run_again()
    def handle(self, **_: object) -> None:
        recount()
        self.stdout.write("The counters have every request that is there in detail.")
