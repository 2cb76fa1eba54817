"""Whatever is sent to the doors for events, no answer is an error of ours."""

import gzip
import json
import os
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from gateway.ingestion.bodies import MAX_VALUES, ZstdDecompressor
from gateway.ingestion.otlp.conventions import WANTED
from ledger.event_columns import COLUMNS
from ledger.models import UsageEvent
from tests.gateway.ingestion.sending import EVENTS, LOGS, TRACES, Sender, event
from tests.gateway.ingestion.test_otlp import CHAT, NANO, PROTOBUF, in_protobuf, span, traces

if ZstdDecompressor.__module__.startswith("backports"):
    from backports import zstd
else:
    from compression import zstd  # type: ignore[no-redef]

CASES = int(os.environ.get("HOSTILE_CASES", "150"))
hostile = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=CASES <= 1_000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
pytestmark = pytest.mark.django_db(transaction=True)

TEXTS = st.text() | st.sampled_from(
    ["", " ", "\0", "\ud800", "a" * 300, "1e400", "9" * 5_000, "NaN", "١٢", "=1", "2026-11-02T12:00:00Z", "gul_x"]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**31, 2**63, -1, 10**9, 10**400, 1e308, True])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(sorted(COLUMNS))
LINE = st.dictionaries(NAMES | TEXTS, VALUES, max_size=6).map(lambda more: event() | more)
VALID = json.dumps([event(request_id="a"), event(request_id="b\u00e9", user="zoe")]).encode()
CHATS = traces(span(CHAT))
TYPES = st.sampled_from(["application/json", "application/x-ndjson", "text/plain", PROTOBUF, "", "a/b; charset=x"])
ENCODINGS = st.sampled_from(["", "gzip", "zstd", "deflate", "br", "gzip, gzip", "\xff"])


def plain(value: object) -> bytes:
    return json.dumps(value).encode()


@st.composite
def damaged(draw: st.DrawFn, valid: bytes) -> bytes:
    """The valid body with a piece replaced, cut off or repeated, perhaps compressed."""
    body = draw(st.sampled_from([valid, gzip.compress(valid), zstd.compress(valid)]))
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(body))] * 2)))
    return body[:start] + draw(st.binary(max_size=8)) + body[end:] * draw(st.integers(0, 2))


@hostile
@given(lines=st.lists(LINE, min_size=1, max_size=3))
def test_any_value_in_any_column(sender: Sender, lines: list[dict[str, Any]]) -> None:
    answer = sender.post(EVENTS, plain(lines))
    assert answer.status in (200, 207, 400, 422)
    if answer.status != 400:
        assert len(answer.json["results"]) == len(lines)


@hostile
@given(body=damaged(VALID) | st.binary(), content_type=TYPES, encoding=ENCODINGS)
def test_any_body_of_events(sender: Sender, body: bytes, content_type: str, encoding: str) -> None:
    assert sender.post(EVENTS, body, content_type, Content_Encoding=encoding).status < 500


@hostile
@given(
    path=st.sampled_from([TRACES, LOGS]),
    body=damaged(in_protobuf(traces(span(CHAT))))
    | damaged(plain(traces(span(CHAT))))
    | st.binary()
    | VALUES.map(plain),
    content_type=TYPES,
    encoding=ENCODINGS,
)
def test_any_body_of_telemetry(sender: Sender, path: str, body: bytes, content_type: str, encoding: str) -> None:
    assert sender.post(path, body, content_type, Content_Encoding=encoding).status < 500


STORABLE = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["\0", "a" * 300, "{", '{"a": 1}', "[]"])
ATTRIBUTES = st.dictionaries(
    st.sampled_from(sorted(WANTED)),
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | STORABLE,
    max_size=8,
)


@hostile
@given(
    attributes=ATTRIBUTES,
    times=st.tuples(*[st.integers(0, 2**64 - 1) | st.just(NANO)] * 2),
    ids=st.tuples(st.binary(max_size=40), st.binary(max_size=40)),
)
def test_any_value_in_any_attribute(
    sender: Sender, attributes: dict[str, Any], times: tuple[int, int], ids: tuple[bytes, bytes]
) -> None:
    request = ExportTraceServiceRequest()
    one = request.resource_spans.add().scope_spans.add().spans.add()
    one.start_time_unix_nano, one.end_time_unix_nano = times
    one.trace_id, one.span_id = ids
    for name, value in (CHAT | attributes).items():
        one.attributes.add(key=name, value=any_value(value))
    answer = sender.post(TRACES, request.SerializeToString(), PROTOBUF)
    assert answer.status == 200
    counted = [int(answer.headers[f"X-Usage-{name}"]) for name in ("Recorded", "Duplicates", "Ignored")]
    assert sum(counted) <= 1


def any_value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))


def nested(levels: int) -> bytes:
    """A log record whose body is an array in an array and so on."""
    inner = b""
    for _ in range(levels):
        inner = b"\x2a" + varint(len(inner) + 1 + len(varint(len(inner)))) + b"\x0a" + varint(len(inner)) + inner
    return inner


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += struct.pack("B", number & 127 | 128)
        number >>= 7
    return out + struct.pack("B", number)


def wrapped(field: int, inner: bytes) -> bytes:
    return bytes([field << 3 | 2]) + varint(len(inner)) + inner


def test_deep_telemetry_is_refused(sender: Sender) -> None:
    record = wrapped(5, nested(10_000))
    body = wrapped(1, wrapped(2, wrapped(2, record)))
    assert sender.post(LOGS, body, PROTOBUF).status == 400


MANY = MAX_VALUES + 1
BOMBS = {
    "objects": (EVENTS, b"[" + b"{}," * MANY + b"{}]", "application/json"),
    "lists": (EVENTS, b'{"metadata":[' + b"[]," * MANY + b"[]]}", "application/json"),
    "texts": (TRACES, b'{"resourceSpans":[' + b'"",' * 2 * MANY + b'""]}', "application/json"),
    "messages": (TRACES, b"\x0a\x00" * MANY, PROTOBUF),
    "messages in messages": (LOGS, b"\x0a\x02\x12\x00" * MANY, PROTOBUF),
    "lengths in more bytes than needed": (TRACES, b"\x0a\x80\x00" * MANY, PROTOBUF),
    "tags in more bytes than needed": (TRACES, b"\x8a\x00\x00" * MANY, PROTOBUF),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_body_that_would_take_fifty_times_its_size_is_not_parsed(sender: Sender, name: str) -> None:
    path, body, content_type = BOMBS[name]
    answer = sender.post(path, gzip.compress(body, 1), content_type, Content_Encoding="gzip")
    assert answer.status == 413
    assert b"in parts" in answer.body


def test_large_bodies_of_long_texts_are_taken(sender: Sender) -> None:
    prompt = "A prompt, with [brackets], {braces} and\tblanks\r\n\n2\n" * 200
    attributes = CHAT | {"gen_ai.input.messages": prompt}
    spans = traces(*(span(attributes, number) for number in range(1, 500)))
    assert sender.post(EVENTS, plain([event(request_id=str(n), prompt=prompt) for n in range(1_000)])).status == 200
    for body, content_type in ((plain(spans), "application/json"), (in_protobuf(spans), PROTOBUF)):
        assert sender.post(TRACES, body, content_type).status == 200


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"metadata":'])
@pytest.mark.parametrize("levels", [200, 900, 100_000])
def test_deep_json_is_refused_or_recorded(sender: Sender, opening: bytes, levels: int) -> None:
    closing = {b"[": b"]", b'{"a":': b"}", b'[{"metadata":': b"}]"}[opening]
    body = opening * levels + b"1" + closing * levels
    assert sender.post(EVENTS, body).status in (400, 422)
    inside = plain([event()])[:-2] + b', "metadata": {"a": ' + b"[" * levels + b"]" * levels + b"}}]"
    assert sender.post(EVENTS, inside).status in (200, 400, 422)
    assert UsageEvent.objects.count() <= 1
