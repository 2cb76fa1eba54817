"""``manage.py fold``: move the tail into the sums, as each process that records does every second."""

import time

from django.core.management.base import BaseCommand, CommandError, CommandParser
from psycopg.errors import LockNotAvailable

from ledger.management.options import can_be_run_again
from ledger.recording.folding import fold_tail
from ledger.rollups import tail_state
from ledger.rollups.fold import WAIT_SECONDS, Folded
from ledger.wording import counted


class Command(BaseCommand):
    help = (
        "Move the events that are not in the sums yet into them. Processes that record do this by themselves within a "
        "second; use this command if health says that they do not. Pages are right either way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wait", action="store_true", help=f"wait up to {WAIT_SECONDS} seconds for others who change sums now"
        )

    @can_be_run_again()
    def handle(self, *, wait: bool, **_: object) -> None:
        self.stdout.write(f"Before: {tail_state.look()}")
        start = time.monotonic()
        folded = self._fold(wait)
        self.stdout.write(f"Moved {counted(folded.events, 'event')} in {time.monotonic() - start:.1f} seconds.")
        self.stdout.write(f"After: {tail_state.look()}")
        if not folded.is_whole:
            raise CommandError(
                f"Somebody else changes sums now: {tail_state.holder() or 'who has just ended'}. Use --wait, or run the"
                " command again. If it hangs, end it with SELECT pg_terminate_backend(…); nothing is lost by that."
            )

    def _fold(self, wait: bool) -> Folded:
        try:
            return fold_tail(wait=wait)
        except LockNotAvailable:
            return Folded(0, is_whole=False)
