"""Background jobs in tests: deferred to the real tables and run by a real worker, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from usage_dashboard.worker import connector


@contextmanager
def no_schedule() -> Iterator[None]:
    """Keep the workers of this process from deferring periodic jobs, so that a test only meets its own jobs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(app.periodic_defaults, "max_delay", -1)
        yield


def run_jobs() -> None:
    """Run the waiting jobs, and return."""
    with no_schedule(), app.replace_connector(connector()):
        app.run_worker(wait=False, install_signal_handlers=False, listen_notify=False, delete_jobs="successful")


def hear_of_a_worker(seconds_ago: float = 0) -> None:
    """Store a heartbeat of a worker, dated ``seconds_ago``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - %s * interval '1 second')",
            [seconds_ago],
        )


def forget_jobs() -> None:
    """Delete all jobs. Their tables do not belong to Django, so the end of a test does not empty them."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")


def jobs(**of: Any) -> list[ProcrastinateJob]:
    """The jobs in the tables, oldest first."""
    return list(ProcrastinateJob.objects.filter(**of).order_by("id"))
