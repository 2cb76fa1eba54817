"""``manage.py health``: show whether the ledger can be trusted at this moment. Exit code 1 if a finding is red.

``--only worker`` looks at one finding alone and wants it to be ok, as the health check of a container does.
"""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from ledger.health import Level, examine, worst


class Command(BaseCommand):
    help = "Say whether the database, the journal and the sums are as they should be."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--only", metavar="NAME", help="look at this finding alone; exit code 1 unless it is ok")

    def handle(self, *, only: str | None, **_: object) -> None:
        styles = {Level.OK: self.style.SUCCESS, Level.WARNING: self.style.WARNING, Level.RED: self.style.ERROR}
        findings = [finding for finding in examine() if only in (None, finding.name)]
        for finding in findings:
            word = styles[finding.level](finding.level.name.lower().ljust(7))
            self.stdout.write(f"{word}  {finding.name}: {finding.text} {finding.hint}".rstrip())
        if not findings:
            raise CommandError(f"Nothing is found of {only!r}. Without --only, all findings are shown by their names.")
        if worst(findings) >= (Level.RED if only is None else Level.WARNING):
            raise CommandError("Something needs a hand.")
