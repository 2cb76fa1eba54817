"""The events of a log as a file, streamed by PostgreSQL's COPY, which is fast and takes the same memory for any size.

Times are UTC in ISO 8601, next to the local day and hour that the events are counted under. Columns, their names and
their order are stable; columns that the viewer may not see are left out. There are two kinds of file:

- CSV is for spreadsheets. The file begins with a byte order mark, without which Excel misreads every letter beyond
  ASCII, and a text that a spreadsheet would take for a formula gets an apostrophe in front.
- JSON Lines is for programs: each line is an object with unchanged texts, numbers as numbers (costs with all digits;
  ``parse_float=Decimal`` keeps them), metadata as an object, and null for an absent value.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from accounts.viewer import Viewer
from analytics.reports import Log, event_with, is_scattered, snapshot
from ledger.citus import is_distributed
from ledger.event_columns import COLUMNS, COST_COLUMNS, DOLLARS, FLAGS, FORMULA, JSON, TEXTS, TIMES
from ledger.models import UsageEvent

CHUNK_BYTES = 64 * 1024
Source = TypeVar("Source")
NO_ORGANIZATION = 0
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


# The nodes of a cluster format the times themselves, so each node has to know the session's time zone. The limit on
# intermediate results is lifted, because an export may be larger.
FOR_CITUS = "SET LOCAL citus.max_intermediate_result_size = -1; SET LOCAL citus.propagate_set_commands = 'local'"

IN_UTC = "SET LOCAL TIME ZONE 'UTC'"  # This is faster than converting each time with AT TIME ZONE.


@dataclass(frozen=True, slots=True)
class Format(Generic[Source]):
    """A kind of file: the suffix of its name, its content type, and the function that makes its chunks."""

    suffix: str
    content_type: str
    chunks: Callable[[Source], Generator[bytes, None, None]]


def export_csv(log: Log) -> Generator[bytes, None, None]:
    """The log's events as chunks of CSV, oldest first. The file has a header even without events."""
    columns = (f'{_csv(name, sql)} AS "{name}"' for name, sql in columns_of(log.viewer))
    return copied(log, ", ".join(columns), "FORMAT csv, HEADER", BYTE_ORDER_MARK)


def export_jsonl(log: Log) -> Generator[bytes, None, None]:
    """The log's events as chunks of JSON Lines, oldest first, without a header."""
    # JSON escapes control characters, so COPY finds neither its quote nor its delimiter in a line and changes nothing.
    return copied(log, _line(log.viewer), r"FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02'")


def json_of(viewer: Viewer, organization_id: int, pk: int) -> str | None:
    """One event as a line of JSON Lines; None if it does not exist or the viewer may not see it."""
    event, parameters = _sql_of(event_with(viewer, organization_id, pk))
    with connection.cursor() as cursor:
        cursor.execute(IN_UTC)
        cursor.execute(_joined(f"{_line(viewer)}::text", event), parameters)
        found = cursor.fetchone()
    return found and str(found[0])


CSV = Format("csv", "text/csv; charset=utf-8", export_csv)
JSONL = Format("jsonl", "application/jsonl; charset=utf-8", export_jsonl)


def _line(viewer: Viewer) -> str:
    """SQL of an event as an object of JSON."""
    columns = (f'{_json(name, sql)} AS "{name}"' for name, sql in columns_of(viewer))
    return f"(SELECT row_to_json(line) FROM (SELECT {', '.join(columns)}) AS line)"  # noqa: S608 - our own words


def columns_of(viewer: Viewer) -> list[tuple[str, str]]:
    """The names of the columns that a viewer may see, each with the SQL of its value."""
    return [(name, sql) for name, sql in COLUMNS.items() if viewer.sees_cost or name not in COST_COLUMNS]


def _csv(name: str, sql: str) -> str:
    if name in TEXTS:
        return defused(f"({sql})::text")
    # JSON begins with a bracket, which no spreadsheet takes for a formula.
    return f"({sql})::text" if name in FLAGS | JSON else _plain(name, sql)


def defused(text: str) -> str:
    """SQL that puts an apostrophe in front of a text that a spreadsheet would take for a formula. A text that already
    has apostrophes before a formula gets one more, so that the import can remove exactly one. Most texts begin with a
    letter, a bracket or a digit; comparing that first byte takes a quarter of the time of the pattern."""
    return f"""CASE WHEN {text} COLLATE "C" BETWEEN 'A' AND '~' OR {text} COLLATE "C" BETWEEN '0' AND ':' OR {text} = ''
        THEN {text}
        WHEN {text} ~ '^''*[{FORMULA}]' THEN '''' || {text} ELSE {text} END"""


def _json(name: str, sql: str) -> str:
    return f"nullif({sql}, '')" if name in TEXTS else _plain(name, sql)


def _plain(name: str, sql: str) -> str:
    if name in TIMES:
        return f"""to_char({sql}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    if name in DOLLARS:
        return f"{sql} * 0.000000001"
    return sql


def copied(log: Log, columns: str, options: str, first: bytes = b"") -> Generator[bytes, None, None]:
    """The output of COPY for the log's events, after ``first``."""
    rows_sql, parameters = select(log, columns)
    statement = f"COPY ({rows_sql}) TO STDOUT WITH ({options})"
    with (
        snapshot(timeout_ms=0),
        connection.cursor() as cursor,
        connection.wrap_database_errors,  # COPY raises psycopg's errors, which become Django's.
    ):
        if is_distributed():
            cursor.execute(FOR_CITUS)
        cursor.execute(IN_UTC)
        with cursor.copy(statement, parameters) as rows:
            yield from _in_chunks(rows, first)


def select(log: Log, columns: str) -> tuple[str, tuple[object, ...]]:
    """SQL and parameters that select these columns of the log's events, joined with organization, project and person,
    oldest first. The table is nearly in this order; sorting by organization first takes twice as long.

    Events of several Citus nodes are collected first, which OFFSET forces, and formatted on the coordinator, because
    Citus cannot send a column that is a SELECT to the nodes."""
    events, parameters = _sql_of(log.events())
    if is_scattered(log.viewer, log.selection):
        events = f"{events} OFFSET 0"
    return f"{_joined(columns, events)} ORDER BY event.timestamp", parameters


def _joined(columns: str, events: str) -> str:
    """SQL of these columns of events, joined with organization, project and person."""
    return f"""
        SELECT {columns}
        FROM ({events}) AS event
        JOIN accounts_organization AS organization ON organization.id = event.organization_id
        LEFT JOIN accounts_project AS project ON project.id = event.project_id
        LEFT JOIN accounts_user AS person ON person.id = event.user_id"""  # noqa: S608 - our own words


def _sql_of(events: "QuerySet[UsageEvent]") -> tuple[str, tuple[Any, ...]]:
    try:
        return events.query.sql_with_params()
    except EmptyResultSet:  # Django raises this for a condition that no row can meet, as for a viewer who sees nothing.
        # Citus refuses "false" below an outer join, so the condition is an organization that does not exist.
        return UsageEvent.objects.filter(organization_id=NO_ORGANIZATION).query.sql_with_params()


def _in_chunks(rows: Iterator[bytes | memoryview], first: bytes) -> Iterator[bytes]:
    """The rows joined into chunks of at least ``CHUNK_BYTES``, because a response of single rows would be slow."""
    chunk = bytearray(first)
    for row in rows:
        chunk += row
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
