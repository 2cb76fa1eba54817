"""Lines as objects: JSON Lines and CSV, and which of them a file is."""

import csv
import json
import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Literal, NoReturn

from analytics.export import JSON, TEXTS
from analytics.importing import RefusedError
from analytics.importing.lines import MAX_LINE, Line

Format = Literal["jsonl", "csv", "groq-batch"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "groq-batch")
Object = Mapping[str, Any]

TOO_LONG = f"The line is longer than {MAX_LINE:,} bytes."
UNSTORABLE = "The line holds a NUL character or half of a surrogate pair, which no text can."
FORMULA = ("=", "+", "@", "\t", "\r", "\n", "-", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Item:
    """What one line holds, or the reason why it holds nothing. A CSV record may take several: ``line`` begins where the
    first does and has the content of all; ``last`` is the last of them."""

    line: Line
    last: Line
    found: Object | RefusedError


def guess_format(name: str, first: bytes) -> Format:
    """By the file's name, and by its first line where that does not tell."""
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
    """An object in each line; empty lines are passed over."""
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
    text = _text(content.strip())
    try:
        found = json.loads(text, parse_float=_finite, parse_constant=_not_json)
    except RecursionError:
        raise RefusedError("The JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise RefusedError(f"This is not JSON: {error.msg} at character {error.pos + 1}.") from None
    except ValueError as error:
        raise RefusedError(f"This is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise RefusedError("The line must be a JSON object.")
    if b"\\u" in content:  # where both hide: JSON has no bare control characters, and UTF-8 no surrogates
        _refuse_unstorable(found)
    return found


def csv_header(line: Line) -> list[str]:
    """The columns' names. RefusedError if the first line cannot be a header."""
    if line.is_too_long:
        raise RefusedError(TOO_LONG)
    names = [name.strip() for name in _record(line.content)]
    if "timestamp" not in names or "" in names or len(set(names)) != len(names):
        raise RefusedError(
            "The first line must name every column, each once and between commas, and timestamp among them."
        )
    return names


def csv_items(header: list[str], lines: Iterator[Line]) -> Iterator[Item]:
    """The records under ``header``; a quoted text may run over several lines. Empty lines are passed over.

    Where several lines make no record together, a stray quote is to blame: the first has to be one by itself, and
    reading goes on with the second.
    """
    reader = _Lines(lines)
    for line in reader:
        if line.is_too_long:
            yield Item(line, line, RefusedError(TOO_LONG))
        elif line.content.strip():
            parts = _until_quotes_close(line, reader)
            try:
                whole = replace(line, content=b"".join(part.content for part in parts))
                yield Item(whole, parts[-1], _object(header, _record(whole.content)))
            except RefusedError as error:
                yield _alone(header, line) if len(parts) > 1 else Item(line, line, error)
                reader.put_back(parts[1:])


def _alone(header: list[str], line: Line) -> Item:
    try:
        return Item(line, line, _object(header, _record(line.content)))
    except RefusedError as error:
        return Item(line, line, error)


class _Lines:
    """An iterator that takes lines back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        return self._again.popleft() if self._again else next(self._lines)

    def put_back(self, lines: list[Line]) -> None:
        self._again.extendleft(reversed(lines))


def _until_quotes_close(line: Line, more: Iterator[Line]) -> list[Line]:
    """The lines of one record: a quote within a text is doubled, so that a whole record has an even number of them."""
    parts, size, quotes = [line], len(line.content), line.content.count(b'"')
    while quotes % 2 and size <= MAX_LINE and (following := next(more, None)) is not None:
        parts.append(following)
        size, quotes = size + len(following.content), quotes + following.content.count(b'"')
        if following.is_too_long:
            break
    return parts


def _record(content: bytes) -> list[str]:
    if len(content) > MAX_LINE + 1:
        raise RefusedError("A quote is not closed.")
    text = _text(content)
    if "\0" in text:
        raise RefusedError(UNSTORABLE)
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise RefusedError(f"This is not CSV: {error}.") from None


def _object(header: list[str], values: list[str]) -> Object:
    if len(values) != len(header):
        raise RefusedError(f"The line has {len(values)} values, and the header names {len(header)} columns.")
    return {name: _value(name, value) for name, value in zip(header, values, strict=True) if value != ""}


def _value(name: str, text: str) -> object:
    """The text as it was before the export defused it for spreadsheets, and JSON columns read."""
    if name in TEXTS | JSON and is_defused(text):
        text = text[1:]
    if name not in JSON:
        return text
    try:
        return read_json(f'{{"value": {text}}}'.encode())["value"]
    except RefusedError as error:
        raise RefusedError(f"{name}: {error}") from None


def is_defused(text: str) -> bool:
    """Whether the export put an apostrophe in front: a formula, or apostrophes and a formula."""
    return text.startswith("'") and text.lstrip("'").startswith(FORMULA)


def _text(content: bytes) -> str:
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
