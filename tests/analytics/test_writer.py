"""What the client tells about its calls reaches the ledger, whatever the database, the disk and the process do."""

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
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from psycopg.errors import ReadOnlySqlTransaction

from accounts.models import Organization
from analytics import journal, ledger_pool, recording, settling, writer
from analytics.call_json import call_to_json
from analytics.models import UsageEvent
from analytics.replay import replay_journals, replay_refused
from analytics.writer import LedgerRecorder, Writer
from groq_client.call import Call
from tests.analytics.calls import call, usage

pytestmark = pytest.mark.django_db(transaction=True)

Finish = Callable[..., None]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.JOURNAL_DIR = tmp_path / "journal"
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(writer, "DRAIN_SECONDS", 0.2)
    monkeypatch.setattr(journal, "RETRY_SECONDS", 0.02)
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
    """A database that refuses for as long as ``on``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = True
        real = recording.ledger_connection

        def connect():  # type: ignore[no-untyped-def]
            if self.on:
                raise psycopg.OperationalError("the server is away")
            return real()

        monkeypatch.setattr(recording, "ledger_connection", connect)


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
    make(recorder, request_id="a")
    assert recorder.flush(5)
    make(recorder, request_id="b")
    deadline = time.monotonic() + 1
    while len(ids()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ids() == ["a", "b"]


def test_the_synchronous_mode_waits_for_the_row(recorder: LedgerRecorder, settings: Any) -> None:
    assert not recorder.finish_is_blocking
    settings.RECORDING_SYNCHRONOUS = True
    assert recorder.finish_is_blocking
    make(recorder, request_id="a")
    assert ids() == ["a"]


def test_a_call_is_recorded_though_its_caller_rolls_back(acme: Organization, recorder: LedgerRecorder) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        make(recorder, organization=acme.slug)
        assert recorder.flush(5)
        raise RuntimeError
    assert UsageEvent.objects.count() == 1


def test_many_threads_share_transactions(
    acme: Organization, recorder: LedgerRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    real = settling.record
    monkeypatch.setattr(settling, "record", lambda calls: batches.append(len(calls)) or real(calls))
    threads = [threading.Thread(target=lambda: [make(recorder) for _ in range(10)]) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.flush(5)
    assert UsageEvent.objects.count() == 100
    assert len(batches) < 50


def test_what_is_recorded_leaves_no_file_behind(recorder: LedgerRecorder, directory: Path) -> None:
    make(recorder)
    assert recorder.flush(5)
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
        assert recorder.flush(5)
    recorder._writer.close()  # what the thread is doing after the last flush is over
    (text,) = files(directory)
    assert len(text) < 4_000
    assert '"open"' in text


def test_usage_debug_logs_each_event(recorder: LedgerRecorder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "usage.recording"):
        make(recorder, request_id="look-at-me")
        assert recorder.flush(5)
    assert "look-at-me" in caplog.text


# The database is away, slow, or refuses


def test_calls_wait_while_the_database_is_away(acme: Organization, recorder: LedgerRecorder, outage: Outage) -> None:
    for _ in range(5):
        make(recorder, organization=acme.slug)
    assert not recorder.flush(timeout=0.1)
    outage.on = False
    assert recorder.flush(timeout=5)
    assert UsageEvent.objects.count() == 5


def test_the_journal_does_not_grow_while_nothing_happens(
    recorder: LedgerRecorder, directory: Path, outage: Outage
) -> None:
    make(recorder)
    assert not recorder.flush(0.1)  # tried several times meanwhile
    (before,) = files(directory)
    assert not recorder.flush(0.1)
    assert files(directory) == [before]
    outage.on = False
    assert recorder.flush(5)


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
    deadline = time.monotonic() + 5
    while ids() != names and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ids() == names
    assert settling.lost_calls == 0 or not (directory / settling.REFUSED).exists()


def test_who_waits_for_the_ledger_waits_for_what_was_left_to_files_too(
    make_recorder: Callable[..., LedgerRecorder], outage: Outage
) -> None:
    """However long: without a limit of time it used to wait for ever."""
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
    waiting.join(5)
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
            recorder.finish(late.pop())  # of another thread, just now
        return handed

    monkeypatch.setattr(of_writer, "hand_over", hand_over)
    for name in ("a", "b", "c"):
        make(recorder, request_id=name)
    time.sleep(0.1)
    assert not late
    outage.on = False
    assert recorder.flush(5)
    assert ids() == ["a", "b", "c", "late"]


def test_live_calls_do_not_wait_until_all_files_are_replayed(
    recorder: LedgerRecorder, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.mkdir()
    for n in range(3):
        (directory / f"{n}.journal").write_text(f"E{call_to_json(call(request_id=str(n)))}\n")
    order: list[str] = []
    real = settling.record

    def record(calls: Sequence[Call]) -> recording.Recorded:
        order.extend(one.request_id for one in calls)
        if order == ["0"]:
            make(recorder, request_id="live")
        return real(calls)

    monkeypatch.setattr(settling, "record", record)
    monkeypatch.setattr("analytics.replay.settle", settling.settle)
    recorder._writer._ensure_thread()
    recorder._writer._wake.put(None)
    deadline = time.monotonic() + 5
    while len(ids()) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert order == ["0", "live", "1", "2"]


def test_after_a_failure_the_writer_goes_on_without_being_called(
    recorder: LedgerRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([RuntimeError("once")])
    real = writer.settle

    def settle(calls: Sequence[Call]) -> int:
        for failure in failures:
            raise failure
        return real(calls)

    recorder._writer._has_backlog = False
    monkeypatch.setattr(writer, "settle", settle)
    make(recorder, request_id="a")
    deadline = time.monotonic() + 5
    while not ids() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ids() == ["a"]


def test_a_call_that_nobody_can_write_down_holds_up_no_other(recorder: LedgerRecorder) -> None:
    endless: dict[str, Any] = {}
    endless["endless"] = endless
    before = settling.lost_calls
    with pytest.raises(ValueError, match="Circular"):  # which the client catches
        recorder.finish(call(metadata=endless))
    make(recorder, request_id="next")
    assert recorder.flush(5)
    assert (ids(), settling.lost_calls) == (["next"], before + 1)


def test_a_signals_handler_may_call_while_the_thread_is_started(
    recorder: LedgerRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is still one thread: two would take calls from each other."""
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", real)
        make(recorder, request_id="from the handler")
        real(thread)

    before = writers()
    monkeypatch.setattr(threading.Thread, "start", start)
    make(recorder, request_id="interrupted")
    assert writers() == before + 1
    assert recorder.flush(5)
    assert ids() == ["from the handler", "interrupted"]


def test_a_thread_that_could_not_be_started_is_by_the_next_call(
    recorder: LedgerRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        full.setattr(writer, "RETRY_SECONDS", 60)
        make(recorder, request_id="a")
    make(recorder, request_id="b")
    deadline = time.monotonic() + 5
    while len(ids()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ids() == ["a", "b"]


def test_wherever_the_start_of_the_thread_is_interrupted_the_next_call_starts_it(
    make_recorder: Callable[..., LedgerRecorder],
) -> None:
    """Before each of its instructions, as a signal's handler could that raises."""
    names: list[str] = []
    is_interrupted = True
    while is_interrupted:
        recorder, names = make_recorder(), [*names, f"{len(names):03}"]
        with interrupted(Writer._ensure_thread, at=len(names)) as interruptions:
            try:
                make(recorder, request_id=names[-1])
            except KeyboardInterrupt:
                make(recorder, request_id=f"{names[-1]} again")
        is_interrupted = interruptions == [len(names)]
        assert recorder.flush(5), names[-1]
    assert len(names) > 30
    assert [name for name in ids() if "again" not in name] == names


@contextmanager
def interrupted(function: Callable[..., None], at: int) -> Iterator[list[int]]:
    """Ctrl-C before the n-th instruction of the function in this thread, the first time. Yields a list of what was."""
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
    recorder, before = make_recorder(memory=1), settling.lost_calls
    make(recorder)
    with caplog.at_level(logging.ERROR, "usage.recording"):
        make(recorder, request_id="the-lost-one")
    assert settling.lost_calls == before + 1
    assert "the-lost-one" in caplog.text
    outage.on = False
    assert recorder.flush(timeout=5)


def test_a_call_that_the_ledger_refuses_is_set_aside_and_does_not_hold_up_the_others(
    recorder: LedgerRecorder, directory: Path
) -> None:
    before = settling.lost_calls
    for one in (call(), call(usage=usage(-5, 1), request_id="bad"), call()):
        recorder.finish(one)
    assert recorder.flush(timeout=5)
    assert UsageEvent.objects.count() == 2
    assert settling.lost_calls == before + 1
    (line,) = (directory / settling.REFUSED).read_text().splitlines()
    assert '"bad"' in line
    assert "input_tokens is -5" in line
    assert replay_refused() == (0, 1)  # it is still wrong, and still there
    assert '"bad"' in (directory / settling.REFUSED).read_text()


def test_what_was_set_aside_can_be_tried_again(
    recorder: LedgerRecorder, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(settling, "record", lambda calls: 1 / 0)
        make(recorder, request_id="a")
        assert recorder.flush(5)
    assert ids() == []
    assert replay_refused() == (1, 0)
    assert ids() == ["a"]
    assert not list(directory.glob(f"{settling.REFUSED}*"))


def test_a_server_that_hangs_does_not_hold_the_caller(
    acme: Organization, recorder: LedgerRecorder, settings: Any
) -> None:
    """It neither answers nor closes. Nobody waits; who asked to, as long as is allowed, and the next one not at all."""
    ledger_pool.close()  # so that there is one connection, the one to be stopped
    make(recorder)
    assert recorder.flush(5)
    with ledger_pool.ledger_connection() as held:
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
    real = recording._write

    def write(*args: Any, **named: Any) -> Any:
        for refusal in refusals:
            raise refusal
        return real(*args, **named)

    monkeypatch.setattr(recording, "_write", write)
    before = settling.lost_calls
    make(recorder)
    assert recorder.flush(timeout=5)
    assert (UsageEvent.objects.count(), settling.lost_calls) == (1, before)


def test_a_stopped_connection_is_replaced(acme: Organization, recorder: LedgerRecorder) -> None:
    """The server restarts between two calls: the second call notices and is recorded all the same."""
    make(recorder)
    assert recorder.flush(timeout=5)
    with ledger_pool.ledger_connection() as held:
        pid = held.info.backend_pid
    connection.cursor().execute("SELECT pg_terminate_backend(%s)", [pid])
    make(recorder)
    assert recorder.flush(timeout=5)
    assert UsageEvent.objects.count() == 2


# The disk is full, or cannot be written


def test_on_a_full_disk_calls_succeed_and_are_recorded_from_memory(
    recorder: LedgerRecorder, directory: Path, outage: Outage
) -> None:
    make(recorder, request_id="a")
    size = len(files(directory)[0])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limit[1]))  # a part of the next line fits
    try:
        make(recorder, request_id="b")
        time.sleep(0.05)
        make(recorder, request_id="c")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert recorder._writer._journal.is_broken
    time.sleep(0.05)
    make(recorder, request_id="d")  # the disk has room again: what it missed comes with it
    assert not recorder._writer._journal.is_broken
    (text,) = files(directory)
    assert all(f'"{name}"' in text for name in "abcd")
    outage.on = False
    assert recorder.flush(5)
    assert ids() == ["a", "b", "c", "d"]


def test_where_no_journal_can_be_made_calls_are_recorded_all_the_same(
    settings: Any, make_recorder: Callable[..., LedgerRecorder], caplog: pytest.LogCaptureFixture
) -> None:
    settings.JOURNAL_DIR.write_text("a file where the directory should be")
    recorder = make_recorder()
    make(recorder)
    make(recorder)
    assert recorder.flush(5)
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
    recorder._writer.close()  # as if killed: nothing was settled
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
from groq_client import Groq
from groq_client.simulator.server import running_simulator
simulator = running_simulator()
client = Groq(api_key="gsk_test", base_url=simulator.__enter__().base_url)
messages = [{"role": "user", "content": "hi"}]
"""


def run(program: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings",
        "TEST_DATABASE": str(connection.settings_dict["NAME"]),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        env=environment | more,
        check=False,
        timeout=60,
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
    """A process that ends with a stream still open: its call is ended by an exit handler, and recorded."""
    run(STREAM, JOURNAL_DIR=str(directory)).check_returncode()
    assert UsageEvent.objects.get().error_code == "abandoned"
    assert files(directory) == []


def test_a_process_that_is_asked_to_end_writes_first_and_ends_by_the_signal(directory: Path) -> None:
    program = """
client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages)
os.kill(os.getpid(), 15)
time.sleep(30)
"""
    assert run(program, JOURNAL_DIR=str(directory)).returncode == -signal.SIGTERM
    assert UsageEvent.objects.get().status == "success"


def test_it_does_so_even_in_the_middle_of_writing_a_line(directory: Path) -> None:
    program = """
from analytics.writer import DRAIN_SECONDS
import groq_client
journal = groq_client.recorder.default_recorder()._writer._journal
client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages)
start = time.monotonic()
with journal._lock:
    os.kill(os.getpid(), 15)
    time.sleep(0.1)
time.sleep(0.5 * DRAIN_SECONDS)
"""
    assert run(program, JOURNAL_DIR=str(directory)).returncode == -signal.SIGTERM
    event = UsageEvent.objects.get()
    (text,) = files(directory)
    assert text.endswith(f'C[["","{event.request_id}"]]\n')  # the writer was not held up


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


def test_a_call_in_a_killed_process_is_recorded_as_interrupted_with_estimated_tokens(
    acme: Organization, directory: Path
) -> None:
    program = """
from groq_client import usage_context
messages[0]["content"] = "Rivers of Asia. " * 100
with usage_context(organization="acme", user="ann", request_id="cut-off"):
    stream = client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages, stream=True)
next(stream)
time.sleep(0.05)
os.kill(os.getpid(), 9)
"""
    assert run(program, JOURNAL_DIR=str(directory)).returncode == -signal.SIGKILL
    assert UsageEvent.objects.count() == 0
    replayed = replay_journals()
    assert (replayed.files, replayed.interrupted) == (1, 1)
    event = UsageEvent.objects.get()
    assert (event.request_id, event.organization, event.user.handle) == ("cut-off", acme, "ann")  # type: ignore[union-attr]
    assert (event.status, event.error_code, event.stream) == ("error", "interrupted", True)
    assert (event.input_tokens, event.tokens_estimated) == (400, True)
    assert (event.model, event.model_requested) == ("openai/gpt-oss-20b", "openai/gpt-oss-20b")
    assert replay_journals().files == 0
    assert files(directory) == []


def test_a_forked_child_has_a_journal_and_a_thread_of_its_own(directory: Path) -> None:
    program = """
import groq_client
client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages)
open_stream = client.chat.completions.create(model="openai/gpt-oss-20b", messages=messages, stream=True)
child = os.fork()
if not child:
    client.copy(max_retries=0).chat.completions.create(model="openai/gpt-oss-120b", messages=messages)
    os._exit(0 if groq_client.flush(5) else 1)
assert os.waitpid(child, 0)[1] == 0
list(open_stream)
assert groq_client.flush(5)
"""
    run(program, JOURNAL_DIR=str(directory)).check_returncode()
    assert sorted(UsageEvent.objects.values_list("model", "stream", "status")) == [
        ("openai/gpt-oss-120b", False, "success"),
        ("openai/gpt-oss-20b", False, "success"),
        ("openai/gpt-oss-20b", True, "success"),
    ]
    replay_journals()  # of the child, which ended without its exit handlers
    assert UsageEvent.objects.count() == 3
