"""Requests as nobody should send them. Each part of a request may be odd, and most are as they should be, so that what
is odd gets as far as it can."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st

from tests.gateway.attack import Pieces
from tests.gateway.doors import question
from tests.gateway.ingestion.sending import EVENTS, LOGS, TRACES
from tests.gateway.ingestion.test_hostile import LINE, TEXTS, VALID, VALUES, damaged, nested, plain, wrapped, zstd
from tests.gateway.ingestion.test_otlp import CHAT, PROTOBUF, in_protobuf, log, span, traces
from tests.gateway.ingestion.test_otlp import logs as logs_of

T = TypeVar("T")
ODD_ONCE_IN = 20


def mostly(usual: T, odd: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    return st.integers(1, ODD_ONCE_IN).flatmap(lambda number: odd if number == ODD_ONCE_IN else st.just(usual))


# Bodies

FIELDS = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "tools",
    "max_tokens",
    "n",
    "service_tier",
]
CALL = question()
QUESTIONS = st.dictionaries(st.sampled_from(FIELDS) | TEXTS, VALUES, max_size=4).map(lambda odd: plain(CALL | odd))
SPAN, LOG = traces(span(CHAT)), logs_of(log(CHAT))
HUGE: list[tuple[bytes, bytes]] = [
    (gzip.compress(bytes(30 << 20)), b"gzip"),
    (zstd.compress(bytes(100 << 20)), b"zstd"),
    (gzip.compress(b"[" + b"{}," * 1_000_000 + b"{}]"), b"gzip"),
    (gzip.compress(b"[" * 1_000_000), b"gzip"),
    (gzip.compress(gzip.compress(bytes(1 << 20))), b"gzip"),
    (b"[" * 100_000, b""),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b""),
    (b'{"model": "x", "n": ' + b"9" * 100_000 + b"}", b""),
    (b'{"model": "x", "n": 1e' + b"9" * 1_000 + b"}", b""),
    (b" " * (1 << 20), b""),
    (b"\0" * 1_000, b""),
    (b'{"model": "\xff\xfe", "messages": "\xed\xa0\x80"}', b""),
    (b"\n" * 100_000, b""),
    (b"{}\n" * 10_000, b""),
    (wrapped(1, wrapped(2, wrapped(2, wrapped(5, nested(10_000))))), b""),
    (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(100), b""),
    (b"\x08\x01" * 100_000, b""),
]


@dataclass(frozen=True, slots=True)
class Target:
    """A door. ``bodies`` are what it reads, more or less."""

    path: str
    content_type: bytes
    valid: bytes
    bodies: st.SearchStrategy[bytes]


TARGETS = {
    "gateway": Target(
        "/v1/chat/completions",
        b"application/json",
        plain(CALL),
        QUESTIONS | damaged(plain(CALL)),
    ),
    "events": Target(
        EVENTS,
        b"application/json",
        VALID,
        st.lists(LINE, max_size=3).map(plain) | damaged(VALID) | VALUES.map(plain),
    ),
    "traces": Target(
        TRACES,
        PROTOBUF.encode(),
        in_protobuf(SPAN),
        damaged(in_protobuf(SPAN)) | damaged(plain(SPAN)) | VALUES.map(plain) | st.binary(max_size=300),
    ),
    "logs": Target(
        LOGS,
        PROTOBUF.encode(),
        in_protobuf(LOG),
        damaged(in_protobuf(LOG)) | damaged(plain(LOG)) | VALUES.map(plain) | st.binary(max_size=300),
    ),
}

# Framing

LENGTHS = st.sampled_from(
    [b"0", b"5", b"-1", b"+5", b"ten", b"1e3", b"0x10", b"5, 5", b"5 5", b"", b"00005", b"\x0b5", b"9" * 18,
     b"9" * 100,      b"18446744073709551617", b"5.0", b"\xd9\xa5"]
)  # fmt: skip
CODINGS = st.sampled_from(
    [b"chunked", b"Chunked", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"identity", b"xchunked", b"",
     b"\x0bchunked", b"chunked\x00", b'"chunked"', b"chunked;q=1", b"trailers", b"identity, chunked"]
)  # fmt: skip
SIZES = st.sampled_from(
    [b"", b"zz", b"-1", b"0x5", b"f" * 16, b"f" * 18, b"5;a=b", b'5;a="' + b"x" * 300 + b'"', b" 5", b"5 ",
     b"+5", b"5\0"]
)  # fmt: skip
HEADERS = st.sampled_from(
    [b"X-Usage-User: a\0b", b"X-Usage-Metadata: " + b"{" * 5_000, b"X-Usage-Metadata: " + b"a" * 100_000, b": x",
     b"no colon", b"Blank : x", b" folded", b"X-A: 1\r\n b", b"X-A: 1\n b", b"X-\xff: \xfe\xfd", b"X-A: \r",
     b"Expect: 100-continue", b"Expect: nothing",
     b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==",
     b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
     b"Connection: close", b"Connection: content-length, authorization", b"Host: other",
     b"X-Forwarded-For: 1.2.3.4, [::1]:x, \xff", b"Range: bytes=0-", b"Content-Encoding: gzip",
     b"Content-Encoding: br", b"Content-Encoding: zstd", b"Content-Type: application/json; charset=\xff",
     b"Content-Type: multipart/form-data; boundary=", b"Content-Type: multipart/form-data; boundary=b",
     b"Cookie: sessionid=\xff", b"X-Http-Method-Override: DELETE", b"Accept-Encoding: \0",
     b"X-Stainless-Retry-Count: 99999999999", b"X-Usage-Request-Id: \xf0\x9f", b"X-Usage-Request-Id: " + b"i" * 5_000,
     b"X-A: b\r\n" * 150, b"X-A: " + b"b" * 1_000_000, b"Trailer: Content-Length",
     b"X-Portkey-Metadata: " + b"[" * 7_000, b"Helicone-Property-\xff: a", b"Authorization: Bearer gul_wrong",
     b"TE: trailers"]
)  # fmt: skip
METHODS = st.sampled_from(
    [b"GET", b"PUT", b"post", b"P\0ST", b"", b"OPTIONS", b"HEAD", b"CONNECT", b"TRACE", b"A" * 5_000, b"PRI"]
)  # fmt: skip
PLACES = st.sampled_from(
    [b"http://metadata.internal%s", b"%s?a=%%00\x80", b"%s?" + b"a" * 10_000, b"/..%s", b"/%s", b"%s/", b"%s%%2e%%2e",
     b"%s\0",      b"%s#a", b"*", b"", b"//evil%s", b"%s;a", b"\\%s", b"%s " + b"x", b"/" + b"a" * 100_000]
)  # fmt: skip
VERSIONS = st.sampled_from(
    [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 x", b"HTTP/11", b"", b"http/1.1", b"ICY"]
)  # fmt: skip
ENDS = st.sampled_from(
    [b"\n", b"\r", b"\r\r\n", b"\0\r\n"]
)  # fmt: skip
AFTER = st.sampled_from(
    [b"\r\n" * 10, b"\0" * 100, b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
     b"POST /v1/chat/completions HTTP/1.1\r\n\r\n",      b"\x16\x03\x01\x02",
     b"GET /health/live/ HTTP/1.1\r\nHost: x\r\n\r\n" * 20]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Odd:
    """A request. ``is_ambiguous`` if two readers could see its end at different places, so that it must be refused."""

    pieces: Pieces
    is_ambiguous: bool


def chunked(sizes: Sequence[bytes | None], body: bytes) -> bytes:
    """The body in a chunk for each size, which is told right for None."""
    share = len(body) // len(sizes) + 1
    chunks = [body[at : at + share] for at in range(0, len(body), share)]
    told = [size if size is not None else b"%x" % len(chunk) for size, chunk in zip(sizes, chunks, strict=False)]
    return b"".join(size + b"\r\n" + chunk + b"\r\n" for size, chunk in zip(told, chunks, strict=False))


KINDS = [*["length"] * 7, "chunks", "chunks", "odd length", "two lengths", "both", "none", "odd coding"]
LAST = st.sampled_from([b"", b"0\r\n", b"00000\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0;a\r\n\r\n"])


@st.composite
def framed(draw: st.DrawFn, body: bytes) -> tuple[list[bytes], bytes, bool]:
    """The headers that tell where the body ends, the body as it is sent, and whether they contradict each other."""
    right = b"Content-Length: %d" % len(body)
    kind = draw(st.sampled_from(KINDS))
    if kind == "length":
        return [right], body, False
    if kind == "none":
        return [], body, False
    if kind == "odd length":
        return [b"Content-Length: " + draw(LENGTHS)], body, False
    if kind == "two lengths":
        other = b"Content-Length: %d" % draw(st.integers(0, 100).filter(lambda n: n != len(body)))
        return draw(st.permutations([right, other])), body, True
    sizes = draw(st.lists(mostly(None, SIZES), min_size=1, max_size=3))
    sent = chunked(sizes, body) + draw(mostly(b"0\r\n\r\n", LAST))
    if kind == "both":
        length = b"Content-Length: %d" % draw(st.integers(0, 20))
        return draw(st.permutations([length, b"Transfer-Encoding: chunked"])), sent, True
    coding = b"chunked" if kind == "chunks" else draw(CODINGS)
    return [b"Transfer-Encoding: " + coding], sent, False


@st.composite
def requests(draw: st.DrawFn, target: Target, secrets: Sequence[str]) -> Odd:
    odd_body = st.tuples(target.bodies, st.just(b""))
    body, coding = draw(odd_body if draw(st.booleans()) else mostly((target.valid, b""), st.sampled_from(HUGE)))
    framing, sent, is_ambiguous = draw(framed(body))
    place = draw(mostly(b"%s", PLACES))
    line = [draw(mostly(b"POST", METHODS)), place.replace(b"%s", target.path.encode()).replace(b"%%", b"%")]
    line.append(draw(mostly(b"HTTP/1.1", VERSIONS)))
    headers = [b"Host: localhost", b"Authorization: Bearer " + draw(st.sampled_from(secrets)).encode()]
    headers += [b"Content-Type: " + target.content_type, *([b"Content-Encoding: " + coding] if coding else [])]
    odd = draw(mostly([], st.lists(HEADERS, max_size=2)) | st.lists(HEADERS, max_size=1))
    end = draw(mostly(b"\r\n", ENDS))
    head = end.join([b" ".join(line), *draw(st.permutations([*framing, *odd])), *headers, b"", b""])
    whole = head + sent + draw(mostly(b"", AFTER))
    whole = whole[: draw(mostly(len(whole), st.integers(0, len(whole))))]
    at = draw(mostly(0, st.integers(0, len(whole))))
    return Odd([whole[:at], whole[at:]] if at else [whole], is_ambiguous and end == b"\r\n")


def shown(odd: Odd) -> str:
    """The beginning of a request, for a message about it."""
    return json.dumps(b"".join(odd.pieces)[:1_500].decode("latin-1"))
