"""Every way in which a call can end: it is recorded once, and the caller gets what the SDK alone would have given."""

import asyncio
import contextlib
import gc
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import groq
import pytest

import groq_client
from groq_client import AsyncGroq, Call, Groq, Usage, flush
from groq_client.asked import Asked
from groq_client.recorder import default_recorder
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import MESSAGES, MODEL, SLOWLY, Memory

Options = dict[str, Any]
WHAT_WAS_SENT = Asked("chat", {"messages": MESSAGES}).roughly()
"""The usage of a call that went out and got no answer, on every path."""
ENOUGH = 3
"""Chunks after which a caller stops: the first one only says the role."""


class OutOfPatienceError(Exception):
    """The caller's own, raised while he reads a stream."""


# How a stream may be read. Each returns what was seen; all exist for both kinds of client.


def read_to_the_end(stream: Any) -> list[Any]:
    return list(stream)


def break_off(stream: Any) -> list[Any]:
    chunks = []
    for chunk in stream:
        chunks.append(chunk)
        if len(chunks) == ENOUGH:
            break
    return chunks


def close(stream: Any) -> list[Any]:
    chunks = [next(stream) for _ in range(ENOUGH)]
    stream.close()
    stream.close()
    return chunks


def leave_the_with(stream: Any) -> list[Any]:
    with stream:
        return break_off(stream)


def raise_in_the_loop(stream: Any) -> list[Any]:
    with contextlib.suppress(OutOfPatienceError), stream:
        for number, _ in enumerate(stream):
            if number == ENOUGH:
                raise OutOfPatienceError
    return []


def never_read(stream: Any) -> list[Any]:
    return []


def read_lines_of_the_response(stream: Any) -> list[Any]:
    return list(stream.response.iter_lines())


async def read_to_the_end_async(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


async def break_off_async(stream: Any) -> list[Any]:
    chunks = []
    async for chunk in stream:
        chunks.append(chunk)
        if len(chunks) == ENOUGH:
            break
    return chunks


async def close_async(stream: Any) -> list[Any]:
    chunks = [await anext(stream) for _ in range(ENOUGH)]
    await stream.close()
    await stream.close()
    return chunks


async def leave_the_with_async(stream: Any) -> list[Any]:
    async with stream:
        return await break_off_async(stream)


async def raise_in_the_loop_async(stream: Any) -> list[Any]:
    with contextlib.suppress(OutOfPatienceError):
        async with stream:
            number = 0
            async for _ in stream:
                number += 1
                if number == ENOUGH:
                    raise OutOfPatienceError
    return []


async def never_read_async(stream: Any) -> list[Any]:
    return []


async def read_lines_of_the_response_async(stream: Any) -> list[Any]:
    return [line async for line in stream.response.aiter_lines()]


READINGS: dict[str, tuple[Callable[[Any], list[Any]], Callable[[Any], Awaitable[list[Any]]]]] = {
    "end": (read_to_the_end, read_to_the_end_async),
    "break": (break_off, break_off_async),
    "close": (close, close_async),
    "with": (leave_the_with, leave_the_with_async),
    "raise": (raise_in_the_loop, raise_in_the_loop_async),
    "unread": (never_read, never_read_async),
    "lines": (read_lines_of_the_response, read_lines_of_the_response_async),
}


def ask(client: groq.Groq, reading: str | None, **request: Any) -> Any:
    """One chat call: its answer, or the exception that came instead. Streams are read as ``reading`` says."""
    try:
        if reading is None:
            return client.chat.completions.create(messages=MESSAGES, **request)
        stream = client.chat.completions.create(messages=MESSAGES, stream=True, **request)
        assert type(stream) is groq.Stream
        return READINGS[reading][0](stream)
    except Exception as error:
        return error


async def ask_async(client: groq.AsyncGroq, reading: str | None, **request: Any) -> Any:
    try:
        if reading is None:
            return await client.chat.completions.create(messages=MESSAGES, **request)
        stream = await client.chat.completions.create(messages=MESSAGES, stream=True, **request)
        assert type(stream) is groq.AsyncStream
        return await READINGS[reading][1](stream)
    except Exception as error:
        return error


class Sides:
    """The same call through the bare SDK and through ours."""

    def __init__(self, kind: str, sim: SimulatorHandle, memory: Memory, **options: Any) -> None:
        self.kind = kind
        self._options = {"api_key": "gsk_test", "base_url": sim.base_url, "max_retries": 0, **options}
        self._memory = memory

    def bare(self, reading: str | None, **request: Any) -> Any:
        return self._ask(groq.Groq, groq.AsyncGroq, {}, reading, request)

    def ours(self, reading: str | None, **request: Any) -> Any:
        return self._ask(Groq, AsyncGroq, {"recorder": self._memory}, reading, request)

    def _ask(self, sync: Any, asynchronous: Any, more: Options, reading: str | None, request: Options) -> Any:
        if self.kind == "sync":
            with sync(**self._options, **more) as client:
                result = ask(client, reading, **request)
                gc.collect()
                return result

        async def run() -> Any:
            async with asynchronous(**self._options, **more) as client:
                result = await ask_async(client, reading, **request)
                gc.collect()  # While the loop runs, as in a server.
                await asyncio.sleep(0.01)
                return result

        return asyncio.run(run())


@pytest.fixture(params=["sync", "async"])
def sides(request: pytest.FixtureRequest, sim: SimulatorHandle, memory: Memory) -> Sides:
    return Sides(request.param, sim, memory)


def same(ours: Any, bare: Any) -> None:
    """The same type with the same content, but for the ids and times that differ from call to call."""
    assert type(ours) is type(bare)
    if isinstance(bare, BaseException):
        assert type(ours.__cause__) is type(bare.__cause__)
        assert without_ids(str(ours)) == without_ids(str(bare))
        assert getattr(ours, "status_code", None) == getattr(bare, "status_code", None)
        assert (getattr(ours, "body", None) is None) == (getattr(bare, "body", None) is None)
    elif isinstance(bare, list):
        assert len(ours) == len(bare)
        for one, other in zip(ours, bare, strict=True):
            same(one, other)
    elif isinstance(bare, groq.BaseModel):
        assert without_ids(ours.to_dict()) == without_ids(bare.to_dict())
    elif isinstance(bare, str) and not bare.startswith("data:"):
        assert ours == bare


def without_ids(value: Any) -> Any:
    varying = {"id", "created", "x_groq", "queue_time", "prompt_time", "completion_time", "total_time", "usage"}
    if isinstance(value, dict):
        return {name: without_ids(item) for name, item in value.items() if name not in varying}
    if isinstance(value, list):
        return [without_ids(item) for item in value]
    return "".join(letter for letter in value if not letter.isdigit()) if isinstance(value, str) else value


ERRORS = {
    "error-400": (400, "invalid_request_error"),
    "error-400-tool_use_failed": (400, "tool_use_failed"),
    "error-400-blocked_api_access": (400, "blocked_api_access"),
    "error-401": (401, "invalid_api_key"),
    "error-403": (403, None),
    "error-404": (404, "model_not_found"),
    "error-413": (413, None),
    "error-422": (422, None),
    "error-424": (424, None),
    "error-429": (429, "rate_limit_exceeded"),
    "error-498": (498, "capacity_exceeded"),
    "error-499": (499, None),
    "error-500": (500, None),
    "error-502": (502, None),
    "error-503": (503, None),
}


@pytest.mark.parametrize("reading", [None, "end"])
@pytest.mark.parametrize("fault", ERRORS)
def test_an_error_status_is_recorded_and_raised(sides: Sides, memory: Memory, fault: str, reading: str | None) -> None:
    status, code = ERRORS[fault]
    bare = sides.bare(reading, model=f"sim/{fault}")
    ours = sides.ours(reading, model=f"sim/{fault}")
    same(ours, bare)
    assert isinstance(ours, groq.APIStatusError)
    call = memory.only
    assert (call.status, call.http_status, call.attempts, call.model) == ("error", status, 1, "")
    assert call.stream is (reading is not None)
    assert call.error_code == (code or call.error_code) != ""
    assert call.error_message
    assert "failed_generation" not in call.error_message.replace("'failed_generation'", "")
    assert (call.usage.total_tokens, call.usage.estimated) == (0, False)
    assert call.provider_request_id.startswith("req_")
    assert call.rate_limit.limit_requests


@pytest.mark.parametrize("reading", READINGS)
def test_a_stream_is_recorded_however_it_is_left(sides: Sides, memory: Memory, reading: str) -> None:
    bare = sides.bare(reading, model=MODEL, extra_headers=SLOWLY)
    ours = sides.ours(reading, model=MODEL, extra_headers=SLOWLY)
    same(ours, bare)
    call = memory.only
    is_whole = reading in ("end", "lines")
    assert (call.status, call.error_code) == ("success", "" if is_whole else "abandoned")
    assert call.usage.estimated is not is_whole
    assert call.usage.input_tokens > 60
    assert (call.usage.output_tokens > 0) is (reading != "unread")
    assert call.usage.total_tokens == call.usage.input_tokens + call.usage.output_tokens
    assert (call.ttft_ms is not None) is (reading != "unread")
    assert call.latency_ms >= (call.ttft_ms or 0)
    assert call.model == MODEL
    assert call.provider_request_id.startswith("req_")
    if is_whole:
        assert call.latency_ms >= 15 * 15


@pytest.mark.parametrize("reading", [None, "end"])
@pytest.mark.parametrize(
    ("fault", "status", "code", "estimated"),
    [
        ("ok", "success", "", False),
        ("usage-twice", "success", "", False),
        ("usage-nan", "success", "", False),
        ("split-utf8", "success", "", False),
        ("empty-choices", "success", "", False),
        ("compound", "success", "", False),
        ("no-usage", "success", "", True),
        ("usage-zero", "success", "", True),
        ("usage-then-zero", "success", "", False),
        ("usage-contradicts", "success", "", True),
        ("usage-negative", "success", "", True),
        ("usage-huge", "success", "", True),
        ("bad-json", "error", "invalid_response", True),
        ("truncated-json", "error", "invalid_response", None),  # its usage may have come with the same packet
        ("unknown-model-answer", "success", "", False),
    ],
)
def test_a_strange_answer_is_recorded(
    sides: Sides, memory: Memory, fault: str, reading: str | None, status: str, code: str, estimated: bool | None
) -> None:
    bare = sides.bare(reading, model=f"sim/{fault}/{MODEL}")
    ours = sides.ours(reading, model=f"sim/{fault}/{MODEL}")
    same(ours, bare)
    call = memory.only
    assert (call.status, call.error_code, call.http_status) == (status, code, 200)
    assert estimated is None or call.usage.estimated is estimated
    if code == "":
        assert call.usage.input_tokens > 60
        assert call.usage.total_tokens == call.usage.input_tokens + call.usage.output_tokens
    if fault == "unknown-model-answer":
        assert call.model == "unlisted/preview-model-1"
    if fault == "compound":
        assert len(call.usage.parts) == 2
        assert sum(part.usage.total_tokens for part in call.usage.parts) == call.usage.total_tokens


@pytest.mark.parametrize(
    ("fault", "code", "raises"),
    [
        ("error-midstream", None, groq.APIError),
        ("error-midstream-data", None, groq.APIError),
        ("x-groq-error", "stream_error", None),
        ("half", "stream_incomplete", None),
        ("cut", "connection_error", Exception),
    ],
)
def test_a_stream_that_fails_on_its_way_is_an_error(
    sides: Sides, memory: Memory, fault: str, code: str | None, raises: type[Exception] | None
) -> None:
    bare = sides.bare("end", model=f"sim/{fault}/{MODEL}")
    ours = sides.ours("end", model=f"sim/{fault}/{MODEL}")
    same(ours, bare)
    assert raises is None or isinstance(ours, raises)
    call = memory.only
    assert (call.status, call.error_code) == ("error", code or call.error_code)
    assert call.usage.input_tokens > 60
    assert call.usage.output_tokens > 0
    assert call.usage.estimated is (fault != "x-groq-error")


def test_an_error_in_mid_stream_is_recorded_before_the_caller_hears_of_it(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    stream = client.chat.completions.create(messages=MESSAGES, stream=True, model=f"sim/error-midstream/{MODEL}")
    with pytest.raises(groq.APIError):
        list(stream)
    assert memory.known


@pytest.mark.parametrize("reading", [None, "end"])
@pytest.mark.parametrize(
    ("fault", "timeout", "kind", "code"),
    [
        ("timeout", 0.2, groq.APITimeoutError, "timeout"),
        ("slow-first-byte", 0.2, groq.APITimeoutError, "timeout"),
    ],
)
def test_a_time_out_before_the_answer_used_what_was_sent(
    sides: Sides, memory: Memory, fault: str, timeout: float, kind: type[Exception], code: str, reading: str | None
) -> None:
    bare = sides.bare(reading, model=f"sim/{fault}/{MODEL}", timeout=timeout)
    ours = sides.ours(reading, model=f"sim/{fault}/{MODEL}", timeout=timeout)
    same(ours, bare)
    assert type(ours) is kind
    call = memory.only
    assert (call.status, call.error_code, call.http_status) == ("error", code, None)
    assert call.usage == WHAT_WAS_SENT
    assert 180 <= call.latency_ms < 8000
    assert "Request timed out." in call.error_message


def test_a_time_out_between_chunks_keeps_what_was_delivered(sides: Sides, memory: Memory) -> None:
    slowly = {"x-sim-chunks": "5", "x-sim-chunk-delay-ms": "20000"}
    bare = sides.bare("end", model=MODEL, timeout=1, extra_headers=slowly)
    ours = sides.ours("end", model=MODEL, timeout=1, extra_headers=slowly)
    same(ours, bare)
    call = memory.only
    assert (call.status, call.error_code, call.http_status) == ("error", "timeout", 200)
    assert call.usage.estimated
    assert call.usage.input_tokens > 60


@pytest.mark.parametrize("reading", [None, "end"])
def test_nobody_listens(sim: SimulatorHandle, memory: Memory, sides: Sides, reading: str | None) -> None:
    lost = Sides(sides.kind, sim, memory, base_url="http://127.0.0.1:9")
    same(lost.ours(reading, model=MODEL), lost.bare(reading, model=MODEL))
    call = memory.only
    assert (call.status, call.error_code, call.attempts) == ("error", "connection_error", 1)
    assert call.error_message == "Connection error. (ConnectError)"
    assert call.usage == Usage(), "it never left"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK tries again at once, where it would wait for a second or two."""
    monkeypatch.setattr("groq._base_client.INITIAL_RETRY_DELAY", 0.01)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("reading", [None, "end"])
def test_retries_are_one_call(sim: SimulatorHandle, memory: Memory, sides: Sides, reading: str | None) -> None:
    patient = Sides(sides.kind, sim, memory, max_retries=2)
    quickly = {"x-sim-retry-after": "0"}
    patient.ours(reading, model=f"sim/retry-then-success-2/{MODEL}", extra_headers=quickly)
    call = memory.only
    assert (call.status, call.attempts, call.http_status) == ("success", 3, 200)
    assert len(sim.requests) == 3


@pytest.mark.usefixtures("impatient")
def test_retries_that_do_not_help_are_one_call(sim: SimulatorHandle, memory: Memory, sides: Sides) -> None:
    patient = Sides(sides.kind, sim, memory, max_retries=1)
    assert isinstance(patient.ours(None, model="sim/error-500"), groq.InternalServerError)
    assert (memory.only.attempts, memory.only.http_status) == (2, 500)


# Cancelling, interrupting


async def cancelled(sim: SimulatorHandle, memory: Memory, **request: Any) -> None:
    """Cancels a call when the simulator has it, a stream when some of it has arrived."""
    client = AsyncGroq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    seen: list[Any] = []

    async def work() -> None:
        answer = await client.chat.completions.create(messages=MESSAGES, **request)
        if request.get("stream"):
            async for chunk in answer:
                seen.append(chunk)  # noqa: PERF401 - looked at while it grows

    task = asyncio.create_task(work())
    while not (len(seen) >= ENOUGH if request.get("stream") else sim.requests):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "cancelled" in memory.known, "known before the cancellation goes on"
    await client.close()


async def test_a_cancelled_call_is_recorded(sim: SimulatorHandle, memory: Memory) -> None:
    await cancelled(sim, memory, model="sim/timeout")
    assert (memory.only.status, memory.only.error_code) == ("error", "cancelled")
    assert memory.only.usage == WHAT_WAS_SENT


async def test_a_cancelled_stream_is_recorded_with_what_was_delivered(sim: SimulatorHandle, memory: Memory) -> None:
    await cancelled(sim, memory, model=MODEL, stream=True, extra_headers={**SLOWLY, "x-sim-chunk-delay-ms": "50"})
    call = memory.only
    assert (call.status, call.error_code) == ("error", "cancelled")
    assert call.usage.estimated
    assert call.usage.output_tokens > 0


@pytest.mark.parametrize("step", ["start", "finish"])
async def test_a_call_that_is_cancelled_while_the_recorder_works_is_recorded(sim: SimulatorHandle, step: str) -> None:
    class Slow(Memory):
        def start(self, call: Call) -> None:
            super().start(call)
            self.work("start")

        def finish(self, call: Call) -> None:
            self.work("finish")
            super().finish(call)

        def work(self, now: str) -> None:
            if now == step:
                entered.set()
                go_on.wait(10)

    memory, entered, go_on = Slow(), threading.Event(), threading.Event()
    client = AsyncGroq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    task = asyncio.create_task(client.chat.completions.create(messages=MESSAGES, model=MODEL))
    while not entered.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    asyncio.get_running_loop().call_later(0.1, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()  # asking the memory holds up the loop, and with it the timer
    call = memory.only
    if step == "start":
        assert (call.error_code, call.attempts, len(sim.requests)) == ("cancelled", 0, 0)
    else:
        assert (call.status, call.attempts, len(sim.requests)) == ("success", 1, 1)
    await client.close()


@pytest.mark.parametrize("retries", [0, 2])
def test_a_call_whose_loop_stops_under_it_is_recorded(sim: SimulatorHandle, memory: Memory, retries: int) -> None:
    def drop(client: groq.AsyncGroq) -> BaseException | None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(client.chat.completions.create(messages=MESSAGES, model="sim/timeout"))
        loop.run_until_complete(asyncio.sleep(0.2))
        try:
            task.get_coro().close()  # type: ignore[union-attr]
        except Exception as error:
            return error
        finally:
            loop.close()
        return None

    options: Options = {"api_key": "gsk_test", "base_url": sim.base_url, "max_retries": retries}
    assert type(drop(AsyncGroq(**options, recorder=memory))) is type(drop(groq.AsyncGroq(**options)))
    assert memory.only.status == "error"


@pytest.mark.usefixtures("ctrl_c_interrupts")
@pytest.mark.parametrize("stream", [False, True])
def test_ctrl_c_is_recorded_and_goes_on(sim: SimulatorHandle, memory: Memory, stream: bool) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    slowly = {"x-sim-chunks": "50", "x-sim-chunk-delay-ms": "100"} if stream else {}
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        answer: Any = client.chat.completions.create(
            messages=MESSAGES, model=MODEL if stream else "sim/timeout", stream=stream, extra_headers=slowly
        )
        for _ in answer:
            pass
    timer.join()
    call = memory.only
    assert (call.status, call.error_code) == ("error", "interrupted")
    assert (call.usage.output_tokens > 0) is stream
    assert stream or call.usage == WHAT_WAS_SENT


# Raw and streaming responses


def test_a_raw_response_is_recorded(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    raw = client.chat.completions.with_raw_response.create(messages=MESSAGES, model=MODEL)
    assert type(raw) is groq.APIResponse
    assert memory.only.usage.total_tokens == raw.parse().usage.total_tokens  # type: ignore[union-attr]


async def test_an_async_raw_response_is_recorded(sim: SimulatorHandle, memory: Memory) -> None:
    async with AsyncGroq(api_key="gsk_test", base_url=sim.base_url, recorder=memory) as client:
        raw = await client.chat.completions.with_raw_response.create(messages=MESSAGES, model=MODEL)
        assert type(raw) is groq.AsyncAPIResponse
        answer = await raw.parse()
    assert answer.usage is not None
    assert memory.only.usage.total_tokens == answer.usage.total_tokens


def test_a_raw_stream_is_recorded_when_it_is_iterated(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    raw = client.chat.completions.with_raw_response.create(messages=MESSAGES, model=MODEL, stream=True)
    stream = raw.parse()
    assert type(stream) is groq.Stream
    assert memory.finished == []
    list(stream)
    assert (memory.only.status, memory.only.usage.estimated, memory.only.stream) == ("success", False, True)


def read_body(response: Any, how: str) -> None:
    match how:
        case "unread":
            return
        case "parse":
            response.parse()
        case "lines":
            list(response.iter_lines())
        case "bytes":
            b"".join(response.iter_bytes())
        case "partly":
            next(response.iter_bytes(100))
        case "read":
            response.read()
            response.json()


@pytest.mark.parametrize("how", ["unread", "parse", "lines", "bytes", "partly", "read"])
def test_a_streaming_response_is_recorded_however_it_is_read(sim: SimulatorHandle, memory: Memory, how: str) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    with client.chat.completions.with_streaming_response.create(messages=MESSAGES, model=MODEL) as response:
        read_body(response, how)
    call = memory.only
    is_whole = how not in ("unread", "partly")
    assert (call.status, call.error_code) == ("success", "" if is_whole else "abandoned")
    assert call.usage.estimated is not is_whole
    assert call.usage.input_tokens > 60


@pytest.mark.parametrize("how", ["unread", "parse", "lines", "read"])
async def test_an_async_streaming_response_is_recorded(sim: SimulatorHandle, memory: Memory, how: str) -> None:
    client = AsyncGroq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    async with client.chat.completions.with_streaming_response.create(
        messages=MESSAGES, model=MODEL, stream=True
    ) as response:
        if how == "parse":
            _ = [chunk async for chunk in await response.parse()]
        elif how == "lines":
            _ = [line async for line in response.iter_lines()]
        elif how == "read":
            await response.read()
    call = memory.only
    assert (call.status, call.error_code) == ("success", "abandoned" if how == "unread" else "")
    assert call.usage.estimated is (how == "unread")
    await client.close()


def test_a_generic_post_is_recorded(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    body = {"model": MODEL, "messages": MESSAGES}
    answer = client.post("/openai/v1/chat/completions", cast_to=object, body=body)
    assert isinstance(answer, dict)
    assert memory.only.usage.total_tokens == answer["usage"]["total_tokens"]


@pytest.mark.needs_sdk_to("send bytes as they are")
def test_a_generic_post_of_bytes_that_streams_is_recorded(sim: SimulatorHandle, memory: Memory) -> None:
    import httpx

    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    content = b'{"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "Hi there"}], "stream": true}'
    answer = client.post("/openai/v1/chat/completions", cast_to=httpx.Response, content=content)
    assert answer.text.endswith("[DONE]\n\n")
    call = memory.only
    assert (call.model_requested, call.stream, call.status) == (MODEL, True, "success")
    assert not call.usage.estimated


def test_what_costs_nothing_is_not_recorded(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    client.models.list()
    with contextlib.suppress(groq.APIStatusError):
        client.batches.list()
    assert memory.calls == []


@pytest.fixture
def no_recorder() -> Iterator[None]:
    """Clients have none that they were not given; afterwards they have the one of before."""
    before = default_recorder()
    groq_client.configure(None)
    yield
    groq_client.configure(before)


def test_without_a_recorder_it_is_the_sdk(sim: SimulatorHandle, no_recorder: None) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url)
    assert client.chat.completions.create(messages=MESSAGES, model=MODEL).choices


def test_a_configured_recorder_serves_every_client(sim: SimulatorHandle, memory: Memory, no_recorder: None) -> None:
    groq_client.configure(memory)
    Groq(api_key="gsk_test", base_url=sim.base_url).chat.completions.create(messages=MESSAGES, model=MODEL)
    assert memory.only.status == "success"


def test_an_argument_that_cannot_be_sent_is_one_failed_call(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory)
    with pytest.raises(TypeError):
        client.chat.completions.create(messages=MESSAGES, model=MODEL, extra_body={"secret": object()})
    assert (memory.only.error_code, memory.only.error_message) == ("client_error", "TypeError")
    assert flush(1)
