"""The recorder may fail at any of its lines: whoever makes the call gets exactly what the SDK alone would have given.

A first run finds out which lines a call goes through, in whatever thread; then the call is made once for each of them,
with an exception at that line. The socket, the SDK, the writer's thread and the database are real.
"""

import asyncio
import atexit
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import groq
import httpx
import pytest
from django.conf import settings as project

import groq_client
from analytics import call_json, journal, recording, rows, settling, writer
from analytics.models import UsageEvent
from analytics.writer import LedgerRecorder
from groq_client import answer, asked, usage, usage_context
from groq_client.simulator.server import SimulatorHandle, running_simulator
from tests.analytics.calls import call
from tests.groq_client.memory import MESSAGES, MODEL

pytestmark = pytest.mark.django_db(transaction=True)

RECORDER = (writer, journal, call_json, settling, recording, rows)
READING = (answer, asked, usage)
"""Reads along, for the recorder, what passes to and fro."""
FILES = {module.__file__ for module in (*RECORDER, *READING)}

Line = tuple[str, int]


class InjectedError(Exception):
    """What no code of ours expects."""


class Tracer:
    """Sees each line of the recorder, in the caller's thread and in those started meanwhile, and raises at one, once."""

    def __init__(self, fail_at: Line | None = None) -> None:
        self.seen: dict[Line, bool] = {}
        """The lines, and whether it was in the caller's thread."""
        self.fail_at = fail_at
        self.caller = threading.current_thread()

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        return self.line if frame.f_code.co_filename in FILES else None

    def line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            at = (frame.f_code.co_filename, frame.f_lineno)
            self.seen[at] = threading.current_thread() is self.caller
            if at == self.fail_at:
                self.fail_at = None
                raise InjectedError(f"{Path(at[0]).name}:{at[1]}")
        return self.line

    @contextmanager
    def watching(self) -> Iterator[None]:
        threading.settrace(self)
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]


class Caller:
    """Makes one call in one of the ways, and tells all that came of it."""

    def __init__(self, way: str, base_url: str) -> None:
        options = {"api_key": "gsk_test", "base_url": base_url, "max_retries": 0}
        self.is_async, self.stream, self.fails = "async" in way, "streamed" in way, "refused" in way
        kinds: Any = (groq.AsyncGroq, groq_client.AsyncGroq) if self.is_async else (groq.Groq, groq_client.Groq)
        self.bare, self.ours = (kind(**options, http_client=self._http()) for kind in kinds)
        self.runner = asyncio.Runner()

    def _http(self) -> Any:
        return httpx.AsyncClient(verify=False) if self.is_async else httpx.Client(verify=False)

    def outcome(self, client: Any) -> object:
        request = {"model": "sim/error-400" if self.fails else MODEL, "messages": MESSAGES, "stream": self.stream}
        try:
            if self.is_async:
                return self.runner.run(self._ask_async(client, request))
            given = client.chat.completions.create(**request)
            return [_said(chunk) for chunk in given] if self.stream else _said(given)
        except Exception as error:
            return type(error), str(error)

    async def _ask_async(self, client: Any, request: dict[str, Any]) -> object:
        given = await client.chat.completions.create(**request)
        return [_said(chunk) async for chunk in given] if self.stream else _said(given)


def _said(answer: Any) -> object:
    """The answer without what differs from one call to the next."""
    return answer.model_dump(exclude={"id", "created", "x_groq", "system_fingerprint", "usage"})


WAYS = ("sync", "sync streamed", "async", "async streamed", "sync refused", "async streamed refused")


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


@pytest.fixture
def make_recorder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], LedgerRecorder]]:
    """Makes a new one the default; a tracer that has raised is gone from its thread, so each failure needs its own."""
    settings.JOURNAL_DIR = tmp_path
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(writer, "LINGER_SECONDS", 0.0)
    before = groq_client.recorder.default_recorder()

    def make() -> LedgerRecorder:
        made = LedgerRecorder()
        atexit.unregister(made._writer.close)
        groq_client.configure(made)
        return made

    yield make
    groq_client.configure(before)


@pytest.mark.parametrize("way", WAYS)
def test_the_caller_gets_the_same_whichever_line_of_the_recorder_fails(
    way: str, simulator: SimulatorHandle, make_recorder: Callable[[], LedgerRecorder]
) -> None:
    caller = Caller(way, simulator.base_url)
    expected = caller.outcome(caller.bare)

    def call_with(tracer: Tracer, name: str) -> None:
        """The call as ``name``, and one more, which is not disturbed."""
        recorder = make_recorder()
        with tracer.watching(), usage_context(request_id=name):
            outcome = caller.outcome(caller.ours)
        assert outcome == expected, name
        following = call(request_id=f"after {name}")
        recorder.start(following)
        recorder.finish(following)
        assert recorder.flush(10), name
        recorder._writer.close()

    call_with(Tracer(), "first")
    first = Tracer()
    call_with(first, "undisturbed")
    lines = [line for line, is_callers in sorted(first.seen.items()) if is_callers or way == WAYS[0]]
    names = [f"{Path(file).name}:{number}" for file, number in lines]
    for line, name in zip(lines, names, strict=True):
        tracer = Tracer(line)
        call_with(tracer, name)
        assert tracer.fail_at is None, f"{name} was not reached"
    recorded = set(UsageEvent.objects.values_list("request_id", flat=True))
    assert {f"after {name}" for name in names} <= recorded
    lost = [name for name in names if name not in recorded]
    print(way, len(lines), "lines;", "lost:", lost)
