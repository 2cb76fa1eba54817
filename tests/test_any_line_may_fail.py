"""Whichever line of the recorder raises an exception, the caller gets the same result as from the SDK alone.

A run without errors finds the lines that are run, in the caller's thread and in those of the recorder. Then each line
is made to fail once, the first time that it is reached, in a call of its own. Another call follows, which would show a
lock or a queue that the exception has left in a wrong state.

The lines are those of functions that only the recorder needs and that are called within a guard. Of the guards
themselves (``_begin``, ``_complete_safely`` and others), only the lines in a ``try`` that catches all exceptions are
included. Functions that pass on the SDK's request, bytes and errors are left out, because they are the call itself. A
line with only ``try:`` is left out too, because it does nothing that could fail.
"""

import ast
import asyncio
import io
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import groq
import pytest

import groq_client
from accounts.models import Organization
from groq_client import Recorder, background, dispatch, usage_context
from groq_client.journal import writer
from groq_client.recorder import failures
from groq_client.simulator.server import SimulatorHandle, running_simulator
from ledger.journal import dead_letters, settle
from ledger.journal.recorder import LedgerRecorder
from ledger.models import Tail, UsageEvent
from ledger.recording import folder as of_folder
from ledger.recording import record
from ledger.rollups import tail_vacuum
from tests.groq_client.memory import MESSAGES, MODEL, Memory
from tests.ledger.calls import call
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import WatchedFolder
from tests.running_demo import wait_until

ROOT = Path(__file__).parent.parent
CLIENT: dict[str, tuple[str, ...]] = {
    "groq_client/recording.py": (
        "answered",
        "take_head",
        "see",
        "see_end",
        "_complete",
        "_complete_answer",
        "_was_left_when_whole",
        "_was_sent",
        "_lacks_a_count",
        "_judge",
        "_fail",
        "_usage",
        "_audio_usage",
        "_measure_audio",
    ),
    "groq_client/answer.py": (),
    "groq_client/asked.py": (),
    "groq_client/audio/__init__.py": (),
    "groq_client/audio/source.py": (),
    "groq_client/audio/wav.py": (),
    "groq_client/cycles.py": (),
    "groq_client/usage.py": (),
}
GUARDS = {
    "groq_client/client.py": ("_begin", "_answered", "parse"),
    "groq_client/recorder.py": ("is_blocking", "start", "ended", "finish"),
    "groq_client/recording.py": (
        "_start",
        "_must_measure_first",
        "_is_to_be_estimated",
        "_forget_content",
        "_tell",
        "_complete_safely",
    ),
}
"""Functions of which the lines are watched that stand in a ``try`` with ``except Exception`` or ``BaseException``."""
LEDGER: dict[str, tuple[str, ...]] = {
    "groq_client/background.py": (),
    "groq_client/journal/writer.py": (),
    "groq_client/journal/journal.py": (),
    "groq_client/journal/call_json.py": (),
    "ledger/journal/settle.py": (),
    "ledger/recording/record.py": (),
}
"""Modules and, where not all, their functions."""
FOLDER: dict[str, tuple[str, ...]] = {
    "groq_client/background.py": (),
    "ledger/recording/folder.py": ("wrote", "_work", "_let_events_gather", "_fold"),
    "ledger/recording/folding.py": ("fold_tail",),
    "ledger/rollups/fold.py": ("fold", "fold_some"),
    "ledger/rollups/tail_vacuum.py": ("vacuum_if_needed",),
}
WAYS = ("sync", "async", "sync stream", "async stream", "sync error", "async error", "sync audio", "async audio")

Line = tuple[str, int]


class Tracer:
    """Notes the lines of the recorder that are run in any thread, and raises once at the line ``fail_at``."""

    def __init__(self, watched: frozenset[Line], fail_at: Line | None = None) -> None:
        self._watched = watched
        self._files = {name for name, _ in watched}
        self.fail_at = fail_at
        self.lines: dict[Line, None] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        threading.settrace(self._called)
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        line = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and line in self._watched:
            self.lines[line] = None
            if line == self.fail_at:
                self.fail_at = None
                raise RuntimeError(f"injected at {name_of(line)}")
        return self._line


def lines_of(watched: dict[str, tuple[str, ...]], guards: dict[str, tuple[str, ...]]) -> frozenset[Line]:
    lines: set[Line] = set()
    for name in watched.keys() | guards.keys():
        path = ROOT / name
        text = path.read_text()
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                if name in watched and function.name in (watched[name] or (function.name,)):
                    lines |= {(str(path), line) for line in span(function.body)}
                if function.name in guards.get(name, ()):
                    lines |= {(str(path), line) for line in guarded(function)}
        lines -= {(str(path), number) for number, line in enumerate(text.splitlines(), 1) if line.strip() == "try:"}
    return frozenset(lines)


def guarded(function: ast.AST) -> Iterator[int]:
    for part in ast.walk(function):
        if isinstance(part, ast.Try) and any(
            isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
            for handler in part.handlers
        ):
            yield from span(part.body)


def span(body: list[ast.stmt]) -> range:
    return range(body[0].lineno, (body[-1].end_lineno or 0) + 1)


def name_of(line: Line) -> str:
    return f"{Path(line[0]).relative_to(ROOT)}:{line[1]}"


class Caller:
    """Makes a call in one of several ways, by the SDK's client or by ours."""

    def __init__(self, way: str, base_url: str) -> None:
        self.is_async, self.streams, self.is_audio = "async" in way, "stream" in way, "audio" in way
        headers = {"x-sim-fault": "error-400"} if "error" in way else {"x-sim-chunks": "3"} if self.streams else {}
        self.request: dict[str, Any] = {
            "model": MODEL,
            "messages": MESSAGES,
            "stream": self.streams,
            "extra_headers": headers,
        }
        options = {"api_key": "gsk_test", "base_url": base_url, "max_retries": 0}
        if self.is_async:
            self.loop = asyncio.new_event_loop()
            self.bare: Any = groq.AsyncGroq(**options)  # type: ignore[arg-type]
            self.ours: Any = groq_client.AsyncGroq(**options)  # type: ignore[arg-type]
        else:
            self.bare = groq.Groq(**options)  # type: ignore[arg-type]
            self.ours = groq_client.Groq(**options)  # type: ignore[arg-type]

    def close(self) -> None:
        for client in (self.bare, self.ours):
            if self.is_async:
                self.loop.run_until_complete(client.close())
            else:
                client.close()
        if self.is_async:
            self.loop.close()

    def outcome(self, client: Any) -> tuple[str, Any]:
        """The result for the caller: the kind of answer or exception, and its content."""
        try:
            answer = self.loop.run_until_complete(self._ask(client)) if self.is_async else self._ask_sync(client)
        except Exception as error:
            return type(error).__name__, getattr(error, "status_code", str(error))
        return "answer", answer

    def _ask_sync(self, client: Any) -> Any:
        if self.is_audio:
            return client.audio.transcriptions.create(**recording()).text
        answer = client.chat.completions.create(**self.request)
        return [said(chunk) for chunk in answer] if self.streams else said(answer)

    async def _ask(self, client: Any) -> Any:
        if self.is_audio:
            return (await client.audio.transcriptions.create(**recording())).text
        answer = await client.chat.completions.create(**self.request)
        return [said(chunk) async for chunk in answer] if self.streams else said(answer)


def recording() -> dict[str, Any]:
    """A file object with audio, whose length has to be measured before it is sent."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 1, 8000, 8000, "NONE", ""))
        writer.writeframes(b"\x80" * 8000)
    file.seek(0)
    return {"model": "whisper-large-v3", "file": ("a.wav", file)}


def said(answer: Any) -> Any:
    """The content of an answer or a chunk, without values that differ from call to call."""
    return [choice.model_dump() for choice in answer.choices]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a failed writer go on at once, and restore the recorder of all other tests afterwards."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(settle, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.01)
    before = groq_client.recorder.default_recorder()
    yield
    groq_client.configure(before)


@pytest.fixture(autouse=True)
def threads_that_live_are_watched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace the dispatcher's threads as well. They exist since the first call, but ``threading.settrace`` is only for
    new threads."""
    run = dispatch._run

    def watched(work: dispatch.Work, future: "Future[None]") -> None:
        sys.settrace(threading.gettrace())
        run(work, future)

    monkeypatch.setattr(dispatch, "_run", watched)


def lines_that_fail(
    watched: frozenset[Line], caller: Caller, recorder: Callable[[], Recorder]
) -> Iterator[tuple[str, Recorder]]:
    """For each line, make a call in which the line fails, and then another call. Yields the line's name, which is the
    request id of the first call, and the recorder of both."""
    expected = caller.outcome(caller.bare)
    undisturbed = Tracer(watched)
    lines = every_line(undisturbed, caller, recorder(), expected)
    harmed, missed = {}, []
    for line in lines:
        tracer, name, told = Tracer(watched, line), name_of(line), recorder()
        groq_client.configure(told)
        with tracer.watching(), usage_context(request_id=name):
            outcome = caller.outcome(caller.ours)
            groq_client.flush(0.3)
        if outcome != expected:
            harmed[name] = outcome
        if tracer.fail_at is not None:
            missed.append(name)
        with usage_context(request_id=f"after {name}"):
            assert caller.outcome(caller.ours) == expected, f"after {name}"
        assert groq_client.flush(5), f"after {name}"
        yield name, told
    assert harmed == {}
    assert len(missed) <= len(lines) / 2, missed  # lines that different threads run by chance


def every_line(tracer: Tracer, caller: Caller, recorder: Recorder, expected: Any) -> list[Line]:
    groq_client.configure(recorder)
    with tracer.watching():
        assert caller.outcome(caller.ours) == expected
        assert groq_client.flush(5)
    assert len(tracer.lines) > 20
    return list(tracer.lines)


@pytest.mark.parametrize("way", WAYS)
def test_the_caller_gets_the_same_whichever_line_of_the_client_fails(way: str, simulator: SimulatorHandle) -> None:
    """The call is also recorded, or its loss is counted."""
    caller = Caller(way, simulator.base_url)
    assert caller.outcome(caller.bare)[0] == ("BadRequestError" if "error" in way else "answer")
    silent, before = [], failures()
    for name, told in lines_that_fail(lines_of(CLIENT, GUARDS), caller, Memory):
        assert isinstance(told, Memory)
        ids = {call.request_id for call in told.finished}
        assert f"after {name}" in ids
        if name not in ids and failures() == before:
            silent.append(name)
        before = failures()
    caller.close()
    assert silent == []


@pytest.mark.django_db(transaction=True)
def test_the_caller_gets_the_same_whichever_line_of_the_ledger_fails(
    simulator: SimulatorHandle, default_organization: Organization, caplog: pytest.LogCaptureFixture
) -> None:
    """The call is also in the ledger, or its loss is counted. The ledger gets the same call in all ways, so one is
    enough."""
    caller = Caller("sync", simulator.base_url)
    names, told = [], set()
    before = failures(), dead_letters.number_kept
    for name, recorder in lines_that_fail(lines_of(LEDGER, {}), caller, LedgerRecorder):
        names.append(name)
        if (failures(), dead_letters.number_kept) != before or "injected at" in caplog.text:
            told.add(name)
        before = failures(), dead_letters.number_kept
        caplog.clear()
        assert isinstance(recorder, LedgerRecorder)
        recorder._writer.close()
    caller.close()
    recorded = set(UsageEvent.objects.values_list("request_id", flat=True))
    assert {f"after {name}" for name in names} - recorded == set()
    assert [name for name in names if name not in recorded and name not in told] == []


@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_or_doubled_whichever_line_of_a_fold_fails(
    acme: Organization, folder: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next write, if not the folder itself, moves what stayed in the tail. A failure after an event is committed
    makes no difference, since the call is then found to be recorded."""
    monkeypatch.setattr(of_folder, "AGE_SECONDS", 0.01)
    monkeypatch.setattr(tail_vacuum, "DEAD_ROWS", 0)
    monkeypatch.setattr(tail_vacuum, "REST_SECONDS", -1)
    watched = lines_of(FOLDER, {})
    undisturbed = Tracer(watched)
    written(undisturbed, monkeypatch)
    missed = []
    for line in undisturbed.lines:
        tracer = Tracer(watched, line)
        written(tracer, monkeypatch)
        if tracer.fail_at is not None:
            missed.append(name_of(line))
        assert wrong_sums() == [], name_of(line)
    assert len(undisturbed.lines) > 30
    assert len(missed) <= len(undisturbed.lines) / 2, missed  # lines that different threads run by chance
    assert UsageEvent.objects.count() == 2 * (1 + len(undisturbed.lines))


def written(tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record two calls, each followed by a fold in a folder of its own."""
    ours = WatchedFolder()
    monkeypatch.setattr(record, "folder", ours)
    with tracer.watching():
        for n in range(2):
            made = call(organization="acme", session_id=f"s{n}")
            for _ in range(2):  # whoever gets an error tries again
                with suppress(RuntimeError):
                    record.record([made])
            deadline = time.monotonic() + (10 if n else 0.5)
            while Tail.objects.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
    assert not Tail.objects.exists()
    wait_until(lambda: ours.is_idle, 10)
