"""``manage.py distribute``: spread the ledger over a Citus cluster."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ledger import citus
from ledger.management.options import can_be_run_again


class Command(BaseCommand):
    help = "Turns a database with the Citus extension into a cluster. Run again, it does what is left."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="print the statements and change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    @can_be_run_again()
    def handle(self, *, dry_run: bool, yes: bool, **options: Any) -> None:
        try:
            steps = citus.plan()
        except citus.NotAClusterError as error:
            raise CommandError(str(error)) from None
        if dry_run:
            for step in steps:
                self.stdout.write(f"-- {step.purpose}\n{step.sql};")
            return
        if not yes and not self._agrees():
            raise CommandError("Nothing was changed.")
        for step in steps:
            self.stdout.write(f"{step.purpose} …")
            citus.run(step)
        self.stdout.write("The ledger lies on the cluster.")

    def _agrees(self) -> bool:
        self.stdout.write("Have all processes of the dashboard, the workers too, been stopped, and is there a backup?")
        return input("Their tables are locked while rows move. Type yes to go on: ").strip().lower() == "yes"
