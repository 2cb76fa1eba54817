"""INSERT … VALUES of many rows. Citus documents it for distributed tables and sends it to the one shard that its rows
belong to, where it would take an INSERT … SELECT of grouping sets or of arrays through the coordinator."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain

from analytics.cubes import CUBES
from analytics.pipeline import Statement

SIZES = sorted({1, 2, 4, 8, 16, 32, 64, len(CUBES)}, reverse=True)
"""Rows of one statement: each number is prepared once, and there are few. One call has a row for each cube."""


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT into the columns of a table, and what follows its VALUES."""

    table: str
    columns: tuple[str, ...]
    suffix: str = ""

    def statements(self, rows: Sequence[tuple[object, ...]]) -> Iterator[Statement]:
        """That insert the rows in their order."""
        for part in _parts(rows):
            yield _sql(self, len(part)), _texts(chain.from_iterable(part))


def _texts(values: Iterable[object]) -> list[bytes | None]:
    """As parameters go. Nothing stored has a NUL, so all are encoded at once; one by one takes twice as long."""
    values = tuple(values)
    encoded = "\0".join(map(str, values)).encode()
    found: list[bytes | None] = [*encoded.split(b"\0")]
    if b"None" in encoded:
        return [None if value is None else text for value, text in zip(values, found, strict=True)]
    return found


def array(values: Iterable[object]) -> str:
    """PostgreSQL's notation of an array."""
    return f"{{{','.join(map(_quoted, values))}}}"


@lru_cache(maxsize=10_000)
def _quoted(value: object) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _parts(rows: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    at = 0
    for size in SIZES:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


@cache
def _sql(insert: Insert, rows: int) -> bytes:
    width = len(insert.columns)
    places = (f"({', '.join(f'${row * width + n + 1}' for n in range(width))})" for row in range(rows))
    head = f"INSERT INTO {insert.table} ({', '.join(insert.columns)}) VALUES "  # noqa: S608 - the modules' own words
    return f"{head}{', '.join(places)}{insert.suffix}".encode()
