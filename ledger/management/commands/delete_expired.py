"""``manage.py delete_expired``: delete expired requests now, as the worker does every night."""

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Organization
from ledger.management.options import can_be_run_again, organizations_named
from ledger.upkeep.retention import count_expired, delete_expired, first_kept_day


class Command(BaseCommand):
    help = "Delete the requests that organizations keep no longer; sums stay. A signal ends it between batches."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", metavar="SLUG", help="only this one")
        parser.add_argument("--dry-run", action="store_true", help="only count")

    @can_be_run_again()
    def handle(self, *, organization: str | None, dry_run: bool, **_: Any) -> None:
        self._is_told = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for one in organizations_named(organization) or Organization.objects.order_by("slug"):
            before = first_kept_day(one)
            if before is None:
                self.stdout.write(f"{one.slug}: keeps all requests")
            elif dry_run:
                self.stdout.write(f"{one.slug}: {count_expired(one.pk, before):,} requests before {before} to delete")
            else:
                deleted = delete_expired(one.pk, before, should_stop=lambda: self._is_told)
                self.stdout.write(f"{one.slug}: {deleted:,} requests before {before} deleted")
            if self._is_told:
                raise CommandError("Stopped. What is left is deleted the next time.")

    def _stop(self, *_: object) -> None:
        self._is_told = True
