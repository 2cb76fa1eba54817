"""``manage.py replay_journal``: record the calls in journals of ended processes, as the worker does every minute."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ledger.journal.replay import replay_dead_letters, replay_journals
from ledger.management.options import can_be_run_again
from ledger.wording import counted


class Command(BaseCommand):
    help = "Record what processes left in their journals: calls that could not be written, and calls that were cut off."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dead-letters", action="store_true", help="try the calls of dead_letters.jsonl once more, too"
        )

    @can_be_run_again()
    def handle(self, *, dead_letters: bool, **_: object) -> None:
        found = replay_journals()
        self.stdout.write(
            f"Replayed {found.files} journals: {found.ended} calls that had ended, {found.interrupted} that were "
            f"interrupted, {found.torn} torn lines passed over."
        )
        kept = 0
        if dead_letters:
            recorded, kept = replay_dead_letters()
            self.stdout.write(f"Of the dead letters {recorded} are recorded now.")
        if found.waiting:
            raise CommandError(
                f"{counted(found.waiting, 'journal')} left: the database takes no calls now. Nothing is lost."
            )
        if kept:
            what = counted(kept, "call")
            raise CommandError(f"Still dead letters: {what}. dead_letters.jsonl and the log above say why.")
