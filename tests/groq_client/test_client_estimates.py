"""What Groq did not report is estimated when the caller has gone on, and told once."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import groq
import pytest

from groq_client import AsyncGroq, Groq, flush, recording
from groq_client.asked import Asked
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import MESSAGES, MODEL, SLOWLY, Memory
from tests.groq_client.test_client_endings import WHAT_WAS_SENT, break_off, break_off_async

ROOT = Path(__file__).parents[2]


class Gate:
    """Holds up every estimate until it is opened, and remembers in which threads they were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self.threads: set[str] = set()
        real = recording._estimated_input

        def estimate(asked: Asked, model: str) -> int:
            self.threads.add(threading.current_thread().name)
            assert self._open.wait(30)
            return real(asked, model)

        monkeypatch.setattr(recording, "_estimated_input", estimate)  # the simulator counts with what is behind it

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


def answer(client: Groq) -> None:
    client.chat.completions.create(model=f"sim/no-usage/{MODEL}", messages=MESSAGES)


def stream(client: Any, model: str, **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=MESSAGES, stream=True, **more)


def read_a_stream(client: Groq) -> None:
    list(stream(client, f"sim/no-usage/{MODEL}"))


def close_a_stream(client: Groq) -> None:
    with stream(client, MODEL, extra_headers=SLOWLY) as chunks:
        break_off(chunks)


def leave_a_stream(client: Groq) -> None:
    break_off(stream(client, MODEL, extra_headers=SLOWLY))


def meet_an_error(client: Groq) -> None:
    with pytest.raises(groq.APIError):
        list(stream(client, f"sim/error-midstream/{MODEL}"))


async def answer_async(client: AsyncGroq) -> None:
    await client.chat.completions.create(model=f"sim/no-usage/{MODEL}", messages=MESSAGES)


async def read_a_stream_async(client: AsyncGroq) -> None:
    async for _ in await stream(client, f"sim/no-usage/{MODEL}"):
        pass


async def close_a_stream_async(client: AsyncGroq) -> None:
    async with await stream(client, MODEL, extra_headers=SLOWLY) as chunks:
        await break_off_async(chunks)


async def be_cancelled(client: AsyncGroq) -> None:
    seen: list[Any] = []

    async def read() -> None:
        async for chunk in await stream(client, MODEL, extra_headers={**SLOWLY, "x-sim-chunk-delay-ms": "100"}):
            seen.append(chunk)  # noqa: PERF401 - looked at while it grows

    task = asyncio.create_task(read())
    while len(seen) < 2:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def assert_told_once_when_estimated(memory: Memory, gate: Gate, *, is_known: bool = True) -> None:
    """The caller is here, and the estimate is not."""
    assert memory.finished == []
    assert bool(memory.known) is is_known, "what keeps a journal knows of the end before the caller goes on"
    gate.open()
    assert flush(10)
    assert len(memory.finished) == 1
    assert memory.finished[0].usage.estimated
    assert memory.finished[0].usage.input_tokens > WHAT_WAS_SENT.input_tokens
    assert all(name.startswith("groq_client-") for name in gate.threads)


@pytest.mark.parametrize("call", [answer, read_a_stream, close_a_stream, leave_a_stream, meet_an_error])
def test_no_caller_waits_for_an_estimate(
    sim: SimulatorHandle, memory: Memory, gate: Gate, call: Callable[[Groq], None]
) -> None:
    with Groq(api_key="gsk_test", base_url=sim.base_url, max_retries=0, recorder=memory) as client:
        call(client)
        # Whoever lets go of a stream may do so anywhere: nobody writes a journal there.
        assert_told_once_when_estimated(memory, gate, is_known=call is not leave_a_stream)


@pytest.mark.parametrize("call", [answer_async, read_a_stream_async, close_a_stream_async, be_cancelled])
async def test_no_task_waits_for_an_estimate(
    sim: SimulatorHandle, memory: Memory, gate: Gate, call: Callable[[AsyncGroq], Any]
) -> None:
    async with AsyncGroq(api_key="gsk_test", base_url=sim.base_url, max_retries=0, recorder=memory) as client:
        await call(client)
        assert_told_once_when_estimated(memory, gate)


def test_no_caller_waits_for_the_length_of_an_audio_file_to_be_measured(
    sim: SimulatorHandle, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    monkeypatch.setattr(
        "groq_client.recording.length_of", lambda content: threads.append(threading.current_thread().name)
    )
    with Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory) as client:
        client.audio.transcriptions.create(file=("a.wav", b"RIFF"), model="whisper-large-v3")
    assert memory.only.usage.estimated
    assert len(threads) == 1
    assert threads[0].startswith("groq_client-")


def test_a_child_that_is_forked_while_a_vocabulary_loads_can_estimate() -> None:
    """The thread that loads it is the parent's, and gives its locks back there."""
    program = """
import os
from groq_client import tokens
model = "qwen/qwen3.8-27b"
library = tokens._library()
with tokens._loading, library.qwen._lock:
    child = os.fork()
    if not child:
        os._exit(0 if tokens.count_text("hello", model) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
