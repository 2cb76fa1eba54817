"""All calls of the client reach the ledger, despite failures of the database, the disk and the process."""

import fcntl
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connection, transaction
from psycopg import OperationalError
from psycopg.errors import ReadOnlySqlTransaction

from accounts.models import Organization
from groq_client import background
from groq_client.background import BackgroundThread
from groq_client.call import Call
from groq_client.journal import journal, writer
from groq_client.journal.call_json import call_from_json, call_to_json
from groq_client.journal.destination import Outcome
from groq_client.journal.late import LateCalls
from groq_client.simulator.server import running_simulator
from ledger.journal import dead_letters, settle
from ledger.journal.recorder import LedgerRecorder
from ledger.journal.replay import replay_dead_letters, replay_journals
from ledger.models import UsageEvent
from ledger.recording import pool, record
from ledger.recording.event_row import COLUMNS
from ledger.recording.record import Recorded
from tests.cast import connect
from tests.ledger.calls import NOON, call, usage

pytestmark = pytest.mark.django_db(transaction=True)

Finish = Callable[..., None]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.JOURNAL_DIR = tmp_path / "journal"
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(writer, "DRAIN_SECONDS", 0.2)
    monkeypatch.setattr(journal, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(dead_letters, "_noted", set())
    return tmp_path / "journal"


@pytest.fixture
def make_recorder() -> Iterator[Callable[..., LedgerRecorder]]:
    made: list[LedgerRecorder] = []

    def make(**options: int) -> LedgerRecorder:
        made.append(LedgerRecorder(**options))
        return made[-1]

    yield make
    for recorder in made:
        recorder._writer.close()


@pytest.fixture
def recorder(make_recorder: Callable[..., LedgerRecorder]) -> LedgerRecorder:
    return make_recorder()


class Outage:
    """A database that refuses calls while ``on`` is true."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = True
        real = record.ledger_connection

        def connect():  # type: ignore[no-untyped-def]
            if self.on:
                raise psycopg.OperationalError("the server is away")
            return real()

        monkeypatch.setattr(record, "ledger_connection", connect)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch)


def make(recorder: LedgerRecorder, **more: Any) -> None:
    one = call(**more)
    recorder.start(one)
    recorder.finish(one)


def ids() -> list[str]:
    return sorted(UsageEvent.objects.values_list("request_id", flat=True))


def files(directory: Path) -> list[str]:
    return [path.read_text() for path in sorted(directory.glob("*.journal"))]


def timed(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


# The usual way


def test_a_call_is_in_the_ledger_within_a_second_though_nobody_waits(recorder: LedgerRecorder) -> None:
    make(recorder, request_id="0")
    assert recorder.flush(20)
    seconds = []
    for n in range(1, 4):  # a busy machine may be late once
        began = time.monotonic()
        make(recorder, request_id=str(n))
        wait_until(lambda n=n: str(n) in ids())  # type: ignore[misc]
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 1


def test_the_synchronous_mode_waits_for_the_row(recorder: LedgerRecorder, settings: Any) -> None:
    assert not recorder.finish_is_blocking
    settings.RECORDING_SYNCHRONOUS = True
    assert recorder.finish_is_blocking
    make(recorder, request_id="a")
    assert ids() == ["a"]


def test_a_call_is_recorded_though_its_caller_rolls_back(acme: Organization, recorder: LedgerRecorder) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        make(recorder, organization=acme.slug)
        assert recorder.flush(20)
        raise RuntimeError
    assert UsageEvent.objects.count() == 1


def test_many_threads_share_transactions(
    acme: Organization, recorder: LedgerRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    real = settle.record
    monkeypatch.setattr(settle, "record", lambda calls: batches.append(len(calls)) or real(calls))
    threads = [threading.Thread(target=lambda: [make(recorder) for _ in range(10)]) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.flush(20)
    assert UsageEvent.objects.count() == 100
    assert len(batches) < 50


def test_what_is_recorded_leaves_no_file_behind(recorder: LedgerRecorder, directory: Path) -> None:
    make(recorder)
    assert recorder.flush(20)
    assert len(files(directory)) == 1
    recorder._writer.close()
    assert files(directory) == []


def test_a_large_file_is_left_for_a_new_one(
    recorder: LedgerRecorder, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 2_000)
    still_open = call(request_id="open")
    recorder.start(still_open)
    for _ in range(30):
        make(recorder)
        assert recorder.flush(20)
    recorder._writer.close()  # this waits until the thread has done its work after the last flush
    (text,) = files(directory)
    assert len(text) < 4_000
    assert '"open"' in text


def test_usage_debug_logs_each_event(recorder: LedgerRecorder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "usage.recording"):
        make(recorder, request_id="look-at-me")
        assert recorder.flush(20)
    assert "look-at-me" in caplog.text


# The database is away, slow, or refuses


def test_calls_wait_while_the_database_is_away(acme: Organization, recorder: LedgerRecorder, outage: Outage) -> None:
    for _ in range(5):
        make(recorder, organization=acme.slug)
    assert not recorder.flush(timeout=0.1)
    outage.on = False
    assert recorder.flush(timeout=20)
    assert UsageEvent.objects.count() == 5


def test_the_journal_does_not_grow_while_nothing_happens(
    recorder: LedgerRecorder, directory: Path, outage: Outage
) -> None:
    make(recorder)
    assert not recorder.flush(0.1)  # the writer tries several times meanwhile
    (before,) = files(directory)
    assert not recorder.flush(0.1)
    assert files(directory) == [before]
    outage.on = False
    assert recorder.flush(20)


def test_what_memory_has_no_room_for_waits_in_files(
    make_recorder: Callable[..., LedgerRecorder], directory: Path, outage: Outage
) -> None:
    recorder = make_recorder(memory=4)
    names = [f"{n:02d}" for n in range(15)]
    for name in names:
        make(recorder, request_id=name)
        time.sleep(0.01)
    assert not recorder.flush(0.1)
    assert len(files(directory)) > 1
    outage.on = False
    deadline = time.monotonic() + 20
    while ids() != names and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ids() == names
    assert dead_letters.number_kept == 0 or not (directory / dead_letters.DEAD_LETTERS).exists()


def test_who_waits_for_the_ledger_waits_for_what_was_left_to_files_too(
    make_recorder: Callable[..., LedgerRecorder], outage: Outage
) -> None:
    """``flush`` without a time limit returns when the files have been replayed. It once waited for ever."""
    recorder = make_recorder(memory=4)
    make(recorder)
    done: list[bool] = []
    waiting = threading.Thread(target=lambda: done.append(recorder.flush(None)))
    waiting.start()
    for _ in range(10):
        make(recorder)
    time.sleep(0.1)
    assert waiting.is_alive()
    assert recorder._writer._is_handed_over
    outage.on = False
    waiting.join(20)
    assert done == [True]
    assert UsageEvent.objects.count() == 11


def test_what_finds_no_room_while_files_are_changed_is_not_forgotten(
    make_recorder: Callable[..., LedgerRecorder], outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = make_recorder(memory=2)
    of_writer = recorder._writer._journal
    real, late = of_writer.hand_over, [call(request_id="late")]

    def hand_over() -> Any:
        handed = real()
        if handed and late:
            recorder.finish(late.pop())  # as if another thread ended a call now
        return handed

    monkeypatch.setattr(of_writer, "hand_over", hand_over)
    for name in ("a", "b", "c"):
        make(recorder, request_id=name)
    time.sleep(0.1)
    assert not late
    outage.on = False
    assert recorder.flush(20)
    assert ids() == ["a", "b", "c", "late"]


def test_live_calls_do_not_wait_until_all_files_are_replayed(
    recorder: LedgerRecorder, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.mkdir()
    for n in range(3):
        (directory / f"{n}.journal").write_text(f"E{call_to_json(call(request_id=str(n)))}\n")
    order: list[str] = []
    real = settle.record

    def record(calls: Sequence[Call]) -> Recorded:
        order.extend(one.request_id for one in calls)
        if order == ["0"]:
            make(recorder, request_id="live")
        return real(calls)

    monkeypatch.setattr(settle, "record", record)
    recorder._writer._ensure_thread()
    recorder._writer._waiting._wake.put(None)
    deadline = time.monotonic() + 20
    while len(ids()) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert order == ["0", "live", "1", "2"]


def test_after_a_failure_the_writer_goes_on_without_being_called(
    recorder: LedgerRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([RuntimeError("once")])
    real = settle.settle

    def settle_after_a_failure(calls: Sequence[Call]) -> Outcome:
        for failure in failures:
            raise failure
        return real(calls)

    recorder._writer._has_backlog = False
    monkeypatch.setattr(settle, "settle", settle_after_a_failure)
    make(recorder, request_id="a")
    deadline = time.monotonic() + 20
    while not ids() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ids() == ["a"]


@pytest.fixture
def impatient(settings: Any) -> Iterator[None]:
    """The recorder's connections wait at most a second, for a lock too."""
    settings.RECORDING_TIMEOUT_MS = 1_000
    pool.close()
    yield
    pool.close()


REST = ", ".join(COLUMNS[2:])
UNCOMMITTED = f"""
INSERT INTO ledger_usageevent (organization_id, request_id, {REST})
SELECT organization_id, %s, {REST} FROM ledger_usageevent WHERE organization_id = %s LIMIT 1
"""


def locked(organization: Organization, request_id: str) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection that has inserted an event, but has not committed it. Whoever records a call of the organization
    with the same request id waits for it. The organization needs an event before."""
    other = connect()
    other.execute("BEGIN")
    other.execute(UNCOMMITTED, [request_id, organization.pk])
    return other


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


def test_an_organization_that_is_locked_holds_back_no_other(
    recorder: LedgerRecorder, directory: Path, acme: Organization, globex: Organization, impatient: None
) -> None:
    make(recorder, request_id="before", organization="acme")
    assert recorder.flush(20)
    with locked(acme, "held 0") as other:
        for n in range(3):
            make(recorder, request_id=f"held {n}", organization="acme")
            make(recorder, request_id=f"free {n}", organization="globex")
        wait_until(lambda: ids() == ["before", "free 0", "free 1", "free 2"])
        make(recorder, request_id="held 3", organization="acme")
        make(recorder, request_id="free 3", organization="globex")
        wait_until(lambda: "free 3" in ids())
        assert recorder.flush(0.01) is False
        assert [name for name in ids() if name.startswith("held")] == []
        other.rollback()
    assert recorder.flush(20)
    assert ids() == ["before", *(f"free {n}" for n in range(4)), *(f"held {n}" for n in range(4))]
    recorder._writer.close()
    assert files(directory) == []


def test_what_waits_for_a_locked_organization_is_in_the_journal(
    recorder: LedgerRecorder, directory: Path, acme: Organization, globex: Organization, impatient: None
) -> None:
    make(recorder, request_id="before", organization="acme")
    assert recorder.flush(20)
    with locked(acme, "held") as other:
        make(recorder, request_id="held", organization="acme")
        make(recorder, request_id="free", organization="globex")
        wait_until(lambda: ids() == ["before", "free"])
        recorder._writer.close()
        replayed = replay_journals()
        assert (replayed.files, replayed.waiting) == (0, 1)  # the replay fails again
        other.rollback()
    assert replay_journals().ended == 1
    assert ids() == ["before", "free", "held"]
    assert files(directory) == []


def test_a_file_of_a_locked_organization_holds_back_no_other_file(
    directory: Path, acme: Organization, globex: Organization, impatient: None
) -> None:
    record.record([call(request_id="before", organization="acme")])
    directory.mkdir()
    for n, organization in enumerate(("acme", "globex")):
        line = call_to_json(call(request_id=organization, organization=organization))
        (directory / f"{n}.journal").write_text(f"E{line}\n")
    with locked(acme, "acme") as other:
        replayed = replay_journals()
        assert (replayed.files, replayed.waiting) == (1, 1)
        assert ids() == ["before", "globex"]
        other.rollback()
    replay_journals()
    assert ids() == ["acme", "before", "globex"]


def test_a_call_that_nobody_can_write_down_holds_up_no_other(recorder: LedgerRecorder) -> None:
    endless: dict[str, Any] = {}
    endless["endless"] = endless
    before = dead_letters.number_kept
    with pytest.raises(ValueError, match="Circular"):  # the client catches this error
        recorder.finish(call(provider=endless))
    make(recorder, request_id="next")
    assert recorder.flush(20)
    assert (ids(), dead_letters.number_kept) == (["next"], before + 1)


def told_conflicts(directory: Path) -> list[str]:
    path = directory / dead_letters.CONFLICTS
    return [json.loads(line)["reason"] for line in path.read_text().splitlines()] if path.exists() else []


def conflict_of(request_id: str, differing: str) -> str:
    return f"The request id {request_id} is recorded already, with other figures: {differing}."


def test_a_request_id_that_is_told_with_other_figures_is_warned_about(
    recorder: LedgerRecorder, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole call is in the log and in a file, so that any process can report it and no value is lost."""
    made = call(request_id="a")
    for one in (made, made, replace(made, usage=usage(7, 8))):
        recorder.finish(one)
        assert recorder.flush(20)
    reason = conflict_of("a", "input_tokens, output_tokens")
    assert [record.getMessage()[: len(reason)] for record in caplog.records if record.levelname == "WARNING"] == [
        reason
    ]
    assert told_conflicts(directory) == [reason]
    (line,) = (directory / dead_letters.CONFLICTS).read_text().splitlines()
    assert call_from_json(json.dumps(json.loads(line)["call"])).usage == usage(7, 8)
    assert UsageEvent.objects.get().input_tokens == 100


def test_calls_of_two_processes_with_one_request_id_are_both_recorded(
    make_recorder: Callable[..., LedgerRecorder], directory: Path
) -> None:
    """The second one has an id of its own, which stays the same when its journal is replayed."""
    first, second = call(request_id="a"), call(request_id="a", at=NOON + timedelta(milliseconds=1))
    for one in (first, second):
        recorder = make_recorder()
        recorder.finish(one)
        assert recorder.flush(20)
        recorder._writer.close()  # otherwise its thread may replay the file first
    (directory / "1.journal").write_text(f"E{call_to_json(second)}\n")
    assert replay_journals().ended == 1
    assert told_conflicts(directory) == []
    ids = UsageEvent.objects.order_by("timestamp").values_list("request_id", flat=True)
    assert [name.partition("~")[0] for name in ids] == ["a", "a"]


def test_a_call_that_took_anothers_request_id_waits_under_the_given_one(
    monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    record.record([call(request_id="a")])
    second = call(request_id="a", at=NOON + timedelta(milliseconds=1))

    def is_away(calls: list[Call]) -> Recorded:
        if calls[0].request_id != "a":
            raise OperationalError("away")
        return record.record(calls)

    with monkeypatch.context() as patch:
        patch.setattr(settle, "record", is_away)
        assert settle.settle([second]) == Outcome(late=(second,))
    assert settle.settle([second]) == Outcome()
    assert UsageEvent.objects.count() == 2


def test_a_replay_of_what_is_recorded_is_no_conflict(recorder: LedgerRecorder, directory: Path) -> None:
    made = call(request_id="a", at=NOON.astimezone(ZoneInfo("Asia/Kolkata")))
    record.record([made])
    directory.mkdir(exist_ok=True)
    (directory / "1.journal").write_text(f"E{call_to_json(made)}\n")
    assert replay_journals().ended == 1
    assert told_conflicts(directory) == []


def test_a_conflict_is_told_once_while_another_organization_takes_no_calls(
    acme: Organization, globex: Organization, directory: Path, impatient: None
) -> None:
    made = call(request_id="a", organization="globex")
    record.record([call(request_id="before", organization="acme"), made])
    waiting = [replace(made, model="another"), call(request_id="waits", organization="acme")]
    with locked(acme, "waits") as other:
        for _ in range(2):
            assert settle.settle(waiting).late == waiting[1:]
        other.rollback()
    assert settle.settle(waiting) == Outcome()
    assert told_conflicts(directory) == [conflict_of("a", "model")]


def test_ever_so_many_conflicts_do_not_fill_the_disk(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dead_letters, "MAX_CONFLICTS_BYTES", 1_000)
    made = call(request_id="a")
    settle.settle([replace(made, usage=usage(n, n)) for n in range(20)])
    assert (directory / dead_letters.CONFLICTS).stat().st_size < 2_000
    assert caplog.text.count("with other figures") == 19


def test_a_signals_handler_may_call_while_the_thread_is_started(
    recorder: LedgerRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is still one thread, because two threads would take calls from each other."""
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", real)
        make(recorder, request_id="from the handler")
        real(thread)

    before = writers()
    monkeypatch.setattr(threading.Thread, "start", start)
    make(recorder, request_id="interrupted")
    assert writers() == before + 1
    assert recorder.flush(20)
    assert ids() == ["from the handler", "interrupted"]


def test_a_thread_that_could_not_be_started_is_by_the_next_call(
    recorder: LedgerRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        full.setattr(background, "RETRY_SECONDS", 60)
        make(recorder, request_id="a")
    make(recorder, request_id="b")
    deadline = time.monotonic() + 20
    while len(ids()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ids() == ["a", "b"]


def test_wherever_the_start_of_the_thread_is_interrupted_the_next_call_starts_it(
    make_recorder: Callable[..., LedgerRecorder],
) -> None:
    """The start is interrupted before each of its instructions, as by a signal handler that raises."""
    names: list[str] = []
    is_interrupted = True
    while is_interrupted:
        recorder, names = make_recorder(), [*names, f"{len(names):03}"]
        with interrupted(BackgroundThread.ensure, at=len(names)) as interruptions:
            try:
                make(recorder, request_id=names[-1])
            except KeyboardInterrupt:
                make(recorder, request_id=f"{names[-1]} again")
        is_interrupted = interruptions == [len(names)]
        assert recorder.flush(20), names[-1]
    assert len(names) > 30
    assert [name for name in ids() if "again" not in name] == names


@contextmanager
def interrupted(function: Callable[..., None], at: int) -> Iterator[list[int]]:
    """Raise KeyboardInterrupt once, before instruction number ``at`` of the function in this thread. Yields a list that
    gets this number when it happens."""
    seen, done = 0, []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if frame.f_code is not function.__code__ or done:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            seen += 1
            if seen == at:
                done.append(at)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield done
    finally:
        sys.settrace(before)


def writers() -> int:
    return sum(thread.name == "usage-writer" for thread in threading.enumerate())


def test_beyond_the_limit_of_the_journal_a_call_is_set_aside_and_counted(
    make_recorder: Callable[..., LedgerRecorder], settings: Any, outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    settings.JOURNAL_DIR.parent.joinpath("journal").write_text("a file where the directory should be")
    recorder, before = make_recorder(memory=1), dead_letters.number_kept
    make(recorder)
    with caplog.at_level(logging.ERROR, "usage.recording"):
        make(recorder, request_id="the-lost-one")
    assert dead_letters.number_kept == before + 1
    assert "the-lost-one" in caplog.text
    outage.on = False
    assert recorder.flush(timeout=20)


def test_a_call_that_the_ledger_refuses_is_set_aside_and_does_not_hold_up_the_others(
    recorder: LedgerRecorder, directory: Path
) -> None:
    before = dead_letters.number_kept
    for one in (call(), call(usage=usage(-5, 1), request_id="bad"), call()):
        recorder.finish(one)
    assert recorder.flush(timeout=20)
    assert UsageEvent.objects.count() == 2
    assert dead_letters.number_kept == before + 1
    (line,) = (directory / dead_letters.DEAD_LETTERS).read_text().splitlines()
    assert '"bad"' in line
    assert "input_tokens is -5" in line
    assert replay_dead_letters() == (0, 1)  # the call is still wrong, and stays a dead letter
    assert '"bad"' in (directory / dead_letters.DEAD_LETTERS).read_text()


def test_dead_letters_are_retried_by_one_process_at_a_time(directory: Path) -> None:
    directory.mkdir()
    line = json.dumps({"reason": "a test", "call": json.loads(call_to_json(call(request_id="once")))})
    (directory / dead_letters.DEAD_LETTERS).write_text(f"{line}\n")
    with (directory / f"{dead_letters.DEAD_LETTERS}.retried").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert replay_dead_letters() == (0, 0)
    assert (directory / dead_letters.DEAD_LETTERS).read_text() == f"{line}\n"


def test_a_dead_letter_that_the_disk_cuts_off_is_joined_to_no_other(directory: Path) -> None:
    dead_letters.append_dead_letter(directory, "first")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(OSError, match="no room"):
            dead_letters.append_dead_letter(directory, "the second one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    dead_letters.append_dead_letter(directory, "third")
    assert (directory / dead_letters.DEAD_LETTERS).read_text() == "first\nthird\n"


def test_what_was_set_aside_can_be_tried_again(
    recorder: LedgerRecorder, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(settle, "record", lambda calls: 1 / 0)
        make(recorder, request_id="a")
        assert recorder.flush(20)
    assert ids() == []
    assert replay_dead_letters() == (1, 0)
    assert ids() == ["a"]
    assert not list(directory.glob(f"{dead_letters.DEAD_LETTERS}*"))


def test_a_server_that_hangs_does_not_hold_the_caller(
    acme: Organization, recorder: LedgerRecorder, settings: Any
) -> None:
    """The server neither answers nor closes. With synchronous recording, the first caller waits until the time limit,
    and the next one does not wait."""
    pool.close()  # the pool then has only one connection, the one to stop
    make(recorder)
    assert recorder.flush(20)
    with pool.ledger_connection() as held:
        pid = held.info.backend_pid
    settings.RECORDING_TIMEOUT_MS = 300
    os.kill(pid, signal.SIGSTOP)
    try:
        without = timed(lambda: make(recorder))
        settings.RECORDING_SYNCHRONOUS = True
        first, second = timed(lambda: make(recorder)), timed(lambda: make(recorder))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert without < 0.1
    assert 0.25 < first < 1
    assert second < 0.1
    assert recorder.flush(timeout=10)
    assert UsageEvent.objects.count() == 4


def test_a_standby_that_takes_no_writes_is_waited_for(
    acme: Organization, recorder: LedgerRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")])
    real = record._write

    def write(*args: Any, **named: Any) -> Any:
        for refusal in refusals:
            raise refusal
        return real(*args, **named)

    monkeypatch.setattr(record, "_write", write)
    before = dead_letters.number_kept
    make(recorder)
    assert recorder.flush(timeout=20)
    assert (UsageEvent.objects.count(), dead_letters.number_kept) == (1, before)


def test_a_stopped_connection_is_replaced(acme: Organization, recorder: LedgerRecorder) -> None:
    """The server restarts between two calls: the second call notices and is recorded all the same."""
    make(recorder)
    assert recorder.flush(timeout=20)
    with pool.ledger_connection() as held:
        pid = held.info.backend_pid
    connection.cursor().execute("SELECT pg_terminate_backend(%s)", [pid])
    make(recorder)
    assert recorder.flush(timeout=20)
    assert UsageEvent.objects.count() == 2


# The disk is full, or cannot be written


def test_on_a_full_disk_calls_succeed_and_are_recorded_from_memory(
    recorder: LedgerRecorder, directory: Path, outage: Outage
) -> None:
    make(recorder, request_id="a")
    size = len(files(directory)[0])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limit[1]))  # only a part of the next line fits
    try:
        make(recorder, request_id="b")
        time.sleep(0.05)
        make(recorder, request_id="c")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert recorder._writer._journal.is_broken
    time.sleep(0.05)
    make(recorder, request_id="d")  # the disk has room again, and now gets the missed lines too
    assert not recorder._writer._journal.is_broken
    (text,) = files(directory)
    assert all(f'"{name}"' in text for name in "abcd")
    outage.on = False
    assert recorder.flush(20)
    assert ids() == ["a", "b", "c", "d"]


def test_where_no_journal_can_be_made_calls_are_recorded_all_the_same(
    settings: Any, make_recorder: Callable[..., LedgerRecorder], caplog: pytest.LogCaptureFixture
) -> None:
    settings.JOURNAL_DIR.write_text("a file where the directory should be")
    recorder = make_recorder()
    make(recorder)
    make(recorder)
    assert recorder.flush(20)
    assert UsageEvent.objects.count() == 2
    assert caplog.text.count("The journal cannot be written") == 1


def test_what_the_disk_cut_off_is_replayed_from_the_line_that_came_later(
    recorder: LedgerRecorder, directory: Path, outage: Outage
) -> None:
    make(recorder, request_id="a")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(files(directory)[0]) + 100, limit[1]))
    try:
        make(recorder, request_id="b")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    time.sleep(0.05)
    make(recorder, request_id="c")
    recorder._writer.close()  # as if the process were killed before a call is settled
    outage.on = False
    replayed = replay_journals()
    assert (replayed.ended, replayed.interrupted, replayed.torn) == (3, 0, 1)
    assert ids() == ["a", "b", "c"]


# The process ends, or forks

PROGRAM = """
import os, sys, time, django
django.setup()
from django.db import connections
connections["default"].settings_dict["NAME"] = os.environ["TEST_DATABASE"]
from groq_client import Groq, dispatch
from groq_client.journal import writer
dispatch.EXIT_SECONDS = writer.DRAIN_SECONDS = 60  # on a busy machine too, a program that exits has written its calls
client = Groq(api_key="gsk_test", base_url=os.environ["SIMULATOR"])
messages = [{"role": "user", "content": "hi"}]
"""


@pytest.fixture(scope="module", autouse=True)
def simulator() -> Iterator[None]:
    """One for all programs: each would load a vocabulary for its own, which takes longer than what it does."""
    with running_simulator() as handle, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIMULATOR", handle.base_url)
        yield


def run(program: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings",
        "TEST_DATABASE": str(connection.settings_dict["NAME"]),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        env=environment | more,
        check=False,
        timeout=300,
        capture_output=True,
        text=True,
    )
    print(done.stderr)  # noqa: T201 - pytest shows it if the test fails
    return done


STREAM = """
stream = client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages, stream=True)
next(stream)
"""


def test_calls_that_end_at_exit_are_written(acme: Organization, directory: Path) -> None:
    """A process ends with an open stream. An exit handler ends the stream's call, which is recorded."""
    run(STREAM, JOURNAL_DIR=str(directory)).check_returncode()
    assert UsageEvent.objects.get().error_code == "abandoned"
    assert files(directory) == []


def test_a_process_that_is_asked_to_end_ends_by_the_signal_and_loses_nothing(directory: Path) -> None:
    """The library installs no signal handler in its host. The journal has the calls that are not written in time."""
    program = """
import signal
client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
os.kill(os.getpid(), 15)
time.sleep(30)
"""
    assert run(program, JOURNAL_DIR=str(directory)).returncode == -signal.SIGTERM
    replay_journals()
    assert UsageEvent.objects.get().status == "success"
    assert files(directory) == []


POOLS = """
import multiprocessing
client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages)
for _ in range(int(os.environ["POOLS"])):
    with multiprocessing.get_context("fork").Pool(4):
        pass
"""


def test_pools_of_processes_open_and_close_after_a_recorded_call(directory: Path) -> None:
    """A pool ends its processes by SIGTERM as soon as they are made. With a handler of ours in them, one pool of twenty
    never closed: 100 pools find that in 99 runs of 100, and ``make kill-trials`` opens 1,000."""
    run(POOLS, JOURNAL_DIR=str(directory), POOLS=os.environ.get("POOLS", "100")).check_returncode()
    assert UsageEvent.objects.get().status == "success"


def test_who_handles_the_signal_already_goes_on_doing_so(directory: Path) -> None:
    program = """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages)
os.kill(os.getpid(), 15)
time.sleep(30)
"""
    assert run(program, JOURNAL_DIR=str(directory)).returncode == 7
    assert UsageEvent.objects.get().status == "success"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_call_in_a_killed_process_is_recorded_as_interrupted_with_estimated_tokens(
    acme: Organization, directory: Path, number: signal.Signals
) -> None:
    """Like all calls that were sent and got no answer, it has an estimated input and no output."""
    program = """
from groq_client import usage_context
messages[0]["content"] = "Rivers of Asia. " * 100
with usage_context(organization="acme", user="ann", request_id="cut-off"):
    stream = client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages, stream=True)
next(stream)
time.sleep(0.05)
os.kill(os.getpid(), int(os.environ['SIGNAL']))
time.sleep(60)
"""
    assert run(program, JOURNAL_DIR=str(directory), SIGNAL=str(number.value)).returncode == -number
    assert UsageEvent.objects.count() == 0
    replayed = replay_journals()
    assert (replayed.files, replayed.interrupted) == (1, 1)
    event = UsageEvent.objects.get()
    assert (event.request_id, event.organization, event.user.handle) == ("cut-off", acme, "ann")  # type: ignore[union-attr]
    assert (event.status, event.error_code, event.stream) == ("error", "interrupted", True)
    assert (event.input_tokens, event.output_tokens, event.tokens_estimated) == (400, 0, True)
    assert (event.model, event.model_requested) == ("openai/gpt-oss-20b", "openai/gpt-oss-20b")
    assert replay_journals().files == 0
    assert files(directory) == []


def test_a_call_of_a_process_that_died_while_its_usage_was_estimated_has_ended(
    acme: Organization, directory: Path
) -> None:
    program = """
from groq_client import recording
recording._estimated_input = lambda *_: time.sleep(60)
list(client.chat.completions.create(model="sim/no-usage/openai/gpt-oss-20b", messages=messages, stream=True))
os.kill(os.getpid(), 9)
"""
    assert run(program, JOURNAL_DIR=str(directory)).returncode == -signal.SIGKILL
    replayed = replay_journals()
    assert (replayed.ended, replayed.interrupted) == (1, 0)
    event = UsageEvent.objects.get()
    assert (event.status, event.error_code, event.http_status) == ("success", "", 200)
    assert (event.input_tokens, event.tokens_estimated) == (1, True)


def test_a_call_whose_end_was_told_before_its_usage_is_recorded_once(recorder: LedgerRecorder) -> None:
    one = call(request_id="a", usage=usage(input_tokens=1, estimated=True))
    recorder.start(one)
    recorder.ended(one)
    one.usage = usage(input_tokens=77, estimated=True)
    recorder.finish(one)
    assert recorder.flush(20)
    assert UsageEvent.objects.get().input_tokens == 77


def test_a_forked_child_has_a_journal_and_a_thread_of_its_own(directory: Path) -> None:
    program = """
import groq_client
client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages)
open_stream = client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages, stream=True)
child = os.fork()
if not child:
    client.copy(max_retries=0).chat.completions.create(model="openai/gpt-oss-120b", messages=messages)
    os._exit(0 if groq_client.flush(20) else 1)
assert os.waitpid(child, 0)[1] == 0
list(open_stream)
assert groq_client.flush(20)
"""
    run(program, JOURNAL_DIR=str(directory)).check_returncode()
    assert sorted(UsageEvent.objects.values_list("model", "stream", "status")) == [
        ("openai/gpt-oss-120b", False, "success"),
        ("openai/gpt-oss-20b", False, "success"),
        ("openai/gpt-oss-20b", True, "success"),
    ]
    replay_journals()  # the journal of the child, which ended without its exit handlers
    assert UsageEvent.objects.count() == 3


def test_late_calls_are_counted_while_another_organization_becomes_late() -> None:
    """Callers count the late calls while the writer's thread adds some."""
    late = LateCalls()

    class AddedMeanwhile(list[Call]):
        def __len__(self) -> int:
            late.add(call(organization="globex"))
            return super().__len__()

    late.add(call(organization="acme"))
    late._queues["acme"].calls = AddedMeanwhile(late)
    assert len(late) == 1


def test_a_call_that_is_still_estimated_is_not_handed_over(recorder: LedgerRecorder, acme: Organization) -> None:
    """When memory is full, the waiting calls are replayed from a file. A call whose usage is still being estimated is
    not among them, or its rough usage would be recorded and its real one refused as a conflict."""
    one = call(organization="acme", request_id="one", usage=usage(1, 0))
    recorder.start(one)
    recorder.ended(one)
    make(recorder, organization="acme", request_id="two")
    assert recorder.flush(10)
    recorder._writer._journal.hand_over()
    replay_journals()
    assert ids() == ["two"]
    recorder.finish(replace(one, usage=usage(100, 20)))
    assert recorder.flush(10)
    assert UsageEvent.objects.get(request_id="one").input_tokens == 100
