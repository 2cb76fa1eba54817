"""``manage.py health``: show whether the ledger can be trusted at this moment. Exit code 1 if a finding is red."""

from django.core.management.base import BaseCommand, CommandError

from ledger.health import Level, examine, worst


class Command(BaseCommand):
    help = "Say whether the database, the journal and the sums are as they should be."
    requires_system_checks = ()

    def handle(self, **_: object) -> None:
        styles = {Level.OK: self.style.SUCCESS, Level.WARNING: self.style.WARNING, Level.RED: self.style.ERROR}
        findings = examine()
        for finding in findings:
            word = styles[finding.level](finding.level.name.lower().ljust(7))
            self.stdout.write(f"{word}  {finding.name}: {finding.text} {finding.hint}".rstrip())
        if worst(findings) == Level.RED:
            raise CommandError("Something needs a hand.")
