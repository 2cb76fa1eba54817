"""What a second program told about a recorded call. A row of a table keeps it until ``ledger.upkeep.gaps`` adds it to
the event, so that whoever records a call never waits for a change of sums."""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from ledger.recording import event_row
from ledger.recording.bulk_insert import Insert
from ledger.recording.pipeline import Statement

COLUMNS = ("organization_id", "request_id", "told_as", "told")
_JSON = ("usage_breakdown", "metadata", "tool_uses")
# The same call told twice by one program, for example after an error, is kept once.
_INSERT = Insert("ledger_supplement", COLUMNS, on_conflict="ON CONFLICT DO NOTHING")

Row = tuple[int, str, str, str]


def row_of(organization_id: int, request_id: str, told: event_row.Row) -> Row:
    """The row of the table: ``told`` is what the second program told about the event with this request id."""
    values = dict(zip(event_row.COLUMNS, told, strict=True))
    for name in _JSON:
        text = values[name]
        values[name] = json.loads(text) if isinstance(text, str) else None
    return organization_id, request_id, str(values["request_id"]), json.dumps(values, default=_plain)


def statements(rows: Sequence[Row]) -> Iterator[Statement]:
    yield from _INSERT.statements(rows)


def _plain(value: object) -> str | float:
    """A value as PostgreSQL writes it in JSON."""
    if isinstance(value, Decimal):
        return float(value)  # seconds to the millisecond, which a float keeps
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"A row has no values like {value!r}.")
