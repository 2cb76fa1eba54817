"""Health turns red for problems that need an operator, and tells strangers only one word."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import Organization, User
from groq_client import sdk
from groq_client.journal.journal import Journal
from ledger import health, tasks
from ledger.citus import is_distributed
from ledger.health import Level, examine
from ledger.journal import dead_letters, settle
from ledger.models import Reconciliation, UsageEvent
from ledger.recording.record import record
from ledger.rollups import fold, tail_state
from tests.cast import connect, signed_in
from tests.jobs import hear_of_a_worker
from tests.ledger.calls import call, usage
from tests.ledger.folding import WatchedFolder, fold_now
from tests.running_demo import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.JOURNAL_DIR = tmp_path
    monkeypatch.setattr(health, "_last", None)
    monkeypatch.setattr(health, "_told", frozenset())
    monkeypatch.setattr(dead_letters, "number_kept", 0)
    return tmp_path


def level_of(name: str) -> Level:
    return next(finding.level for finding in examine() if finding.name == name)


def left_behind(directory: Path, minutes: int) -> None:
    """Make the journal of a process that was killed ``minutes`` ago."""
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


def test_an_sdk_that_cannot_be_recorded_on_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert level_of("groq") == Level.OK
    monkeypatch.setattr(sdk, "problems", lambda: ("There is no groq.Groq.request.",))
    told = next(finding for finding in examine() if finding.name == "groq")
    assert (told.level, "There is no groq.Groq.request." in told.text) == (Level.RED, True)
    assert sdk.ADVICE in told.hint


def test_a_look_that_takes_long_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    looking, may_end = threading.Event(), threading.Event()
    old, new = ([health.Finding(name, Level.OK, "")] for name in ("old", "new"))

    def slowly() -> list[health.Finding]:
        looking.set()
        assert may_end.wait(30)
        return new

    monkeypatch.setattr(health, "examine", slowly)
    monkeypatch.setattr(health, "_last", (time.monotonic() - 60, old))
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(health.health)
        assert looking.wait(30)
        assert health.health() is old
        may_end.set()
        assert asked.result(30) is new
    assert health.health() is new


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
    assert (response.status_code, response.json()) == (503, {"status": "red"})  # the answer does not say why
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
    assert (level, line[:44]) == ("ERROR", "Health is red. backlog: 1 journal of ended p")
    left_behind(directory, 95)  # the same finding is red already
    assert said() == []
    monkeypatch.setattr(dead_letters, "number_kept", 1)
    ((level, line),) = said()
    assert "dead letters: 1 call could not" in line
    for path in directory.glob("*.journal"):
        path.unlink()
    monkeypatch.setattr(dead_letters, "number_kept", 0)
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
    settle.settle([call(usage=usage(-1, 1))])
    assert level_of("dead letters") == Level.RED
    with pytest.raises(CommandError, match="Still dead letters: 1 call\\."):
        call_command("replay_journal", dead_letters=True)
    assert level_of("dead letters") == Level.RED


@pytest.mark.django_db(transaction=True)
def test_the_command_replays(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left_behind(directory, 10)
    call_command("replay_journal")
    assert "Replayed 1 journals: 0 calls that had ended, 1 that were interrupted" in capsys.readouterr().out
    assert UsageEvent.objects.get().error_code == "interrupted"


def test_a_loss_that_no_file_could_take_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "number_kept", 1)
    assert level_of("dead letters") == Level.RED


def tail() -> health.Finding:
    return next(finding for finding in examine() if finding.name == "tail")


@pytest.mark.django_db(transaction=True)
def test_a_tail_that_is_folded_is_well(acme: Organization) -> None:
    assert (tail().level, tail().text) == (Level.OK, "All events are in the sums.")
    record([call(organization="acme") for _ in range(3)])
    assert (tail().level, tail().text[:38]) == (Level.OK, "Not in the sums yet: 3 events, the old")
    fold_now()
    assert tail().level == Level.OK
    assert tail().text.startswith("All events are in the sums. The last fold: ")
    assert " UTC: 3 events in " in tail().text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("seconds", "level"), [(29, Level.OK), (31, Level.WARNING), (121, Level.RED)])
def test_a_tail_that_does_not_shrink_is_told_with_who_is_in_the_way(
    acme: Organization, folder: WatchedFolder, seconds: int, level: Level
) -> None:
    with connect() as other:
        other.execute("BEGIN")
        other.execute("SELECT pg_advisory_xact_lock(%s)", [fold.LOCK])
        record([call(organization="acme")])
        with connection.cursor() as cursor:  # as if the time had passed
            cursor.execute("UPDATE ledger_tail SET received_at = received_at - %s * interval '1 second'", [seconds])
        found = tail()
        assert found.level == level
        assert f"the oldest for {seconds} seconds" in found.text
        if level:
            assert f"(server process {other.info.backend_pid}, for 0 seconds)" in found.text
            assert "manage.py fold" in found.hint
        other.rollback()
    wait_until(lambda: tail().text.startswith("All events are in the sums."), 20)
    assert tail().level == Level.OK


@pytest.mark.django_db(transaction=True)
def test_a_look_at_an_endless_tail_is_short(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_state, "MOST", 10)
    record([call(organization="acme") for _ in range(10)])
    assert tail().text.startswith("Not in the sums yet: 10 events, ")
    record([call(organization="acme") for _ in range(5)])
    assert tail().text.startswith("Not in the sums yet: more than 10 events, ")


DAY = date(2026, 11, 2)


def compared(
    *wrong: Organization,
    organization: Organization | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
) -> None:
    """Store a comparison that left this day of these organizations wrong."""
    Reconciliation.objects.create(
        started_at=timezone.now(),
        organization=organization,
        first_day=first_day,
        last_day=last_day,
        compared=5,
        drifted=len(wrong),
        repaired=0,
        left_wrong={str(one.pk): [DAY.isoformat()] * 2 for one in wrong},
    )


def test_sums_that_drifted_are_red_until_they_are_repaired(acme: Organization) -> None:
    compared(acme)
    assert level_of("sums") == Level.RED
    compared()
    assert level_of("sums") == Level.OK


def test_a_later_look_at_the_same_organization_settles_its_drift(acme: Organization, globex: Organization) -> None:
    compared(acme)
    compared(organization=globex)
    assert level_of("sums") == Level.RED
    compared(organization=acme)
    assert level_of("sums") == Level.OK
    compared(acme, globex)
    compared(organization=acme)
    assert level_of("sums") == Level.RED
    compared(organization=globex)
    assert level_of("sums") == Level.OK
    compared(acme, organization=acme)
    assert level_of("sums") == Level.RED


def test_a_later_look_at_other_days_settles_nothing(acme: Organization) -> None:
    compared(acme)
    day = timedelta(days=1)
    compared(organization=acme, last_day=DAY - day)
    compared(organization=acme, first_day=DAY + day, last_day=DAY + day)
    assert level_of("sums") == Level.RED
    compared(organization=acme, first_day=DAY, last_day=DAY)
    assert level_of("sums") == Level.OK


# The tests below have a stand-in for the function of Citus that checks a node.

CLUSTER = """
CREATE TABLE pg_dist_node (nodename text, nodeport int, noderole text);
INSERT INTO pg_dist_node VALUES ('c0', 5432, 'primary'), ('w1', 5432, 'primary'), ('w2', 5433, 'primary'),
    ('standby', 5432, 'secondary');
CREATE FUNCTION citus_check_connection_to_node(nodename text, nodeport int) RETURNS bool LANGUAGE sql
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Pretend a cluster of three nodes. The SQL expression says whether a node answers."""
    if is_distributed():
        pytest.skip("Citus has the names of its own functions.")
    monkeypatch.setattr(health, "is_distributed", lambda: True)

    def make(answers: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"{CLUSTER} AS 'SELECT {answers}'")

    return make


def nodes() -> health.Finding:
    return next(finding for finding in examine() if finding.name == "nodes")


def test_one_server_has_no_nodes_to_ask() -> None:
    if not is_distributed():
        assert "nodes" not in {finding.name for finding in examine()}


def test_nodes_that_answer_are_green(cluster: Callable[[str], None]) -> None:
    cluster("true")
    assert nodes().level == Level.OK


def test_a_node_that_is_down_is_red_and_named(client: Client, cluster: Callable[[str], None]) -> None:
    cluster("nodename <> ''w2''")
    assert (nodes().level, nodes().text) == (Level.RED, "These do not answer: w2:5433.")
    assert client.get("/health/").status_code == 503


def test_nodes_that_cannot_be_asked_are_red(cluster: Callable[[str], None]) -> None:
    cluster("1 / (length(nodename) - 2) > 0")
    assert nodes().level == Level.RED
    assert "division by zero" in nodes().text


def test_a_node_that_is_silent_holds_health_up_for_a_moment_only(
    cluster: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "NODES_TIMEOUT_MS", 50)
    cluster("pg_sleep(600) IS NULL")
    assert (nodes().level, nodes().text) == (Level.RED, "They have not all answered within 0.05 seconds.")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() != ("50ms",)


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
    assert "1 journal of ended processes to be replayed" in page
    assert "All events are in the sums." in page


def test_load_balancers_need_no_tls(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = [r"^health/(live/)?$"]
    assert client.get("/health/live/").status_code == 200
    assert client.get("/health/details/").status_code == 301


def test_request_ids_that_were_told_twice_are_a_warning_until_somebody_has_looked(
    directory: Path, acme: Organization, transactional_db: None
) -> None:
    assert level_of("request ids") == Level.OK
    one = call(organization="acme")
    settle.settle([one, replace(one, model="another")])
    (finding,) = (finding for finding in examine() if finding.name == "request ids")
    assert (finding.level, finding.text[:24]) == (Level.WARNING, "Not recorded: 1 call, be")
    (directory / dead_letters.CONFLICTS).unlink()
    assert level_of("request ids") == Level.OK
