"""Background jobs in tests: deferred to the real tables and run by a real worker, in this process."""

from typing import Any

from django.db import connection
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from usage_dashboard.worker import connector


def run_jobs() -> None:
    """Run what waits, and end. Periodic jobs that are due by the clock are deferred too, and may be run."""
    with app.replace_connector(connector()):
        app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False, delete_jobs="successful")


def hear_of_a_worker(seconds_ago: float = 0) -> None:
    """As if a worker had said so long ago that it lives."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - %s * interval '1 second')",
            [seconds_ago],
        )


def forget_jobs() -> None:
    """Their tables are not Django's own, so that the end of a test does not empty them."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")


def jobs(**of: Any) -> list[ProcrastinateJob]:
    """Those that are in the tables, oldest first."""
    return list(ProcrastinateJob.objects.filter(**of).order_by("id"))
