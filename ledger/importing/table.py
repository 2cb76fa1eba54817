"""Conversion of CSV to objects. CSV has a header and records, with commas, semicolons or tabs between the values."""

import csv
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from ledger.event_columns import FORMULA, JSON, TEXTS
from ledger.importing import RefusedError
from ledger.importing.formats import TOO_LONG, UNSTORABLE, Item, Object, read_json, text_of
from ledger.importing.lines import MAX_LINE, Line

DELIMITERS = (",", ";", "\t")
NO_HEADER = (
    "The first line must name every column, each once, between commas, semicolons or tabs, and timestamp among them."
)

csv.field_size_limit(MAX_LINE)  # Python's own limit is less than the metadata of an exported event may have.

# The line with which a CSV file for Excel may begin, and which names the delimiter.
_SEPARATOR = re.compile(rb'"?sep=([^\w\s"\x80-\xff]|\t)"?[,;\t]*\r?\n?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """The content of the header: the names of the columns in lower case, and the delimiter."""

    names: list[str]
    delimiter: str = ","


def read_header(lines: Iterator[Line]) -> Table:
    """Read the header from the first line, or from the second one if the first is ``sep=``. RefusedError if that line
    cannot be a header."""
    line = next(lines, None)
    delimiters: tuple[str, ...] = DELIMITERS
    if line is not None and (told := _SEPARATOR.fullmatch(line.content)):
        delimiters = (told[1].decode("latin-1"),)
        line = next(lines, None)
    if line is None:
        raise RefusedError(NO_HEADER)
    if line.is_too_long:
        raise RefusedError(TOO_LONG)
    text_of(line.content)
    for delimiter in delimiters:
        with suppress(RefusedError):  # the line is no CSV with this delimiter
            names = [name.strip().lower() for name in _without_empty_ends(_record(line.content, delimiter), 0)]
            if "timestamp" in names and "" not in names and len(set(names)) == len(names):
                return Table(names, delimiter)
    raise RefusedError(NO_HEADER)


def records(table: Table, lines: Iterator[Line]) -> Iterator[Item]:
    """The records below the header. A quoted text may contain line ends. Empty records are skipped.

    Several lines that do not form a valid record together contain a stray quote. In this case the first line is read as
    a record of its own, and reading goes on with the second line.
    """
    nothing = f" \t\r\n{table.delimiter}".encode()
    reader = _Lines(lines)
    for line in reader:
        if line.is_too_long:
            yield Item(line, line, RefusedError(TOO_LONG))
        elif line.content.strip(nothing):
            parts = _until_quotes_close(line, reader)
            try:
                whole = replace(line, content=b"".join(part.content for part in parts))
                yield Item(whole, parts[-1], _object(table, whole.content))
            except RefusedError as error:
                yield _alone(table, line) if len(parts) > 1 else Item(line, line, error)
                reader.put_back(parts[1:])


def _alone(table: Table, line: Line) -> Item:
    try:
        return Item(line, line, _object(table, line.content))
    except RefusedError as error:
        return Item(line, line, error)


class _Lines:
    """An iterator of lines to which lines can be returned, so that they come again."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        return self._again.popleft() if self._again else next(self._lines)

    def put_back(self, lines: list[Line]) -> None:
        """Return lines, which come next in their order."""
        self._again.extendleft(reversed(lines))


def _until_quotes_close(line: Line, more: Iterator[Line]) -> list[Line]:
    """The lines of one record. A quote within a text is doubled, so a complete record has an even number of quotes."""
    parts, size, quotes = [line], len(line.content), line.content.count(b'"')
    while quotes % 2 and size <= MAX_LINE and (following := next(more, None)) is not None:
        parts.append(following)
        size, quotes = size + len(following.content), quotes + following.content.count(b'"')
        if following.is_too_long:
            break
    return parts


def _record(content: bytes, delimiter: str) -> list[str]:
    if len(content) > MAX_LINE + 1:
        raise RefusedError("A quote is not closed.")
    text = text_of(content)
    if "\0" in text:
        raise RefusedError(UNSTORABLE)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise RefusedError(f"This is not CSV: {error}.") from None


def _object(table: Table, content: bytes) -> Object:
    names, values = table.names, _without_empty_ends(_record(content, table.delimiter), len(table.names))
    if len(values) != len(names):
        raise RefusedError(f"The line has {len(values)} values, and the header names {len(names)} columns.")
    return {name: _value(name, value) for name, value in zip(names, values, strict=True) if value != ""}


def _without_empty_ends(values: list[str], least: int) -> list[str]:
    """The values without empty ones at the end, but at least ``least`` values. Excel writes empty values for columns
    that were used once and are empty now."""
    while len(values) > least and not values[-1].strip():
        values.pop()
    return values


def _value(name: str, text: str) -> object:
    """The value of a column. An apostrophe that the export put before a formula is removed, and JSON is parsed."""
    if name in TEXTS | JSON and is_defused(text):
        text = text[1:]
    if name not in JSON:
        return text
    try:
        return read_json(f'{{"value": {text}}}'.encode())["value"]
    except RefusedError as error:
        raise RefusedError(f"{name}: {error}") from None


def is_defused(text: str) -> bool:
    """Whether the export put an apostrophe before the text, since a spreadsheet would take the text for a formula."""
    return text.startswith("'") and text.lstrip("'").startswith(tuple(FORMULA))
