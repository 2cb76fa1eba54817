"""The worker: real jobs in the real tables, run in this process or by ``manage.py worker``."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection as of_django
from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from accounts.day_changes import CHANGE_DAYS, days_are_changing, defer_change_of_days
from accounts.models import Organization
from ledger import tasks
from ledger.models import Rollup, Tail, UsageEvent
from ledger.recording.record import record
from tests.jobs import forget_jobs, jobs, no_schedule, run_jobs
from tests.ledger.calls import NOON, call
from tests.running_demo import wait_until
from tests.served import database_url
from usage_dashboard.worker import connector

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def no_jobs(transactional_db: None) -> Iterator[None]:
    forget_jobs()
    yield
    forget_jobs()


@pytest.fixture
def expired(acme: Organization) -> Organization:
    """An organization with an expired request."""
    Organization.objects.filter(pk=acme.pk).update(retention_days=1)
    record([call(organization=acme.slug, at=NOON - timedelta(days=1_000))])
    return acme


@pytest.fixture
def worker() -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """A function that starts ``manage.py worker`` on the test database. Workers that are left are killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [sys.executable, "manage.py", "worker"],
                cwd=ROOT,
                env=os.environ | {"DATABASE_URL": database_url()},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def heartbeat_is_there() -> bool:
    return tasks.last_heartbeat() is not None


def test_a_deferred_job_runs_once_and_is_gone(expired: Organization) -> None:
    tasks.delete_expired.defer(timestamp=0)
    since = tasks.waiting_since()
    assert since is not None
    assert timezone.now() - since < timedelta(minutes=1)
    run_jobs()
    assert not UsageEvent.objects.exists()
    assert jobs(task_name="delete_expired") == []
    assert tasks.waiting_since() is None


def test_one_of_a_kind_waits_at_most(expired: Organization) -> None:
    tasks.delete_expired.defer(timestamp=0)
    with pytest.raises(AlreadyEnqueued):
        tasks.delete_expired.defer(timestamp=1)


def test_everything_comes_round(expired: Organization) -> None:
    kinds = {name for name, _ in app.periodic_registry.periodic_tasks}
    assert kinds == {
        "replay_journals", "fold", "fill_gaps", "reconcile", "delete_expired", "rescue_jobs", "purge_jobs",
        "forget_attempts", "scheduled_exports",
    }  # fmt: skip


def test_the_worker_folds_what_ended_processes_left(acme: Organization) -> None:
    record([call(organization=acme.slug)])
    tasks.fold.defer(timestamp=0)
    run_jobs()
    assert not Tail.objects.exists()
    assert Rollup.objects.filter(cube=12).get().requests == 1


def test_sigterm_lets_the_current_job_finish(
    expired: Organization,
    worker: Callable[[], "subprocess.Popen[str]"],
    connection: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    with connection.transaction():
        connection.execute("SELECT FROM accounts_organization WHERE id = %s FOR SHARE", [expired.pk])
        pk = tasks.delete_expired.defer(timestamp=0)
        process = worker()
        wait_until(lambda: bool(jobs(pk=pk, status="doing")), 30)
        assert heartbeat_is_there()
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None, "the job goes on"
        assert UsageEvent.objects.exists()
    assert process.wait(20) == 0
    assert not UsageEvent.objects.exists()
    assert jobs(pk=pk) == []
    assert jobs(status="doing") == []
    assert not heartbeat_is_there()


async def _stop_within(connection: "psycopg.Connection[tuple[object, ...]]", grace: float) -> None:
    """Run a worker, and tell it to end while a job waits for a lock. The lock is released after the given time."""
    running = "SELECT FROM procrastinate_jobs WHERE task_name = 'delete_expired' AND status = 'doing'"
    with no_schedule(), app.replace_connector(connector()):
        async with app.open_async():
            options: Any = {"install_signal_handlers": False, "shutdown_graceful_timeout": grace}
            work = asyncio.create_task(app.run_worker_async(**options))
            while connection.execute(running).fetchone() is None:
                await asyncio.sleep(0.05)
            work.cancel()
            await asyncio.sleep(5 * grace)
            connection.rollback()
            with suppress(asyncio.CancelledError):
                await work


def test_a_long_job_stops_between_batches(
    expired: Organization, connection: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    connection.autocommit = False
    tasks.delete_expired.defer(timestamp=0)
    connection.execute("SELECT FROM accounts_organization WHERE id = %s FOR SHARE", [expired.pk])
    asyncio.run(_stop_within(connection, 0.1))
    assert UsageEvent.objects.exists()
    assert jobs(status="doing") == []
    with suppress(AlreadyEnqueued):
        tasks.delete_expired.defer(timestamp=1)
    run_jobs()
    assert not UsageEvent.objects.exists()


@pytest.mark.parametrize("another_waits", [False, True])
def test_a_killed_workers_job_is_given_to_another(
    another_waits: bool,
    expired: Organization,
    worker: Callable[[], "subprocess.Popen[str]"],
    connection: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    with connection.transaction():
        connection.execute("SELECT FROM accounts_organization WHERE id = %s FOR SHARE", [expired.pk])
        tasks.delete_expired.defer(timestamp=0)
        process = worker()
        wait_until(lambda: bool(jobs(task_name="delete_expired", status="doing")), 30)
        process.kill()
        process.wait()
        if another_waits:
            with suppress(AlreadyEnqueued):
                tasks.delete_expired.defer(timestamp=1)
    with of_django.cursor() as cursor:  # as if a minute had passed
        cursor.execute("UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 minute'")
    with suppress(AlreadyEnqueued):
        tasks.rescue_jobs.defer(timestamp=0)
    run_jobs()
    assert not UsageEvent.objects.exists()
    assert jobs(task_name="delete_expired") == []


def test_a_worker_outlives_its_connections(
    expired: Organization, worker: Callable[[], "subprocess.Popen[str]"], acme: Organization
) -> None:
    process = worker()
    wait_until(heartbeat_is_there, 30)
    wait_until(lambda: not jobs(status="doing"), 30)
    with of_django.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'usage-worker' AND datname = current_database()"
        )
        assert cursor.rowcount > 0
    with suppress(AlreadyEnqueued):
        tasks.delete_expired.defer(timestamp=0)
    wait_until(lambda: not UsageEvent.objects.exists(), 30)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


# A change of the time zone


def test_a_change_of_zone_defers_a_rebuild_in_its_own_transaction(acme: Organization) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        acme.time_zone = "Asia/Tokyo"
        acme.save()
        assert days_are_changing(acme.pk)
        raise RuntimeError
    assert not days_are_changing(acme.pk)
    acme.save()
    assert [job.args for job in jobs(task_name=CHANGE_DAYS)] == [{"organization_id": acme.pk}] * 2


def test_rebuilds_of_one_organization_take_turns(acme: Organization, globex: Organization) -> None:
    for organization in (acme, globex):
        defer_change_of_days(organization.pk)
    first, second, other, _ = jobs(task_name=CHANGE_DAYS)
    assert first.lock == second.lock != other.lock


def test_other_changes_rebuild_nothing(acme: Organization) -> None:
    acme.name = "Acme Inc."
    acme.save()
    assert jobs(task_name=CHANGE_DAYS) == []
