"""INSERT … VALUES statements for many rows, which Citus sends directly to the shard of their rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from ledger.recording.pipeline import Statement

SIZES = (64, 32, 16, 8, 4, 2, 1)
"""The possible numbers of rows in one statement. There are only a few sizes, because each one needs its own prepared
statement."""


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT into the columns of a table."""

    table: str
    columns: tuple[str, ...]
    on_conflict: str = ""

    def statements(self, rows: Sequence[tuple[object, ...]]) -> Iterator[Statement]:
        """The statements that insert the rows in their order."""
        for part in _parts(rows):
            yield _sql(self, len(part)), as_texts(chain.from_iterable(part))


def as_texts(values: Iterable[object]) -> list[bytes | None]:
    """The values as text parameters. No stored value has a NUL, so all are joined by NULs and encoded at once, which
    takes half as long as encoding them one by one."""
    values = tuple(values)
    encoded = "\0".join(map(str, values)).encode()
    found: list[bytes | None] = [*encoded.split(b"\0")]
    if b"None" in encoded:
        return [None if value is None else text for value, text in zip(values, found, strict=True)]
    return found


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
    head = f"INSERT INTO {insert.table} ({', '.join(insert.columns)}) VALUES "  # noqa: S608 - no outside input
    return f"{head}{', '.join(places)} {insert.on_conflict}".rstrip().encode()
