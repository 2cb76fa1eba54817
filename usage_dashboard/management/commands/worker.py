"""``manage.py worker``: runs deferred and periodic jobs. One worker is enough; several workers share the jobs."""

from django.core.management.base import BaseCommand

from usage_dashboard import worker


class Command(BaseCommand):
    help = "Run background jobs until SIGTERM or Ctrl-C, which lets the current ones finish."
    requires_system_checks = ()

    def handle(self, **_: object) -> None:
        self.stdout.write("The worker runs. Ctrl-C ends it.")
        self.stdout.flush()
        worker.run()
