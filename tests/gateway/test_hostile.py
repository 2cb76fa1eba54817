"""Requests that nobody sends by mistake: none of them gets an error of ours, and the gateway serves the next one."""

import gzip
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.doors import CALL, Door, question
from tests.gateway.workers import workers_of

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {CALL}\r\n".encode()
BODY = json.dumps(question()).encode()
LENGTH = b"Content-Length: %d\r\n"

RAW = {
    "two lengths": HEAD + LENGTH % len(BODY) + LENGTH % 5 + b"\r\n" + BODY,
    "the same length twice": HEAD + LENGTH % len(BODY) + LENGTH % len(BODY) + b"\r\n" + BODY,
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\n" + BODY,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n" + BODY,
    "a length in words": HEAD + b"Content-Length: ten\r\n\r\n" + BODY,
    "a length of 100 digits": HEAD + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n" + BODY,
    "length and chunks": HEAD + LENGTH % 5 + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n\r\n\r\n",
    "a chunk of a wrong size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
    "a chunk that is too long": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
    "a chunk of 2^70 bytes": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 18 + b"\r\nab",
    "a folded header": HEAD + b"X-A: 1\r\n b\r\n\r\n",
    "a blank before the colon": HEAD + b"Content-Length : 5\r\n\r\nabcde",
    "a header without a name": HEAD + b": x\r\n\r\n",
    "a NUL in a header": HEAD + b"X-Usage-User: a\0b\r\n" + LENGTH % len(BODY) + b"\r\n" + BODY,
    "a line feed alone": HEAD.replace(b"\r\n", b"\n") + b"\n",
    "a hidden request": HEAD + LENGTH % 4 + b"\r\nabcdPOST /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header of a megabyte": HEAD + b"X-Usage-Metadata: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "a thousand headers": HEAD + b"X-Usage-User: a\r\n" * 1_000 + b"\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
    "an absolute address": HEAD.replace(b"/v1/", b"http://metadata.internal/v1/") + LENGTH % len(BODY) + b"\r\n" + BODY,
    "dots in the path": HEAD.replace(b"/v1/chat", b"/v1/../admin/chat") + LENGTH % len(BODY) + b"\r\n" + BODY,
    "a query with blanks": HEAD.replace(b"completions", b"completions?a=%00\x80") + LENGTH % 2 + b"\r\n{}",
}  # fmt: skip


def talk(door: Door, request: bytes) -> bytes:
    """The first line of the answer; empty if the connection was closed without one."""
    host, port = door.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        try:
            client.sendall(request)
            with suppress(OSError):  # the server may have closed the connection already
                client.shutdown(socket.SHUT_WR)
            return client.recv(4096).partition(b"\r\n")[0]
        except ConnectionError:
            return b""


def status_of(line: bytes) -> int:
    return int(line.split()[1]) if line else 0


def test_broken_http(door: Door) -> None:
    for name, request in RAW.items():
        assert status_of(talk(door, request)) < 500, name
    assert door.ask().status_code == 200


def test_no_request_is_smuggled(door: Door) -> None:
    """What reaches Groq is framed anew: each request that it sees is one that the gateway has answered."""
    for request in RAW.values():
        talk(door, request)
    for request in door.groq.requests:
        assert request.path == "/openai/v1/chat/completions"
        assert request.headers["authorization"] == "Bearer gsk_of_the_server"


BODIES = {
    "nothing": b"",
    "NUL": b"\0" * 100,
    "no UTF-8": b'{"model": "\xff\xfe\xfd", "messages": []}',
    "a surrogate": b'{"model": "\\ud800", "messages": [{"role": "user", "content": "\\udfff"}], "user": "\\ud83d"}',
    "a NUL in the model": b'{"model": "a\\u0000b", "messages": [], "metadata": {"\\u0000": "\\u0000"}}',
    "deep": b'{"model": "x", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a list": b"[1, 2, 3]",
    "NaN": b'{"model": NaN, "messages": Infinity, "stream": "yes", "user": 1e999}',
    "a number of 10,000 digits": b'{"model": "x", "user": ' + b"9" * 10_000 + b"}",
    "wide": b'{"model": "x", "messages": [' + b"[]," * 3_000_000 + b"[]]}",
    "a bomb": gzip.compress(b"a" * 30_000_000),
    "a model of a megabyte": json.dumps(question(model="m" * 1_000_000)).encode(),
    "metadata of a megabyte": json.dumps(question(metadata={str(n): "x" * 10 for n in range(50_000)})).encode(),
}


def test_odd_bodies(door: Door) -> None:
    for name, body in BODIES.items():
        headers = {"content-type": "application/json", **({"content-encoding": "gzip"} if name == "a bomb" else {})}
        response = door.post(content=body, headers=headers)
        assert response.status_code < 500, name
        event = door.event()
        assert event.http_status == response.status_code, name
        assert (event.status == "success") is (name == "metadata of a megabyte")
    assert door.ask().status_code == 200


def test_odd_headers(door: Door) -> None:
    odd = ["\x7f", "a" * 8_000, "é\xff", "[" * 4_000, '{"a": NaN}', "{" * 100, "null", "\\ud800"]
    for value in odd:
        said = {f"x-usage-{name}": value.encode("latin-1") for name in ("user", "project", "session", "metadata")}
        said |= {"x-portkey-metadata": value.encode("latin-1"), "x-litellm-tags": value.encode("latin-1")}
        assert door.ask(headers=said).status_code in (200, 400), value
    door.settle()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from(["head", "body", "chunks"]))
def test_noise(door: Door, noise: bytes, place: str) -> None:
    requests = {
        "head": HEAD + noise + b"\r\n\r\n",
        "body": HEAD + LENGTH % len(noise) + b"\r\n" + noise,
        "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + noise,
    }
    status = status_of(talk(door, requests[place]))
    assert status < 500 or status == 501  # gunicorn's, for a transfer coding that nobody knows


def test_wrong_keys_starve_nobody(door: Door) -> None:
    def wrong(number: int) -> int:
        return door.ask(key=f"gul_{number:032}").status_code

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(wrong, range(300))) == {401}
    assert door.ask().status_code == 200
    assert not [request for request in door.groq.requests if "gul_" in str(request.headers)]


def test_25_megabytes_take_little_memory(door: Door, audio_of_25_megabytes: bytes) -> None:
    workers = workers_of(door)
    door.ask()
    before = {worker.pid: worker.memory_info().rss for worker in workers}

    def upload(_: int) -> int:
        files = {"file": ("a.wav", audio_of_25_megabytes)}
        return door.post("/v1/audio/transcriptions", files=files, data={"model": "whisper-large-v3"}).status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(upload, range(8))) == {200}
    growth = sum(worker.memory_info().rss - before[worker.pid] for worker in workers)
    assert growth < 4 * 5_000_000
    for request_id in door.request_ids[1:]:
        event = door.event(request_id)
        assert event.audio_seconds == 25_000_000 / 2 / 16_000


@pytest.fixture
def audio_of_25_megabytes() -> bytes:
    import io
    import wave

    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes(b"\0\0" * 12_500_000)
    return file.getvalue()
