"""``manage.py make_exports``: make the scheduled exports that are due now, as the worker does every five minutes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Make the scheduled exports of all periods that are over. Finished ones are left as they are."

    def handle(self, *args: Any, **options: Any) -> None:
        from analytics.models import ExportRun
        from analytics.scheduled.run import make_due

        make_due()
        unfinished = ExportRun.objects.filter(finished_at=None).count()
        if unfinished:
            raise CommandError(f"Unfinished: {unfinished}. The page Exports of the organization says why.")
        self.stdout.write("All exports of periods that are over are finished.")
