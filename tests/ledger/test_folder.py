"""The folder: what a process records is in the sums soon after, and nobody waits for that."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection as of_django

from accounts.models import Organization
from groq_client import background
from ledger.models import Tail, UsageEvent
from ledger.recording import folder as of_folder
from ledger.recording.folding import fold_tail
from ledger.recording.record import record
from ledger.rollups import fold
from ledger.rollups.fold import Folded
from tests.ledger.calls import call
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import WatchedFolder
from tests.running_demo import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parent.parent.parent


def is_folded() -> bool:
    return not Tail.objects.exists()


@pytest.fixture
def held(connection: "psycopg.Connection[tuple[object, ...]]") -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """Another transaction that changes sums."""
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [fold.LOCK])
    yield connection
    connection.rollback()


def test_what_is_recorded_is_in_the_sums_soon(acme: Organization, folder: WatchedFolder) -> None:
    for _ in range(3):
        record([call(organization="acme", session_id="s")])
        wait_until(is_folded, 20)
    assert wrong_sums() == []


def test_many_events_are_not_waited_with(
    acme: Organization, folder: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_folder, "AGE_SECONDS", 3600)
    monkeypatch.setattr(of_folder, "MANY", 10)
    folds: list[Folded] = []
    monkeypatch.setattr(of_folder, "fold_tail", lambda: folds.append(fold_tail()) or folds[-1])
    record([call(organization="acme") for _ in range(9)])
    time.sleep(0.3)
    assert folds == []
    record([call(organization="acme")])
    wait_until(is_folded, 20)


def test_nobody_looks_while_nothing_is_recorded(
    acme: Organization, folder: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    record([call(organization="acme")])
    wait_until(lambda: folder.is_idle, 20)
    monkeypatch.setattr(folder, "_let_events_gather", lambda: 1 / 0)
    monkeypatch.setattr(folder, "_fold", lambda: 1 / 0)
    time.sleep(0.3)
    assert folder.is_idle
    assert is_folded()


def test_while_another_changes_sums_recording_goes_on_and_the_folder_tries_again(
    acme: Organization, folder: WatchedFolder, held: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    for _ in range(5):
        record([call(organization="acme")])
        time.sleep(0.05)
    assert UsageEvent.objects.count() == 5
    assert not folder.is_idle
    assert not is_folded()
    held.rollback()
    wait_until(is_folded, 20)
    assert wrong_sums() == []


def test_a_fold_that_fails_is_told_once_and_tried_again(
    acme: Organization, folder: WatchedFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [psycopg.OperationalError("the server is away")] * 3 + [ValueError("odd")] * 2
    real = fold_tail

    def fail() -> fold.Folded:
        if failures:
            raise failures.pop(0)
        return real()

    monkeypatch.setattr(of_folder, "fold_tail", fail)
    with caplog.at_level(logging.WARNING, "usage.recording"):
        record([call(organization="acme")])
        wait_until(is_folded, 20)
    told = [line.getMessage() for line in caplog.records if "The tail cannot be folded now" in line.getMessage()]
    assert [line.rpartition(": ")[2] for line in told] == ["the server is away", "odd"]
    assert wrong_sums() == []


def test_a_lost_connection_is_replaced(acme: Organization, folder: WatchedFolder) -> None:
    record([call(organization="acme")])
    wait_until(is_folded, 20)
    with of_django.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE application_name = 'usage-recorder' AND datname = current_database()"
        )
    record([call(organization="acme")])
    wait_until(is_folded, 20)
    assert wrong_sums() == []


def test_a_thread_that_could_not_be_started_is_by_the_next_write(
    acme: Organization, folder: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        full.setattr(background, "RETRY_SECONDS", 60)
        folder.wrote(1)
    record([call(organization="acme")])
    wait_until(is_folded, 20)


FORKED = """
import os, sys, time, django
django.setup()
from django.db import connections
connections["default"].settings_dict["NAME"] = os.environ["TEST_DATABASE"]
from ledger.recording.pool import ledger_connection
from ledger.recording.folding import fold_tail
from ledger.recording.record import record
from tests.ledger.calls import call

def is_folded():
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with ledger_connection() as link:
            if link.execute("SELECT FROM ledger_tail").fetchone() is None:
                return True
        time.sleep(0.05)

record([call(organization="acme")])
child = os.fork()
record([call(organization="acme")])
assert is_folded()
record([call(organization="acme")])
assert is_folded()
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_folds_by_a_thread_of_its_own(acme: Organization) -> None:
    """The parent is forked while its own folder has something to do."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings",
        "TEST_DATABASE": str(of_django.settings_dict["NAME"]),
    }
    subprocess.run([sys.executable, "-c", FORKED], cwd=ROOT, env=environment, check=True, timeout=90)
    assert UsageEvent.objects.count() == 5
    assert is_folded()
    assert wrong_sums() == []
