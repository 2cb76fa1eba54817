"""A program that changes its import keeps working, types included."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import groq
import httpx
import pytest

import groq_client
from groq_client import AsyncGroq, Groq
from groq_client.simulator.server import SimulatorHandle
from tests.groq_client.memory import MESSAGES, MODEL, Memory

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio
from {module} import (
    NOT_GIVEN, APIConnectionError, APIError, APIStatusError, AsyncGroq, AsyncStream, DefaultHttpxClient, Groq,
    RateLimitError, Stream, Timeout, __version__, types,
)

client = Groq(api_key="gsk_test", timeout=Timeout(10.0, connect=2.0), max_retries=1, default_headers={{"x": "y"}},
              http_client=DefaultHttpxClient())
answer = client.chat.completions.create(model="m", messages=[{{"role": "user", "content": "hello"}}])
reveal_type(client)
reveal_type(answer)
reveal_type(answer.choices[0].message.content)
stream = client.chat.completions.create(model="m", messages=[], stream=True)
reveal_type(stream)
for chunk in stream:
    reveal_type(chunk)
reveal_type(client.chat.completions.with_raw_response.create(model="m", messages=[]))
with client.chat.completions.with_streaming_response.create(model="m", messages=[]) as response:
    reveal_type(response)
reveal_type(client.audio.transcriptions.create(model="whisper-large-v3", file=b"..."))
reveal_type(client.audio.speech.create(model="m", voice="v", input="hello"))
reveal_type(client.embeddings.create(model="m", input="hello"))
reveal_type(client.with_options(timeout=5.0, max_retries=0))
reveal_type(client.copy(api_key="gsk_other", default_query={{"a": "b"}}))
reveal_type(client.post("/x", cast_to=dict, body={{}}))
reveal_type(client.request)
reveal_type(client.default_headers)
reveal_type(__version__)

async def main() -> None:
    async with AsyncGroq(api_key="gsk_test", timeout=NOT_GIVEN) as client:
        reveal_type(client)
        reveal_type(await client.chat.completions.create(model="m", messages=[]))
        async for chunk in await client.chat.completions.create(model="m", messages=[], stream=True):
            reveal_type(chunk)
        reveal_type(client.with_options(max_retries=3))
        reveal_type(client.request)

try:
    asyncio.run(main())
except RateLimitError as error:
    reveal_type(error.status_code)
except APIStatusError as error:
    reveal_type(error.response)
except (APIConnectionError, APIError) as error:
    reveal_type(error.body)
"""


OWN_PROGRAM = """
from groq_client import Call, Groq, carry_context, usage_context

class Printer:
    def start(self, call: Call) -> None: ...
    def finish(self, call: Call) -> None: print(call.usage.total_tokens)

client = Groq(api_key="k", project="p", user="u", metadata={"a": 1}, recorder=Printer())
other = client.with_options(user="v", timeout=3)
with usage_context(expert="e", template="t", session="s", request_id="r"):
    reveal_type(other)

def work(number: int) -> str: return str(number)
reveal_type(carry_context(work))
"""


@pytest.fixture(scope="module")
def revealed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What mypy --strict reveals in three programs. One run, because reading the SDK takes it long."""
    where = tmp_path_factory.mktemp("programs")
    (where / "theirs.py").write_text(PROGRAM.format(module="groq"))
    (where / "ours.py").write_text(PROGRAM.format(module="groq_client"))
    (where / "own.py").write_text(OWN_PROGRAM)
    files = [str(file) for file in where.glob("*.py")]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", str(where / "cache")]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    return {
        name: [line.partition(f"{name}.py:")[2] for line in lines if f"{name}.py:" in line]
        for name in ("theirs", "ours", "own")
    }


def test_mypy_sees_the_types_of_the_sdk(revealed: dict[str, list[str]]) -> None:
    ours = revealed["ours"]
    for own in ("Groq", "AsyncGroq"):
        ours = [line.replace(f"groq_client.client.{own}", f"groq._client.{own}") for line in ours]
    assert len(ours) == PROGRAM.count("reveal_type") == 24
    assert ours == revealed["theirs"]


def test_mypy_knows_our_own_arguments(revealed: dict[str, list[str]]) -> None:
    kinds = [line.partition("is ")[2] for line in revealed["own"]]
    assert kinds == ['"groq_client.client.Groq"', '"def (number: int) -> str"']


def test_everything_that_the_sdk_exports_is_exported() -> None:
    missing = set(groq.__all__) - set(groq_client.__all__)
    assert not missing
    assert [name for name in groq_client.__all__ if not hasattr(groq_client, name)] == []
    for name in set(groq.__all__) - {"Groq", "AsyncGroq", "Client", "AsyncClient"}:
        assert getattr(groq_client, name) is getattr(groq, name)
    assert issubclass(Groq, groq.Groq)
    assert issubclass(AsyncGroq, groq.AsyncGroq)
    assert (groq_client.Client, groq_client.AsyncClient) == (Groq, AsyncGroq)


@pytest.mark.parametrize(("ours", "theirs"), [(Groq, groq.Groq), (AsyncGroq, groq.AsyncGroq)])
def test_the_arguments_of_the_sdk_are_ours(ours: Any, theirs: Any) -> None:
    for method in ("__init__", "copy"):
        parameters = inspect.signature(getattr(theirs, method)).parameters
        options = inspect.signature(getattr(ours, method), eval_str=True).parameters["options"].annotation.__args__[0]
        known = options.__required_keys__ | options.__optional_keys__
        assert set(parameters) - {"self"} <= known, "an argument of the SDK that our TypedDict lacks"


def test_an_unknown_argument_is_a_type_error(sim: SimulatorHandle) -> None:
    with pytest.raises(TypeError, match="colour"):
        Groq(api_key="gsk_test", colour="green")  # type: ignore[call-arg]


def test_requests_look_like_the_sdks(sim: SimulatorHandle, memory: Memory) -> None:
    """Byte for byte the same headers and bodies: Groq cannot tell the two apart."""
    for make in (groq.Groq, lambda **options: Groq(**options, recorder=memory, user="ada")):
        make(api_key="gsk_test", base_url=sim.base_url).chat.completions.create(model=MODEL, messages=MESSAGES)
    bare, ours = sim.requests
    assert ours.headers.keys() == bare.headers.keys()
    varying = {"host", "x-stainless-idempotency-key"}
    assert {k: v for k, v in ours.headers.items() if k not in varying} == {
        k: v for k, v in bare.headers.items() if k not in varying
    }
    assert ours.body == bare.body


def test_a_custom_http_client_and_its_hooks_keep_working(sim: SimulatorHandle, memory: Memory) -> None:
    seen: list[int] = []
    http = httpx.Client(event_hooks={"response": [lambda response: seen.append(response.status_code)]})
    client = Groq(api_key="gsk_test", base_url=sim.base_url, http_client=http, recorder=memory)
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert seen == [200]
    assert memory.only.status == "success"


def test_a_mocked_transport_is_recorded(memory: Memory) -> None:
    """Many test suites of applications answer from memory, where no byte stream is read."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    events = (
        b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\ndata: {"choices": [], "usage": %s}\n\ndata: [DONE]\n\n'
    )

    def answer(request: httpx.Request) -> httpx.Response:
        if b'"stream":true' in request.read():
            body = events % str(usage).replace("'", '"').encode()
            return httpx.Response(200, content=body, headers={"content-type": "text/event-stream"})
        return httpx.Response(200, json={"id": "x", "choices": [], "usage": usage})

    http = httpx.Client(transport=httpx.MockTransport(answer))
    client = Groq(api_key="gsk_test", http_client=http, recorder=memory)
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))) == 2
    assert [call.usage.total_tokens for call in memory.calls] == [7, 7]


def test_strict_validation_is_kept_and_recorded(sim: SimulatorHandle, memory: Memory) -> None:
    client = Groq(api_key="gsk_test", base_url=sim.base_url, recorder=memory, _strict_response_validation=True)
    with pytest.raises(groq.APIResponseValidationError):
        client.chat.completions.create(model=f"sim/bad-json/{MODEL}", messages=MESSAGES)
    assert (memory.only.status, memory.only.error_code) == ("error", "invalid_response")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
@pytest.mark.parametrize("how", ["stream", "document"])
def test_a_compressed_body_is_understood(memory: Memory, encoding: str, how: str) -> None:
    import gzip
    import zlib

    import brotli

    events = b"".join(b'data: {"model": "m", "choices": [{"delta": {"content": "word "}}]}\n\n' for _ in range(100))
    events += b'data: {"x_groq": {"usage": {"prompt_tokens": 5, "completion_tokens": 6}}}\n\ndata: [DONE]\n\n'
    document = b'{"model": "m", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 6}}'
    plain = events if how == "stream" else document
    packed = {"gzip": gzip.compress, "br": brotli.compress, "deflate": zlib.compress}[encoding](plain)

    class Pieces(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield from (packed[at : at + 7] for at in range(0, len(packed), 7))

    kind = "text/event-stream" if how == "stream" else "application/json"
    headers = {"content-type": kind, "content-encoding": encoding}
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Pieces(), headers=headers)))
    client = Groq(api_key="gsk_test", http_client=http, recorder=memory)
    if how == "stream":
        assert len(list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))) == 101
    else:
        with client.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES) as response:
            response.parse()
    call = memory.only
    assert (call.status, call.error_code, call.model) == ("success", "", "m")
    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.estimated) == (5, 6, False)
    assert (call.ttft_ms is not None) is (how == "stream")
