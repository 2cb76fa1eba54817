"""The statements that write events and their rows of the tail on a single server.

PostgreSQL makes the rows of the tail from the stored events. Each column of several events is one parameter, an array.
So one prepared statement serves any number of events. A single event, which is what a caller waits for, has a statement
of its own without arrays, because taking 48 arrays apart costs the server as much as storing the event.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection

from ledger.models import UsageEvent
from ledger.recording.bulk_insert import as_texts
from ledger.recording.event_row import COLUMNS, Row
from ledger.recording.pipeline import BEGIN, COMMIT, Statement
from ledger.rollups import tail

ROWS_AT_ONCE = 1_000
"""At most this number of rows is in one statement. The server works on it while the next one is made."""


def _type(column: str) -> str:
    """The type of a column, without a length: a cast to a type with a length would cut texts off silently."""
    return str(UsageEvent._meta.get_field(column).db_type(connection)).partition("(")[0]


_TYPES = [_type(column) for column in COLUMNS]


def _insert(rows: str) -> bytes:
    return f"""
WITH added AS (
    INSERT INTO ledger_usageevent ({", ".join(COLUMNS)}) {rows}
    RETURNING {", ".join(tail.COLUMNS)}
)
INSERT INTO ledger_tail ({", ".join(tail.COLUMNS)}) SELECT {", ".join(tail.COLUMNS)} FROM added
""".encode()  # noqa: S608 - no outside input


_ARRAYS = ", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(_TYPES, 1))
_INSERT = _insert(f"SELECT * FROM unnest({_ARRAYS})")  # noqa: S608 - no outside input
_INSERT_ONE = _insert(f"VALUES ({', '.join(f'${n}' for n, _ in enumerate(_TYPES, 1))})")


def statements(rows: Sequence[Row]) -> Iterator[Statement]:
    """The statements that write all rows, in their order, in one transaction. They fail if an event exists already."""
    if len(rows) == 1:
        yield _INSERT_ONE, as_texts(rows[0])
    elif len(rows) <= ROWS_AT_ONCE:
        yield _INSERT, _arrays(rows)
    else:
        yield BEGIN
        for at in range(0, len(rows), ROWS_AT_ONCE):
            yield _INSERT, _arrays(rows[at : at + ROWS_AT_ONCE])
        yield COMMIT


def _arrays(rows: Iterable[Row]) -> list[bytes]:
    return [_array(type_, values).encode() for type_, values in zip(_TYPES, zip(*rows, strict=True), strict=True)]


def _array(type_: str, values: tuple[Any, ...]) -> str:
    """The values in PostgreSQL's notation of an array. In most batches, half of the columns have the same value in all
    rows, which is then written only once."""
    if values.count(values[0]) == len(values):
        return f"{{{','.join([_elements(type_, values[:1])] * len(values))}}}"
    return f"{{{_elements(type_, values)}}}"


def _elements(type_: str, values: tuple[Any, ...]) -> str:
    """The type decides whether a value has to be quoted: no number, time or truth value contains a character that has a
    meaning in that notation."""
    if type_ == "varchar":
        text = '","'.join(values)
        if "\\" in text or text.count('"') != 2 * len(values) - 2:
            text = '","'.join(map(_escaped, values))
        return f'"{text}"'
    if type_ == "jsonb":
        return ",".join("NULL" if value is None else f'"{_escaped(value)}"' for value in values)
    text = ",".join(map(str, values))
    return text.replace("None", "NULL") if "None" in text else text


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
