"""Streams that are not read to their last byte: when they end, as what, and who notices."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import groq
import httpx
import pytest
import trio

from groq_client import AsyncGroq, Groq, flush
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import MESSAGES, MODEL, SLOWLY, Memory

PATIENCE = 0.2
"""Seconds for which a caller holds a stream that he does not read."""
ROUNDING_MS = 1


Chunk = TypeVar("Chunk")


class OutOfPatienceError(Exception):
    """The caller's own."""


@pytest.fixture
def client(sim: SimulatorHandle, memory: Memory) -> Iterator[Groq]:
    with Groq(api_key="gsk_test", base_url=sim.base_url, max_retries=0, recorder=memory) as client:
        yield client


def asynchronous(sim: SimulatorHandle, memory: Memory) -> AsyncGroq:
    return AsyncGroq(api_key="gsk_test", base_url=sim.base_url, max_retries=0, recorder=memory)


def stream(client: Any, model: str = MODEL, **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=MESSAGES, stream=True, **more)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Nothing is collected but what nobody refers to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# A stream that nobody reads ends with its headers


@pytest.mark.parametrize("leave", ["close", "let go"])
def test_an_unread_stream_lasts_until_its_headers(client: Groq, memory: Memory, leave: str) -> None:
    asked = time.perf_counter()
    held = stream(client)
    until_headers_ms = 1000 * (time.perf_counter() - asked)
    time.sleep(PATIENCE)
    if leave == "close":
        held.close()
    del held
    assert memory.only.latency_ms <= until_headers_ms + ROUNDING_MS
    assert memory.only.ttft_ms is None


async def test_an_unread_async_stream_lasts_until_its_headers(sim: SimulatorHandle, memory: Memory) -> None:
    async with asynchronous(sim, memory) as client:
        asked = time.perf_counter()
        held = await stream(client)
        until_headers_ms = 1000 * (time.perf_counter() - asked)
        await asyncio.sleep(PATIENCE)
        await held.close()
    assert memory.only.latency_ms <= until_headers_ms + ROUNDING_MS


# A stream that has told its end and its usage is whole, whether or not [DONE] has come


def ended(chunk: Any) -> bool:
    return any(choice.finish_reason for choice in chunk.choices)


def to_its_end(chunks: Any) -> None:
    for chunk in chunks:
        if ended(chunk):
            return


def leave_by_break(chunks: Any) -> None:
    to_its_end(chunks)


def leave_by_close(chunks: Any) -> None:
    to_its_end(chunks)
    chunks.close()


def leave_by_exception(chunks: Any) -> None:
    with contextlib.suppress(OutOfPatienceError), chunks:
        to_its_end(chunks)
        raise OutOfPatienceError


def read_on(chunks: Any) -> None:
    list(chunks)


def assert_whole(memory: Memory) -> None:
    call = memory.only
    assert (call.status, call.error_code, call.usage.estimated) == ("success", "", False)
    assert call.usage.output_tokens > 0


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_close, leave_by_exception, read_on])
@pytest.mark.parametrize("fault", ["no-done", "never-done"])
def test_a_stream_without_its_closing_line_is_a_success(
    client: Groq, memory: Memory, leave: Callable[[Any], None], fault: str
) -> None:
    if (leave, fault) != (read_on, "never-done"):
        leave(stream(client, f"sim/{fault}/{MODEL}"))
        assert_whole(memory)


async def until_its_end(chunks: Any, told: Callable[[], None]) -> None:
    async for chunk in chunks:
        if ended(chunk):
            told()


def test_a_task_that_is_cancelled_while_it_waits_for_the_closing_line(sim: SimulatorHandle, memory: Memory) -> None:
    async def run() -> None:
        async with asynchronous(sim, memory) as client:
            told = asyncio.Event()
            task = asyncio.create_task(until_its_end(await stream(client, f"sim/never-done/{MODEL}"), told.set))
            await told.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert_whole(memory)


def test_a_line_that_never_comes_is_a_time_out_to_who_waits_for_it(client: Groq, memory: Memory) -> None:
    """The caller was told of a failure, and so is the ledger; what was used is known all the same."""
    with pytest.raises(httpx.ReadTimeout):
        list(stream(client.with_options(timeout=1), f"sim/never-done/{MODEL}"))
    call = memory.only
    assert (call.status, call.error_code, call.usage.estimated) == ("error", "timeout", False)


# A stream is finished when its caller lets go of it


def leave_a_variable(client: Groq) -> None:
    held = stream(client, extra_headers=SLOWLY)
    for _ in held:
        break


def leave_no_variable(client: Groq) -> None:
    for _ in stream(client, extra_headers=SLOWLY):
        break


def leave_a_raw_one(client: Groq) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=MESSAGES, stream=True, extra_headers=SLOWLY
    )
    next(raw.parse())


def leave_an_unread_one(client: Groq) -> None:
    stream(client, extra_headers=SLOWLY)


def leave_its_response(client: Groq) -> None:
    response = stream(client, extra_headers=SLOWLY).response
    next(response.iter_lines())


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(
    "leave", [leave_a_variable, leave_no_variable, leave_a_raw_one, leave_an_unread_one, leave_its_response]
)
def test_a_stream_is_finished_when_it_is_let_go(client: Groq, memory: Memory, leave: Callable[[Groq], None]) -> None:
    leave(client)
    assert flush(10)
    assert [call.error_code for call in memory.finished] == ["abandoned"]


@pytest.mark.usefixtures("no_collection")
def test_a_stream_that_is_let_go_gives_its_connection_back(client: Groq) -> None:
    leave_no_variable(client)
    assert client._client._transport._pool.connections == []  # type: ignore[attr-defined]


async def leave_async(chunks: Any) -> None:
    async for _ in chunks:
        break


async def leave_an_unread_async(chunks: Any) -> None:
    return


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("leave", [leave_async, leave_an_unread_async])
async def test_an_async_stream_is_finished_when_it_is_let_go(
    sim: SimulatorHandle, memory: Memory, leave: Callable[[Any], Awaitable[None]]
) -> None:
    async with asynchronous(sim, memory) as client:
        await leave(await stream(client, extra_headers=SLOWLY))
        for _ in range(1000):  # The loop closes generators one after the other, each in a task of its own.
            if memory.finished:
                break
            await asyncio.sleep(0.005)
        assert [call.error_code for call in memory.finished] == ["abandoned"]


def test_a_stream_of_a_callers_own_class_is_his(client: Groq, memory: Memory) -> None:
    """It may keep on itself what it reads; it is finished when it is collected."""

    class Counting(groq.Stream[Chunk]):
        seen = 0

        def __stream__(self) -> Iterator[Chunk]:
            for chunk in super().__stream__():
                self.seen += 1
                yield chunk

    body = {"model": MODEL, "messages": MESSAGES, "stream": True}
    held = client.post("/openai/v1/chat/completions", body=body, cast_to=object, stream=True, stream_cls=Counting[Any])
    assert held.seen == 0
    assert len(list(held)) == held.seen > 3
    assert memory.only.status == "success"


# Others who read, and others who cancel


def test_a_hook_that_reads_the_stream_first_leaves_a_time_to_the_first_content(
    sim: SimulatorHandle, memory: Memory
) -> None:
    http = httpx.Client(event_hooks={"response": [lambda response: response.read()]})
    with Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory, http_client=http) as client:
        assert list(stream(client, extra_headers=SLOWLY))
    call = memory.only
    assert (call.status, call.usage.estimated) == ("success", False)
    assert call.ttft_ms is not None
    assert 20 * 15 * 0.9 < call.ttft_ms <= call.latency_ms


async def test_an_async_hook_that_reads_the_stream_first_does_so_too(sim: SimulatorHandle, memory: Memory) -> None:
    async def read(response: httpx.Response) -> None:
        await response.aread()

    http = httpx.AsyncClient(event_hooks={"response": [read]})
    async with AsyncGroq(api_key="gsk_test", base_url=sim.base_url, recorder=memory, http_client=http) as client:
        assert [chunk async for chunk in await stream(client)]
    assert memory.only.ttft_ms is not None


def cancelled_by_trio(sim: SimulatorHandle, memory: Memory, model: str, enough: int) -> None:
    """A stream is cancelled when the simulator has it and ``enough`` chunks have come."""
    seen: list[Any] = []

    async def read(client: AsyncGroq) -> None:
        async for chunk in await stream(client, model, extra_headers=SLOWLY):
            seen.append(chunk)  # noqa: PERF401 - looked at while it grows

    async def run() -> None:
        client = asynchronous(sim, memory)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, client)
            while not sim.requests or len(seen) < enough:
                await trio.sleep(0.005)
            nursery.cancel_scope.cancel()
        await client.close()

    trio.run(run)
    assert (memory.only.status, memory.only.error_code) == ("error", "cancelled")


def test_what_trio_cancels_before_the_answer_is_cancelled(sim: SimulatorHandle, memory: Memory) -> None:
    cancelled_by_trio(sim, memory, "sim/timeout", 0)
    assert memory.only.usage == memory.only.sent


def test_what_trio_cancels_in_mid_stream_is_cancelled(sim: SimulatorHandle, memory: Memory) -> None:
    cancelled_by_trio(sim, memory, MODEL, 3)
    assert memory.only.usage.output_tokens > 0
