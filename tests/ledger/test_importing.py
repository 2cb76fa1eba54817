"""The parsers of imported files, without a database: every possible line becomes a call or is refused."""

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.directory import Whose
from ledger.event_columns import COLUMNS
from ledger.importing import RefusedError
from ledger.importing.columns import Defaults, call_of
from ledger.importing.encoding import Utf8
from ledger.importing.formats import guess_format, read_json
from ledger.importing.groq_batch import call_of_result
from ledger.importing.lines import Line, Source
from ledger.importing.table import Table, records
from ledger.recording.event_row import COLUMNS as ROW
from ledger.recording.event_row import event_row
from pricing.book import PriceBook

NOW = datetime(2026, 11, 25, tzinfo=UTC)
DEFAULTS = Defaults("acme", at=NOW)
TABLE = Table(["timestamp", "model", "input_tokens", "output_tokens"])
VALID: dict[str, Any] = {"timestamp": "2026-11-03", "model": "m", "input_tokens": 1, "output_tokens": 2}

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2),
    st.sampled_from(["", "1", "1e9", "-0", "true", "chat", "error", "2026-01-01", "9999-12-31T23:59:59-12:00", "𝟙"]),
    st.datetimes().map(str), st.just([{"model": "x", "input_tokens": 1}]), st.just({"usage": {"prompt_tokens": 1}}),
)  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from(sorted(COLUMNS)), VALUES)
NAMES_IN_ANSWERS = st.sampled_from(
    ["usage", "prompt_tokens", "completion_tokens", "created", "model", "x_groq", "id", "error", "code", "service_tier",
     "choices", "message", "content", "tool_calls", "index", "function", "type", "usage_breakdown", "models",
     "text", "duration"]
)  # fmt: skip
ANSWERS = st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(NAMES_IN_ANSWERS, inner))


def is_a_row(line: dict[str, Any]) -> bool:
    try:
        call = call_of(line, DEFAULTS, NOW, lambda *_: "id")
    except RefusedError:
        return False
    row = event_row(call, Whose(1, "Pacific/Apia", None, None), PriceBook([]))
    return len(row) == len(ROW)


@given(OBJECTS)
@settings(max_examples=150, deadline=None)
def test_an_object_is_a_row_or_refused_whatever_is_in_it(found: dict[str, Any]) -> None:
    assert is_a_row(VALID)
    is_a_row(found)
    is_a_row(VALID | found)
    is_a_row(VALID | {"operation": "speech", "status": "error"} | found)


@given(st.lists(st.binary(max_size=12) | st.sampled_from([b'"', b',"', b'a"b', b"2026-01-01,m,1,2", b"\r", b'"\r'])))
@settings(max_examples=150, deadline=None)
def test_every_line_of_any_table_is_passed_once_and_in_order(contents: list[bytes]) -> None:
    lines = list(lines_of(b"\n".join(contents)))
    items = records(TABLE, iter(lines))
    passed = [number for item in items for number in range(item.line.number, item.last.number + 1)]
    assert passed == sorted(set(passed))
    assert {line.number for line in lines if line.content.strip(b", \t\r\n")} <= set(passed)


@given(st.binary(max_size=60), ANSWERS)
@settings(max_examples=150, deadline=None)
def test_any_result_of_a_batch_is_a_call_or_refused(rubbish: bytes, value: Any) -> None:
    results: list[Any] = [value, {"response": value}, {"id": "a", "response": {"status_code": 200, "body": value}}]
    for content in (rubbish, *(json.dumps(result).encode() for result in results)):
        with suppress(RefusedError):
            call_of_result(read_json(content), DEFAULTS, NOW, lambda *_: "id")


def lines_of(content: bytes) -> Iterator[Line]:
    return Source(io.BytesIO(content), 0).lines()


class Dripping(io.BytesIO):
    """A stream that gives at most a fixed number of bytes at a time, as a pipe may."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(self._size)


TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("\n\r🦊,"))


@given(
    TEXTS,
    st.sampled_from([("utf-8", ""), ("utf-8", "\ufeff"), ("utf-16-le", "\ufeff"), ("utf-16-be", "\ufeff")]),
    st.integers(1, 7),
)
@settings(max_examples=150, deadline=None)
def test_a_text_is_read_however_it_is_written(text: str, written: tuple[str, str], size: int) -> None:
    encoding, mark = written
    if not mark:
        text = text.lstrip("\ufeff\ufffe")
    read = io.BufferedReader(Utf8(Dripping((mark + text).encode(encoding), size))).read().decode()
    first = min(text.find(end) % (len(text) + 1) for end in ("\r", "\n"))
    ends_with_returns = text[first : first + 1] == "\r" and text[first + 1 : first + 2] != "\n"
    assert read == (text.replace("\r", "\n") if ends_with_returns else text)


def test_long_metadata_of_an_export_is_read() -> None:
    text = "x" * 500_000
    line = Line(2, f'2026-11-01T00:00:00Z,"{{""text"": ""{text}""}}"'.encode(), 0)
    (item,) = records(Table(["timestamp", "metadata"]), iter([line]))
    assert item.found == {"timestamp": "2026-11-01T00:00:00Z", "metadata": {"text": text}}


def test_half_a_character_spoils_its_line_alone() -> None:
    content = "\ufeffa\nb\ud800\nc\n".encode("utf-16-le", "surrogatepass") + b"d"
    lines = [line.content for line in lines_of(content)]
    assert lines == [b"a\n", b"b\xed\xa0\x80\n", b"c\n", b"\xff"]


def test_a_kind_is_guessed_by_name_and_then_by_the_first_line() -> None:
    result = b'{"custom_id": "a", "response": {}}'
    assert (
        guess_format("a.csv", b"{}") == guess_format("A.CSV.gz", b"") == guess_format("", b"timestamp,model") == "csv"
    )
    assert guess_format("a.jsonl.gz", b"rubbish") == guess_format("", b' {"timestamp": 1}') == "jsonl"
    assert guess_format("a.jsonl", result) == guess_format("", result) == "groq-batch"
