"""Health turns red for what needs a hand, and tells strangers no more than a word."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import Organization, User
from analytics import health, settling, tasks
from analytics.health import Level, examine
from analytics.journal import Journal
from analytics.models import Reconciliation, UsageEvent
from tests.analytics.calls import call, usage
from tests.cast import signed_in
from tests.jobs import hear_of_a_worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.JOURNAL_DIR = tmp_path
    monkeypatch.setattr(health, "_last", None)
    monkeypatch.setattr(health, "_told", frozenset())
    monkeypatch.setattr(settling, "lost_calls", 0)
    return tmp_path


def level_of(name: str) -> Level:
    return next(finding.level for finding in examine() if finding.name == name)


def left_behind(directory: Path, minutes: int) -> None:
    """The journal of a process that was killed so many minutes ago."""
    journal = Journal(directory, 10**9)
    journal.started(call())
    journal.close()
    for path in directory.glob("*.journal"):
        then = path.stat().st_mtime - minutes * 60
        os.utime(path, (then, then))


def test_all_is_well(client: Client) -> None:
    hear_of_a_worker()
    response = client.get("/health/")
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert client.get("/health/live/").status_code == 200


@pytest.mark.parametrize("seconds_ago", [None, 300])
def test_a_worker_that_does_not_run_is_told(client: Client, seconds_ago: float | None) -> None:
    if seconds_ago is not None:
        hear_of_a_worker(seconds_ago)
    assert level_of("worker") == Level.WARNING
    response = client.get("/health/")
    assert (response.status_code, response.json()["status"]) == (200, "warning")


def test_a_job_that_nobody_takes_up_is_told() -> None:
    hear_of_a_worker()
    tasks.reconcile.defer(timestamp=0)
    assert level_of("worker") == Level.OK
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_events SET at = at - interval '1 hour'")
    assert level_of("worker") == Level.WARNING


def test_a_database_that_is_away_is_red_but_the_process_lives(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("the server is away")

    monkeypatch.setattr(connection, "cursor", away)
    response = client.get("/health/")
    assert (response.status_code, response.json()) == (503, {"status": "red"})  # and not why
    assert client.get("/health/live/").status_code == 200


def test_the_log_tells_what_is_red_once_and_when_that_changes(
    client: Client, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[tuple[str, str]]:
        monkeypatch.setattr(health, "CACHE_SECONDS", -1)
        for _ in range(3):
            client.get("/health/")
        lines = [(record.levelname, record.getMessage()) for record in caplog.records]
        caplog.clear()
        return lines

    assert said() == []
    left_behind(directory, 90)
    ((level, line),) = said()
    assert (level, line[:45]) == ("ERROR", "Health is red. backlog: 1 journals of ended p")
    left_behind(directory, 95)  # more of the same
    assert said() == []
    monkeypatch.setattr(settling, "lost_calls", 1)
    ((level, line),) = said()
    assert "set aside: 1 calls could not" in line
    for path in directory.glob("*.journal"):
        path.unlink()
    monkeypatch.setattr(settling, "lost_calls", 0)
    assert said() == [("WARNING", "Health is no longer red.")]


def test_what_goes_wrong_in_health_itself_is_told_each_time(
    client: Client, directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> list[health.Finding]:
        raise DatabaseError("of all things")

    monkeypatch.setattr(health, "examine", broken)
    client.raise_request_exception = False
    for _ in range(2):
        assert client.get("/health/").status_code == 503
    assert sum(record.exc_info is not None for record in caplog.records) == 2


@pytest.mark.parametrize(("minutes", "level"), [(1, Level.OK), (10, Level.WARNING), (90, Level.RED)])
def test_journals_that_nobody_replays_are_told(directory: Path, minutes: int, level: Level) -> None:
    left_behind(directory, minutes)
    assert level_of("backlog") == level


def test_the_journal_of_a_living_process_is_no_backlog(directory: Path) -> None:
    journal = Journal(directory, 10**9)
    journal.started(call())
    (path,) = directory.glob("*.journal")
    os.utime(path, (0, 0))
    assert level_of("backlog") == Level.OK
    journal.close()
    assert level_of("backlog") == Level.RED


def test_a_directory_that_cannot_be_written_is_red(directory: Path, settings: Any) -> None:
    settings.JOURNAL_DIR = directory / "file"
    settings.JOURNAL_DIR.write_text("")
    assert level_of("journal") == Level.RED


def test_too_many_journals_are_red(directory: Path, settings: Any) -> None:
    settings.JOURNAL_LIMIT_MB = 0
    left_behind(directory, 0)
    assert level_of("journal size") == Level.RED


@pytest.mark.django_db(transaction=True)
def test_calls_that_were_set_aside_are_red_until_somebody_has_looked(directory: Path) -> None:
    settling.settle([call(usage=usage(-1, 1))])
    assert level_of("set aside") == Level.RED
    with pytest.raises(CommandError, match="1 calls are set aside still"):
        call_command("replay_journal", refused=True)
    assert level_of("set aside") == Level.RED


@pytest.mark.django_db(transaction=True)
def test_the_command_replays(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left_behind(directory, 10)
    call_command("replay_journal")
    assert "Replayed 1 journals: 0 calls that had ended, 1 that were interrupted" in capsys.readouterr().out
    assert UsageEvent.objects.get().error_code == "interrupted"


def test_a_loss_that_no_file_could_take_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "lost_calls", 1)
    assert level_of("set aside") == Level.RED


@pytest.mark.parametrize(("repaired", "level"), [(0, Level.RED), (1, Level.OK)])
def test_sums_that_drifted_are_red_until_they_are_repaired(repaired: int, level: Level) -> None:
    now = timezone.now()
    Reconciliation.objects.create(started_at=now, compared=5, drifted=1, repaired=repaired)
    assert level_of("sums") == level


def test_a_part_that_is_right_does_not_hide_what_is_wrong_elsewhere(acme: Organization) -> None:
    now = timezone.now()
    Reconciliation.objects.create(started_at=now, compared=5, drifted=1, repaired=0)
    Reconciliation.objects.create(started_at=now, organization=acme, compared=1, drifted=0, repaired=0)
    assert level_of("sums") == Level.RED
    Reconciliation.objects.create(started_at=now, compared=5, drifted=1, repaired=1)
    assert level_of("sums") == Level.OK
    Reconciliation.objects.create(started_at=now, organization=acme, compared=1, drifted=1, repaired=0)
    assert level_of("sums") == Level.RED


def test_the_command_tells_what_to_do(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("health")
    left_behind(directory, 90)
    with pytest.raises(CommandError):
        call_command("health")
    assert "manage.py replay_journal" in capsys.readouterr().out


def test_details_are_for_super_admins(directory: Path, super_admin: User, admin: User) -> None:
    left_behind(directory, 90)
    assert signed_in(admin).get("/health/details/").status_code == 403
    page = signed_in(super_admin).get("/health/details/").content.decode()
    assert "1 journals of ended processes wait" in page


def test_load_balancers_need_no_tls(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = [r"^health/(live/)?$"]
    assert client.get("/health/live/").status_code == 200
    assert client.get("/health/details/").status_code == 301
