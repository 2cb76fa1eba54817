"""Clients that leave, answers that are cut, and a Groq that is slow or not there: each call is recorded once."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import groq
import httpx
import pytest

from accounts.models import ApiKey
from groq_client.simulator.server import SimulatorHandle
from ledger.models import UsageEvent
from tests.gateway.doors import CALL, Door, question
from tests.groq_client.memory import MODEL
from tests.groq_client.test_client_endings import READINGS, ask, ask_async
from tests.running_demo import free_port, wait_until
from tests.served import served

pytestmark = pytest.mark.django_db(transaction=True)

SLOWLY = {"x-sim-chunks": "200", "x-sim-chunk-delay-ms": "20"}


@contextmanager
def asking(door: Door, **body: Any) -> Iterator[httpx.Response]:
    headers = {"authorization": f"Bearer {CALL}", **body.pop("headers", {})}
    with (
        httpx.Client(timeout=30) as client,
        client.stream(
            "POST", f"{door.address}/v1/chat/completions", json=question(**body), headers=headers
        ) as response,
    ):
        door.note(response)
        yield response


def has_left(door: Door) -> bool:
    """Whether Groq has seen the request, and that its client went away."""
    return bool(door.groq.requests) and not door.groq.requests[-1].completed


def test_a_client_that_leaves_a_stream(door: Door) -> None:
    with asking(door, stream=True, headers=SLOWLY) as response:
        for number, _ in enumerate(response.iter_lines()):
            if number == 10:
                break
    event = door.event()
    assert (event.status, event.error_code, event.tokens_estimated) == ("success", "abandoned", True)
    assert 0 < event.output_tokens < 200
    time.sleep(0.05)
    assert has_left(door)


def test_a_client_that_leaves_before_the_answer(door: Door) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{door.address}/v1/chat/completions",
            json=question(model=f"sim/timeout/{MODEL}"),
            headers={"authorization": f"Bearer {CALL}"},
            timeout=0.5,
        )
    event = door.only()
    assert (event.status, event.error_code, event.http_status) == ("error", "cancelled", None)
    assert (event.tokens_estimated, event.output_tokens) == (True, 0)
    assert event.input_tokens > 0
    assert has_left(door)


def test_a_client_that_leaves_after_the_text_but_before_the_end(door: Door) -> None:
    with asking(door, stream=True, model=f"sim/never-done/{MODEL}") as response:
        for line in response.iter_lines():
            if '"usage"' in line:
                break
    event = door.event()
    assert (event.status, event.error_code, event.tokens_estimated) == ("success", "", False)


PACE = {"x-sim-chunks": "15", "x-sim-chunk-delay-ms": "10"}
SLOWER = {"x-sim-chunks": "40", "x-sim-chunk-delay-ms": "200"}
"""A stream that is left cannot have ended before, however long its client takes to leave."""
WHOLE = ("end", "lines")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_stream_is_recorded_however_an_sdk_leaves_it(door: Door, kind: str) -> None:
    """The ways are those of the tests of our own client. Here a stream that is left is a connection that is closed."""

    def read(reading: str) -> None:
        headers = (PACE if reading in WHOLE else SLOWER) | {"x-usage-request-id": f"{kind} {reading}"}
        if kind == "sync":
            with groq.Groq(api_key=CALL, base_url=door.address, max_retries=0) as client:
                ask(client, reading, model=MODEL, extra_headers=headers)
        else:
            asyncio.run(read_async(reading, headers))

    async def read_async(reading: str, headers: dict[str, str]) -> None:
        async with groq.AsyncGroq(api_key=CALL, base_url=door.address, max_retries=0) as client:
            await ask_async(client, reading, model=MODEL, extra_headers=headers)

    with ThreadPoolExecutor(len(READINGS)) as threads:
        list(threads.map(read, READINGS))
    for reading in READINGS:
        event = door.event(f"{kind} {reading}")
        is_whole = reading in WHOLE
        assert (event.status, event.error_code) == ("success", "" if is_whole else "abandoned"), reading
        assert event.tokens_estimated is not is_whole, reading
        assert event.input_tokens > 60, reading
    assert UsageEvent.objects.count() == len(READINGS)


PATIENCE = 8
"""Seconds after which a client goes away. Until then its stream has begun, on a busy machine too."""


def test_clients_that_lose_patience_or_are_cancelled(door: Door) -> None:
    slowly = {"x-sim-chunks": "5", "x-sim-chunk-delay-ms": "20000"}

    async def lose_patience(name: str, **asked: Any) -> None:
        asked["extra_headers"] = asked.get("extra_headers", {}) | {"x-usage-request-id": name}
        async with groq.AsyncGroq(api_key=CALL, base_url=door.address, max_retries=0, timeout=PATIENCE) as client:
            assert isinstance(await ask_async(client, "end" if "stream" in name else None, **asked), Exception)

    async def be_cancelled(name: str, **asked: Any) -> None:
        asked["extra_headers"] = asked.get("extra_headers", {}) | {"x-usage-request-id": name}
        async with groq.AsyncGroq(api_key=CALL, base_url=door.address, max_retries=0) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await ask_async(client, "end" if "stream" in name else None, **asked)

    async def all_of_them() -> None:
        await asyncio.gather(
            lose_patience("call that times out", model=f"sim/timeout/{MODEL}"),
            lose_patience("stream that times out", model=MODEL, extra_headers=slowly),
            be_cancelled("call that is cancelled", model=f"sim/timeout/{MODEL}"),
            be_cancelled("stream that is cancelled", model=MODEL, extra_headers=slowly),
        )

    asyncio.run(all_of_them())
    for end in ("times out", "is cancelled"):
        event = door.event(f"call that {end}")
        assert (event.status, event.error_code, event.output_tokens) == ("error", "cancelled", 0)
        event = door.event(f"stream that {end}")
        assert (event.status, event.error_code, event.tokens_estimated) == ("success", "abandoned", True)


def test_a_client_that_does_not_read_does_not_fill_the_memory(door: Door) -> None:
    """What Groq sends waits at Groq until the client takes it."""
    body = json.dumps(question(stream=True)).encode()
    with socket.create_connection(door.address.removeprefix("http://").split(":")) as client:  # type: ignore[arg-type]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {CALL}\r\n"
        head += f"x-sim-chunks: 200000\r\nContent-Length: {len(body)}\r\n\r\n"
        client.settimeout(60)
        client.sendall(head.encode() + body)
        assert client.recv(12) == b"HTTP/1.1 200"  # the stream has begun
        time.sleep(2)
        assert not door.groq.requests[-1].completed
    event = door.only()
    assert (event.status, event.error_code) == ("success", "abandoned")


def test_an_upload_whose_client_leaves(door: Door) -> None:
    with socket.create_connection(door.address.removeprefix("http://").split(":")) as client:  # type: ignore[arg-type]
        head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {CALL}\r\n"
        head += "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
        part = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-large-v3\r\n'
        part += '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
        client.sendall((head + part).encode())
        time.sleep(0.3)
    event = door.only()
    assert (event.model, event.status, event.error_code) == ("whisper-large-v3", "error", "cancelled")


@pytest.fixture(scope="module")
def impatient(django_db_setup: None, django_db_blocker: Any, groq_server: SimulatorHandle) -> Iterator[str]:
    """A gateway that waits for a second."""
    settings = {"GROQ_API_KEY": "gsk", "GROQ_BASE_URL": groq_server.base_url}
    settings |= {"GATEWAY_FIRST_BYTE_SECONDS": "1", "GATEWAY_CALL_SECONDS": "2", "GATEWAY_BODY_SECONDS": "1"}
    settings |= {"GATEWAY_FORWARD_HEADERS": "x-sim-*", "GATEWAY_CONNECTIONS_PER_KEY": "2", "GATEWAY_BODY_MB": "1"}
    settings |= {"GATEWAY_UPLOAD_MB": "1"}
    with django_db_blocker.unblock(), served(**settings) as address:
        yield address


@pytest.fixture
def hasty(impatient: str, door: Door) -> Iterator[Door]:
    hasty = Door(impatient, door.groq)
    yield hasty
    hasty.settle()


def test_a_groq_that_does_not_answer(hasty: Door) -> None:
    response = hasty.ask(model=f"sim/timeout/{MODEL}")
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "upstream_timeout"
    event = hasty.only()
    assert (event.status, event.error_code, event.http_status) == ("error", "timeout", None)


def test_a_stream_that_takes_too_long_is_cut(hasty: Door) -> None:
    with pytest.raises(httpx.RemoteProtocolError), asking(hasty, stream=True, headers=SLOWLY) as response:
        for _ in response.iter_lines():
            pass
    event = hasty.only()
    assert (event.status, event.error_code) == ("error", "timeout")
    assert event.output_tokens > 0


def test_a_body_that_does_not_come(hasty: Door) -> None:
    with socket.create_connection(hasty.address.removeprefix("http://").split(":")) as client:  # type: ignore[arg-type]
        client.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {CALL}\r\n"
            "Content-Length: 100\r\n\r\n{".encode()
        )
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("path", ["chat/completions", "audio/transcriptions"])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_body_that_is_too_large(hasty: Door, path: str, is_told: bool) -> None:
    is_form = path.startswith("audio")
    headers = {"content-type": "multipart/form-data; boundary=b" if is_form else "application/json"}
    # A well-formed beginning: whoever refuses the body, refuses it for its size.
    start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' if is_form else b'{"model": "'
    content = start + b"x" * 3_000_000
    pieces = (content[at : at + 100_000] for at in range(0, len(content), 100_000))
    response = hasty.post(f"/v1/{path}", headers=headers, content=content if is_told else pieces)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "body_too_large"


def test_a_key_has_its_share_of_connections(hasty: Door) -> None:
    """Each of the two workers counts its own."""
    refused = []

    def ask() -> None:
        response = hasty.ask(stream=True, headers={"x-sim-chunks": "50", "x-sim-chunk-delay-ms": "20"})
        if response.status_code == 429:
            refused.append(response)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused
    assert refused[0].headers["retry-after"] == "1"
    assert "under way" in refused[0].json()["error"]["message"]


def test_a_groq_that_is_not_there(key: ApiKey) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with served(GROQ_API_KEY="gsk", GROQ_BASE_URL=nowhere) as address:
        response = httpx.post(
            f"{address}/v1/chat/completions", json=question(), headers={"authorization": f"Bearer {CALL}"}, timeout=30
        )
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_unreachable"
        wait_until(lambda: UsageEvent.objects.exists(), 30)
    event = UsageEvent.objects.get()
    assert (event.status, event.error_code, event.total_tokens) == ("error", "connection_error", 0)
