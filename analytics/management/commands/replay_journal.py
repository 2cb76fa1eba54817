"""``manage.py replay_journal``: brings into the ledger what ended processes left, as the worker does
every minute."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics.replay import replay_journals, replay_refused


class Command(BaseCommand):
    help = "Record what processes left in their journals: calls that could not be written, and calls that were cut off."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--refused", action="store_true", help="try once more, too, the calls that were set aside in refused.jsonl"
        )

    def handle(self, *, refused: bool, **_: object) -> None:
        found = replay_journals()
        self.stdout.write(
            f"Replayed {found.files} journals: {found.ended} calls that had ended, {found.interrupted} that were "
            f"interrupted, {found.torn} torn lines passed over."
        )
        kept = 0
        if refused:
            recorded, kept = replay_refused()
            self.stdout.write(f"Of the calls that were set aside {recorded} are recorded now.")
        if found.waiting:
            raise CommandError(f"{found.waiting} journals wait: the database takes no calls now. Nothing is lost.")
        if kept:
            raise CommandError(f"{kept} calls are set aside still; refused.jsonl and the log above say why.")
