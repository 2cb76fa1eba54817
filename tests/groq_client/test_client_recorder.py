"""The recorder's side: it may forbid, be slow or fail; threads, forks, finalizers and exits lose no call."""

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import groq
import httpx
import pytest

from groq_client import AsyncGroq, Call, CallRefused, Groq, failures, flush
from groq_client.dispatch import Dispatcher
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import MESSAGES, MODEL, SLOWLY, Failing, Memory, Refusing

ROOT = Path(__file__).parents[2]


def options(sim: SimulatorHandle, recorder: Any) -> dict[str, Any]:
    return {"api_key": "gsk_test", "base_url": sim.base_url, "recorder": recorder}


def test_a_refused_call_is_not_sent(sim: SimulatorHandle) -> None:
    memory = Refusing()
    with pytest.raises(CallRefused, match="budget"):
        Groq(**options(sim, memory)).chat.completions.create(model=MODEL, messages=MESSAGES)
    call = memory.only
    assert (call.status, call.error_code, call.attempts, call.model) == ("error", "refused", 0, "")
    assert call.error_message == "The budget of this project is spent."
    assert not sim.requests


async def test_a_refused_async_call_is_not_sent(sim: SimulatorHandle) -> None:
    memory = Refusing()
    async with AsyncGroq(**options(sim, memory)) as client:
        with pytest.raises(CallRefused, match="budget"):
            await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert (memory.only.error_code, memory.only.attempts) == ("refused", 0)
    assert not sim.requests


def test_a_failing_recorder_is_logged_and_counted_and_nothing_else(
    sim: SimulatorHandle, caplog: pytest.LogCaptureFixture
) -> None:
    client, memory = Groq(**options(sim, failing := Failing())), failing
    before = failures()
    with caplog.at_level(logging.ERROR, "groq_client"):
        answer = client.chat.completions.create(model=MODEL, messages=MESSAGES)
        assert len(list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))) > 3
        with pytest.raises(groq.BadRequestError):
            client.chat.completions.create(model="sim/error-400", messages=MESSAGES)
    assert answer.usage
    assert failures() - before == 6
    assert len(memory.finished) == 3
    assert {record.name for record in caplog.records} == {"groq_client"}


async def test_a_failing_recorder_does_not_reach_an_async_caller(sim: SimulatorHandle) -> None:
    before = failures()
    async with AsyncGroq(**options(sim, Failing())) as client:
        assert (await client.chat.completions.create(model=MODEL, messages=MESSAGES)).usage
    assert failures() - before == 2


def test_a_fault_of_our_own_does_not_reach_the_caller(sim: SimulatorHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    from groq_client import answer, client, recording

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    memory = Memory()
    ours = Groq(**options(sim, memory))
    for module, name in ((answer, "read_usage"), (recording, "read_rate_limit"), (client, "asked_of")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, broken)
            assert ours.chat.completions.create(model=MODEL, messages=MESSAGES).usage
            assert list(ours.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert len(memory.calls) == 4, "without its request read, a call cannot be recorded"


async def test_the_loop_is_never_blocked(sim: SimulatorHandle) -> None:
    """It goes round while the recorder works: each part of that waits until it has."""

    class Slow(Memory):
        def start(self, call: Call) -> None:
            waited.append(has_gone_round())
            super().start(call)

        def finish(self, call: Call) -> None:
            waited.append(has_gone_round())
            super().finish(call)

    def has_gone_round() -> bool:
        goal, deadline = rounds + 5, time.monotonic() + 10
        while rounds < goal and time.monotonic() < deadline:
            time.sleep(0.005)
        return rounds >= goal

    memory, rounds = Slow(), 0
    waited: list[bool] = []

    async def watch() -> None:
        nonlocal rounds
        while True:
            await asyncio.sleep(0.005)
            rounds += 1

    watching = asyncio.create_task(watch())
    async with AsyncGroq(**options(sim, memory)) as client:
        await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        assert len(memory.finished) == 1, "the row is there when the await returns"
        async for _ in await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            pass
        assert len(memory.finished) == 2
    watching.cancel()
    assert waited == [True] * 4
    assert all(name.startswith("groq_client-") for name in memory.threads)


async def test_a_recorder_that_does_not_block_is_called_in_place(sim: SimulatorHandle) -> None:
    class Quick(Memory):
        start_is_blocking = False
        finish_is_blocking = False

    memory = Quick()
    async with AsyncGroq(**options(sim, memory)) as client:
        await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert memory.only.status == "success"
    assert memory.threads == {"MainThread"}


async def test_a_sync_client_on_an_event_loop_hands_its_recording_over(sim: SimulatorHandle, memory: Memory) -> None:
    threads: list[str] = []
    memory.start = lambda call: (threads.append(threading.current_thread().name), memory.started.append(call))  # type: ignore[method-assign,assignment]
    Groq(**options(sim, memory)).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert memory.only.status == "success"
    assert all(name.startswith("groq_client-") for name in {*threads, *memory.threads})


def test_a_sync_call_is_recorded_in_its_own_thread(sim: SimulatorHandle, memory: Memory) -> None:
    Groq(**options(sim, memory)).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(memory.finished) == 1
    assert memory.threads == {"MainThread"}


def test_an_abandoned_stream_is_recorded_elsewhere_when_it_is_collected(sim: SimulatorHandle, memory: Memory) -> None:
    stream = Groq(**options(sim, memory)).chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, extra_headers=SLOWLY
    )
    for _ in stream:
        break
    assert flush(5)
    assert memory.finished == []
    del stream
    assert memory.only.error_code == "abandoned"
    assert all(name.startswith("groq_client-") for name in memory.threads)


async def test_a_context_that_is_kept_does_not_keep_an_abandoned_stream(sim: SimulatorHandle, memory: Memory) -> None:
    """Asyncio keeps the context in which a connection was opened as long as the connection is open."""
    import contextvars

    kept: list[contextvars.Context] = []

    async def keep(_: httpx.Request) -> None:
        kept.append(contextvars.copy_context())

    http = httpx.AsyncClient(event_hooks={"request": [keep]})
    client = AsyncGroq(**options(sim, memory), http_client=http)
    stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, extra_headers=SLOWLY)
    del stream
    for _ in range(5):
        gc.collect()
        await asyncio.sleep(0.01)
    assert memory.only.error_code == "abandoned"
    await client.close()


def test_a_finalizer_may_run_in_the_middle_of_a_hand_over() -> None:
    """What a finalizer calls takes no lock: here it holds the dispatcher's already."""
    dispatcher, done = Dispatcher(), threading.Event()
    dispatcher.ready()
    with dispatcher._lock:
        dispatcher.put(done.set)
        assert done.wait(5)


def test_the_dispatcher_starts_few_threads_and_flushes() -> None:
    dispatcher, done = Dispatcher(), []
    for number in range(100):
        dispatcher.submit(lambda number=number: (time.sleep(0.002), done.append(number)))  # type: ignore[misc]
    assert dispatcher.flush(10)
    assert sorted(done) == list(range(100))
    assert len(dispatcher._threads) == 4
    assert dispatcher.close(1)
    dispatcher.submit(lambda: done.append(100))
    assert done[-1] == 100, "after the exit has begun, work is done at once"


def test_flush_says_when_it_was_not_enough() -> None:
    dispatcher, gate = Dispatcher(), threading.Event()
    dispatcher.submit(lambda: (gate.wait(5), None)[1])
    assert not dispatcher.flush(0.05)
    gate.set()
    assert dispatcher.flush(5)


PROGRAM = """
import atexit, asyncio, gc, os, sys, threading, time
from groq_client import AsyncGroq, Groq, configure, flush

class Printer:
    def start(self, call): pass
    def finish(self, call):
        os.write(1, f"{{call.status}} {{call.error_code or '-'}} {{call.usage.estimated}}\\n".encode())

configure(Printer())
options = dict(api_key="gsk_test", base_url={base_url!r}, max_retries=0)
client = Groq(**options)
MESSAGES = [{{"role": "user", "content": "hello there"}}]
SLOWLY = {{"x-sim-chunks": "20", "x-sim-chunk-delay-ms": "50"}}

def stream(client=client):
    return client.chat.completions.create(model={model!r}, messages=MESSAGES, stream=True, extra_headers=SLOWLY)
{body}
"""


def run(sim: SimulatorHandle, body: str) -> tuple[list[str], subprocess.CompletedProcess[str]]:
    program = PROGRAM.format(base_url=sim.base_url, model=MODEL, body=body)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout.splitlines(), done


@pytest.mark.parametrize(
    ("body", "recorded", "status"),
    [
        ("s = stream(); next(s); next(s)", ["success abandoned True"], 0),
        ("for chunk in stream(): break", ["success abandoned True"], 0),
        ("s = stream(); next(s); sys.exit(3)", ["success abandoned True"], 3),
        ("for chunk in stream(): raise ValueError", ["success abandoned True"], 1),
        (
            "threading.Thread(daemon=True, target=lambda: client.chat.completions.create("
            "model='sim/timeout', messages=MESSAGES)).start(); time.sleep(0.5)",
            ["error interrupted True"],
            0,
        ),
        (
            "async def main():\n    s = await stream(AsyncGroq(**options))\n    await anext(s)\nasyncio.run(main())",
            ["success abandoned True"],
            0,
        ),
        (
            "async def main():\n    s = await stream(AsyncGroq(**options))\n    task = asyncio.current_task()\n"
            "    async for c in s: asyncio.get_running_loop().call_later(0.01, task.cancel)\nasyncio.run(main())",
            ["error cancelled True"],
            1,
        ),
        ("s = stream()\natexit.register(lambda: os.write(1, b'first\\n'))", ["first", "success abandoned True"], 0),
    ],
)
def test_the_interpreters_exit_loses_no_call(sim: SimulatorHandle, body: str, recorded: list[str], status: int) -> None:
    lines, done = run(sim, body)
    assert (lines, done.returncode) == (recorded, status), done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_fork_does_not_record_the_parents_calls_again(sim: SimulatorHandle) -> None:
    body = """
s = stream(); next(s)
flush(20)
child = os.fork()
if child == 0:
    del s; gc.collect(); flush(20)
    own = stream(Groq(**options)); next(own); del own; gc.collect()
    assert flush(20)
    os.write(1, b"child done\\n")
    sys.exit(0)
os.waitpid(child, 0)
del s; gc.collect(); flush(20)
os.write(1, b"parent done\\n")
"""
    lines, done = run(sim, body)
    assert lines == ["success abandoned True", "child done", "success abandoned True", "parent done"], done.stderr


def test_importing_starts_no_thread_and_no_handler() -> None:
    program = "import threading, groq_client; assert threading.active_count() == 1"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_the_client_knows_no_django() -> None:
    program = "import sys, groq_client; assert not [name for name in sys.modules if name.startswith('django')]"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_ctrl_c_in_the_recorder_goes_on_and_the_call_is_told_again(sim: SimulatorHandle) -> None:
    class Interrupted(Memory):
        def finish(self, call: Call) -> None:
            if threading.current_thread() is threading.main_thread():
                raise KeyboardInterrupt
            super().finish(call)

    memory = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        Groq(**options(sim, memory)).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert memory.only.status == "success"
