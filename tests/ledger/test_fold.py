"""Folds: the tail moves into the sums as a whole or not at all, whatever happens meanwhile."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection as of_django

from accounts.models import Organization
from groq_client.call import MAX_COUNT
from ledger.models import Fold, Rollup, Session, Tail, UsageEvent
from ledger.recording import pool
from ledger.recording.pool import ledger_connection
from ledger.recording.record import record
from ledger.rollups import fold, tail_vacuum
from ledger.rollups.cubes import CUBES
from ledger.rollups.fold import Folded
from pricing.models import MAX_PRICE
from tests.cast import connect
from tests.ledger.calls import MODEL, call, usage
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

Connection = psycopg.Connection[tuple[object, ...]]

SLOW = """
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;
CREATE TRIGGER slowly BEFORE INSERT ON ledger_session FOR EACH ROW EXECUTE FUNCTION slowly();
"""
FAILING = """
CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'it fails'; END $$;
CREATE TRIGGER fails BEFORE INSERT ON ledger_session FOR EACH ROW EXECUTE FUNCTION fails();
"""


@pytest.fixture
def trigger(connection: Connection) -> Iterator[Any]:
    """A function that makes one of the triggers above."""
    yield connection.execute
    connection.execute("DROP FUNCTION IF EXISTS slowly CASCADE; DROP FUNCTION IF EXISTS fails CASCADE")


@pytest.fixture
def holder(connection: Connection) -> Iterator[Connection]:
    """Another transaction that changes sums."""
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [fold.LOCK])
    yield connection
    connection.rollback()


def folded() -> Folded:
    with ledger_connection() as link:
        return fold.fold(link)


def test_a_fold_moves_all_events_into_every_cube_and_their_sessions(acme: Organization, globex: Organization) -> None:
    record([call(organization=slug, session_id="s") for slug in ("acme", "globex") for _ in range(3)])
    assert (Tail.objects.count(), Rollup.objects.count(), Session.objects.count()) == (6, 0, 0)
    assert folded() == Folded(6, is_whole=True)
    assert not Tail.objects.exists()
    assert set(Rollup.objects.values_list("cube", flat=True)) == {cube.number for cube in CUBES}
    assert wrong_sums() == []
    last = Fold.objects.get()
    assert last.events == 6
    assert folded() == Folded(0, is_whole=True)
    assert Fold.objects.get().finished_at == last.finished_at


def test_a_long_tail_is_moved_in_several_transactions(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "AT_ONCE", 10)
    record([call(organization="acme") for _ in range(25)])
    assert folded() == Folded(25, is_whole=True)
    assert Fold.objects.get().events == 5
    assert wrong_sums() == []


def test_one_fold_at_a_time(acme: Organization, holder: Connection) -> None:
    record([call(organization="acme")])
    assert folded() == Folded(0, is_whole=False)
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(fold_now)
        holder.rollback()
        assert waiting.result(30) == 1


def test_events_that_are_recorded_during_a_fold_stay_for_the_next(acme: Organization, trigger: Any) -> None:
    record([call(organization="acme", session_id="s")])
    trigger(SLOW)
    with ThreadPoolExecutor(1) as other:
        first = other.submit(fold_now)
        while UsageEvent.objects.count() < 10:
            record([call(organization="acme", session_id="s")])
        assert first.result(30) < 10
        assert wrong_sums() == []
    fold_now()
    assert wrong_sums() == []
    assert Session.objects.get().requests == 10


def test_a_fold_may_take_longer_than_recording(acme: Organization, trigger: Any, settings: Any) -> None:
    settings.RECORDING_TIMEOUT_MS = 200
    pool.close()
    record([call(organization="acme", session_id="s")])
    trigger(SLOW)
    try:
        assert folded().events == 1
        with ledger_connection() as link:
            assert link.execute("SHOW statement_timeout").fetchone() == ("200ms",)
    finally:
        pool.close()


def test_after_a_fold_that_failed_its_connection_still_records(acme: Organization, trigger: Any) -> None:
    """psycopg forgets all prepared statements when it rolls back."""
    pool.close()  # so that there is one connection
    record([call(organization="acme", session_id="s")])
    trigger(FAILING)
    with pytest.raises(psycopg.errors.RaiseException):
        folded()
    assert record([call(organization="acme")]).events == 1
    assert Tail.objects.count() == 2
    assert wrong_sums() == []


def test_who_records_never_waits_for_a_connection_of_a_fold(acme: Organization, holder: Connection) -> None:
    record([call(organization="acme")])
    together = threading.Barrier(4)

    def write() -> int:
        with ledger_connection():
            together.wait(30)  # all four have a connection at the same time
        return record([call(organization="acme")]).events

    with ThreadPoolExecutor(5) as threads:
        waiting = threads.submit(fold_now)
        written = [threads.submit(write) for _ in range(4)]
        assert [each.result(30) for each in written] == [1] * 4
        holder.rollback()
        assert waiting.result(30) == 5


def test_sums_that_no_column_can_hold_stop_no_other_organization(
    acme: Organization, globex: Organization, caplog: pytest.LogCaptureFixture
) -> None:
    """The dearest price times the largest counts is two billion dollars, of which a sum holds nine."""
    rates = dict.fromkeys(("input_usd_per_1k_tokens", "output_usd_per_1k_tokens"), MAX_PRICE)
    make_price(MODEL, organization=acme, **rates)
    record([call(organization="acme", usage=usage(MAX_COUNT, MAX_COUNT)) for _ in range(5)])
    record([call("small", organization="globex") for _ in range(3)])
    for _ in range(2):
        assert fold_now() in (3, 0)
    assert set(Tail.objects.values_list("organization", flat=True)) == {acme.pk}
    assert wrong_sums() == []
    told = f"The events of organization {acme.pk} cannot be added to the sums: bigint out of range"
    assert [line.getMessage() for line in caplog.records if line.levelname == "ERROR"] == [told]
    assert record([call(organization="acme")]).events == 1


def vacuums() -> int:
    with connect() as link:
        link.execute("SELECT pg_stat_force_next_flush()")
        link.execute("SELECT pg_stat_clear_snapshot()")
        found = link.execute("SELECT pg_stat_get_vacuum_count('ledger_tail'::regclass)").fetchone()
    assert found is not None
    return int(str(found[0]))


def test_the_tail_is_vacuumed_after_many_events_and_not_all_the_time(
    acme: Organization, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(tail_vacuum, "DEAD_ROWS", 50)
    monkeypatch.setattr(tail_vacuum, "REST_SECONDS", 3600)
    pool.close()
    with ledger_connection() as link:
        link.execute("SELECT pg_stat_reset_single_table_counters('ledger_tail'::regclass)")
    before = vacuums()
    for _ in range(3):
        record([call(organization="acme") for _ in range(60)])
        with ledger_connection() as link:
            fold.fold(link)
            link.execute("SELECT pg_stat_force_next_flush()")  # otherwise the server counts dead rows a second later
        fold_now()
    record([call(organization="acme")])
    fold_now()
    assert vacuums() == before + 1
    with ledger_connection() as link:
        assert link.execute("SHOW statement_timeout").fetchone() == ("2s",)


def test_a_role_that_may_not_vacuum_folds_all_the_same(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_vacuum, "DEAD_ROWS", 0)
    monkeypatch.setattr(tail_vacuum, "REST_SECONDS", -1)
    record([call(organization="acme")])
    with connect() as link:
        link.execute("CREATE ROLE folds; GRANT ALL ON ALL TABLES IN SCHEMA public TO folds; SET ROLE folds")
        try:
            assert fold.fold(link) == Folded(1, is_whole=True)
        finally:
            link.execute("RESET ROLE; DROP OWNED BY folds; DROP ROLE folds")


# The command


def test_the_command_folds(acme: Organization, capsys: pytest.CaptureFixture[str]) -> None:
    record([call(organization="acme") for _ in range(3)])
    call_command("fold")
    before, moved, after = capsys.readouterr().out.splitlines()
    assert before.startswith("Before: Not in the sums yet: 3 events, the oldest for 0 seconds.")
    assert moved.startswith("Moved 3 events in ")
    assert after == "After: All events are in the sums."
    assert wrong_sums() == []


@pytest.mark.parametrize("wait", [False, True])
def test_the_command_says_who_changes_sums(
    acme: Organization, holder: Connection, monkeypatch: pytest.MonkeyPatch, wait: bool
) -> None:
    monkeypatch.setattr(fold, "LIMITS", "SET LOCAL lock_timeout = 50")
    record([call(organization="acme")])
    with pytest.raises(
        CommandError, match=rf"Somebody else changes sums now: .*process {holder.info.backend_pid}, for"
    ):
        call_command("fold", wait=wait)
    assert of_django.connection is not None
    assert Tail.objects.count() == 1
