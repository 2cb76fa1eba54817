"""Recognition of a file's format, and conversion of lines of JSON to objects. ``ledger.importing.table`` converts
CSV."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, NoReturn

from ledger.importing import RefusedError
from ledger.importing.lines import MAX_LINE, Line

Format = Literal["jsonl", "csv", "groq-batch"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "groq-batch")
Object = Mapping[str, Any]

TOO_LONG = f"The line is longer than {MAX_LINE:,} bytes."
ESCAPE = b"\\u"
"""The beginning of an escape. Only an escape can contain a NUL or a surrogate."""
UNSTORABLE = "The line holds a NUL character or half of a surrogate pair, which no text can."


@dataclass(frozen=True, slots=True)
class Item:
    """The object in a line, or the error if the line is refused. If a CSV record has several lines, ``line`` is the
    first of them, but with the content of all, and ``last`` is the last of them."""

    line: Line
    last: Line
    found: Object | RefusedError


def guess_format(name: str, first: bytes) -> Format:
    """The format of a file, by its name and its first line."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes if suffix.lower() != ".gz"]
    is_json = suffixes[-1:] in ([".jsonl"], [".ndjson"]) or first.lstrip().startswith(b"{")
    if suffixes[-1:] == [".csv"] or not is_json:
        return "csv"
    try:
        keys = read_json(first).keys()
    except RefusedError:
        return "jsonl"
    return "groq-batch" if {"custom_id", "response"} <= keys else "jsonl"


def json_items(lines: Iterator[Line]) -> Iterator[Item]:
    """The JSON object of each line. Empty lines are skipped."""
    for line in lines:
        if line.is_too_long:
            yield Item(line, line, RefusedError(TOO_LONG))
        elif line.content.strip():
            try:
                yield Item(line, line, read_json(line.content))
            except RefusedError as error:
                yield Item(line, line, error)


def read_json(content: bytes) -> Object:
    """One JSON object of text and finite numbers. RefusedError for anything else."""
    return object_in(read_value(content), has_escapes=ESCAPE in content)


def object_in(value: object, *, has_escapes: bool) -> Object:
    """The value, which must be an object without text that cannot be stored. ``has_escapes`` tells whether the JSON had
    any ESCAPE."""
    if not isinstance(value, dict):
        raise RefusedError("The line must be a JSON object.")
    if has_escapes:
        _refuse_unstorable(value)
    return value


def read_value(content: bytes) -> object:
    """One JSON value of finite numbers, as it is written. RefusedError for anything else."""
    text = text_of(content.strip())
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_not_json)
    except RecursionError:
        raise RefusedError("The JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise RefusedError(f"This is not JSON: {error.msg} at character {error.pos + 1}.") from None
    except ValueError as error:
        raise RefusedError(f"This is not JSON: {error}.") from None


def text_of(content: bytes) -> str:
    """The content as text. RefusedError if it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"This is not UTF-8: byte {error.start + 1} of the line.") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large")
    return number


def _not_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _refuse_unstorable(value: object) -> None:
    if isinstance(value, str):
        if "\0" in value or (not value.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in value)):
            raise RefusedError(UNSTORABLE)
    elif isinstance(value, list):
        for item in value:
            _refuse_unstorable(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unstorable(key)
            _refuse_unstorable(item)
