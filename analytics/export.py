"""The events of a log as a file, streamed by PostgreSQL's own COPY: quick, and flat in memory however many.

Times are UTC in ISO 8601, next to the local day and hour that the events are counted under. Columns, their names and
their order are stable; what the viewer may not see is absent. There are two kinds of file:

- CSV is for spreadsheets. It begins with a byte order mark, without which Excel spoils every letter beyond ASCII, and
  text that a spreadsheet would take for a formula gets an apostrophe in front.
- JSON Lines is for programs: an object in each line, text as it is, numbers as numbers, the cost among them with all
  its digits (``parse_float=Decimal`` keeps them), metadata as an object, and null where there is nothing.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from analytics.distribution import is_distributed
from analytics.models import UsageEvent
from analytics.reports import Log, is_scattered, snapshot

CHUNK_BYTES = 64 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

COLUMNS = {
    "timestamp": "event.timestamp",
    "day": "event.day",
    "hour": "event.hour",
    "organization": "organization.slug",
    "project": "project.slug",
    "user": "person.handle",
    "provider": "event.provider",
    "model": "event.model",
    "model_requested": "event.model_requested",
    "operation": "event.operation",
    "feature": "event.feature",
    "expert_id": "event.expert_id",
    "template_id": "event.template_id",
    "session_id": "event.session_id",
    "request_id": "event.request_id",
    "provider_request_id": "event.provider_request_id",
    "status": "event.status",
    "error_code": "event.error_code",
    "error_message": "event.error_message",
    "http_status": "event.http_status",
    "attempts": "event.attempts",
    "stream": "event.stream",
    "input_tokens": "event.input_tokens",
    "output_tokens": "event.output_tokens",
    "total_tokens": "event.total_tokens",
    "cached_tokens": "event.cached_tokens",
    "reasoning_tokens": "event.reasoning_tokens",
    "tokens_estimated": "event.tokens_estimated",
    "audio_seconds": "event.audio_seconds",
    "characters": "event.characters",
    "latency_ms": "event.latency_ms",
    "ttft_ms": "event.ttft_ms",
    "queue_ms": "event.queue_ms",
    "prompt_ms": "event.prompt_ms",
    "completion_ms": "event.completion_ms",
    "service_tier": "event.service_tier",
    "cost_usd": "event.cost_usd",
    "price_version": "event.price_id",
    "usage_breakdown": "event.usage_breakdown",
    "remaining_requests": "event.remaining_requests",
    "remaining_tokens": "event.remaining_tokens",
    "metadata": "event.metadata",
    "limit_requests": "event.limit_requests",
    "limit_tokens": "event.limit_tokens",
    "received_at": "event.received_at",
    "organization_name": "organization.name",
    "project_name": "project.name",
    "user_name": "coalesce(nullif(btrim(person.first_name || ' ' || person.last_name), ''), person.handle)",
}
"""Column of the export: where its value is. New ones come at the end, so that those who count columns find theirs."""

TIMES = frozenset({"timestamp", "received_at"})
FLAGS = frozenset({"stream", "tokens_estimated"})
JSON = frozenset({"usage_breakdown", "metadata"})
DOLLARS = frozenset({"cost_usd"})
TEXTS = frozenset(
    {
        "organization", "project", "user", "provider", "model", "model_requested", "operation", "feature", "expert_id",
        "template_id", "session_id", "request_id", "provider_request_id", "status", "error_code", "error_message",
        "service_tier", "organization_name", "project_name", "user_name",
    }
)  # fmt: skip
"""What kind a column is; the others are days and plain numbers."""

COST_COLUMNS = frozenset({"cost_usd", "price_version", "usage_breakdown"})


# Times are written where the rows are, so that each node has to know the zone; and a file may be as large as it is.
FOR_CITUS = "SET LOCAL citus.max_intermediate_result_size = -1; SET LOCAL citus.propagate_set_commands = 'local'"


class TooManyExportsError(Exception):
    """This process streams as many as it may; another can begin when one of them has ended."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: the end of its name, its type, and how it is made."""

    suffix: str
    content_type: str
    chunks: Callable[[Log], Generator[bytes, None, None]]


def export_csv(log: Log) -> Generator[bytes, None, None]:
    """The log's events in chunks of CSV, in the order of time. A header comes first, even without events."""
    columns = (f'{_csv(name, sql)} AS "{name}"' for name, sql in _columns(log))
    return _copied(log, ", ".join(columns), "FORMAT csv, HEADER", BYTE_ORDER_MARK)


def export_jsonl(log: Log) -> Generator[bytes, None, None]:
    """The same as JSON Lines, without a header."""
    columns = (f'{_json(name, sql)} AS "{name}"' for name, sql in _columns(log))
    line = f"(SELECT row_to_json(line) FROM (SELECT {', '.join(columns)}) AS line)"  # noqa: S608 - our own words
    # JSON has no control characters, so that nothing in a line is ever quoted or taken for a second column.
    return _copied(log, line, r"FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02'")


CSV = Format("csv", "text/csv; charset=utf-8", export_csv)
JSONL = Format("jsonl", "application/jsonl; charset=utf-8", export_jsonl)


def _columns(log: Log) -> list[tuple[str, str]]:
    return [(name, sql) for name, sql in COLUMNS.items() if log.viewer.sees_cost or name not in COST_COLUMNS]


def _csv(name: str, sql: str) -> str:
    if name in TEXTS:
        return defused(f"({sql})::text")
    # An object or a list begins with its bracket, which no spreadsheet calculates.
    return f"({sql})::text" if name in FLAGS | JSON else _plain(name, sql)


def defused(text: str) -> str:
    """SQL of a text with an apostrophe in front of what a spreadsheet would calculate: what begins with one of these
    characters, the wide ones among them. Behind apostrophes they would be taken for defused ones by whoever reads the
    file back, so there is one more. Nearly all texts begin with a letter, a bracket or a digit, which is told by
    comparing bytes in a quarter of the time that the pattern takes."""
    return f"""CASE WHEN {text} COLLATE "C" BETWEEN 'A' AND '~' OR {text} COLLATE "C" BETWEEN '0' AND ':' OR {text} = ''
        THEN {text}
        WHEN {text} ~ '^''*[=+@\\t\\r\\n＝＋－＠-]' THEN '''' || {text} ELSE {text} END"""


def _json(name: str, sql: str) -> str:
    return f"nullif({sql}, '')" if name in TEXTS else _plain(name, sql)


def _plain(name: str, sql: str) -> str:
    if name in TIMES:
        return f"""to_char({sql}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    if name in DOLLARS:
        return f"{sql} * 0.000000001"
    return sql


_running = threading.BoundedSemaphore(settings.MAX_EXPORTS)
"""An export holds a connection for as long as its reader takes, and pages need some too."""


def _copied(log: Log, columns: str, options: str, first: bytes = b"") -> Generator[bytes, None, None]:
    """What COPY makes of the log's events. TooManyExportsError before the database is asked."""
    if not _running.acquire(blocking=False):
        raise TooManyExportsError
    try:
        rows_sql, parameters = select(log, columns)
        statement = f"COPY ({rows_sql}) TO STDOUT WITH ({options})"
        with (
            snapshot(timeout_ms=0),
            connection.cursor() as cursor,
            connection.wrap_database_errors,  # a COPY fails with psycopg's own
        ):
            if is_distributed():
                cursor.execute(FOR_CITUS)
            cursor.execute("SET LOCAL TIME ZONE 'UTC'")  # to convert each time by the name of a zone takes longer
            with cursor.copy(statement, parameters) as rows:
                yield from _in_chunks(rows, first)
    finally:
        _running.release()


def select(log: Log, columns: str) -> tuple[str, tuple[object, ...]]:
    """SQL of these columns of the log's events with the names of what they point at. The order of time is nearly that
    of the table: to sort by organization first takes twice as long.

    Those of several nodes are fetched first, which is what OFFSET is for, and made into lines here: Citus does not send
    the nodes a column that is a SELECT."""
    events, parameters = _sql_of(log.events())
    if is_scattered(log.viewer, log.selection):
        events = f"{events} OFFSET 0"
    statement = f"""
        SELECT {columns}
        FROM ({events}) AS event
        JOIN accounts_organization AS organization ON organization.id = event.organization_id
        LEFT JOIN accounts_project AS project ON project.id = event.project_id
        LEFT JOIN accounts_user AS person ON person.id = event.user_id
        ORDER BY event.timestamp"""  # noqa: S608 - our own words; values are parameters
    return statement, parameters


def _sql_of(events: "QuerySet[UsageEvent]") -> tuple[str, tuple[object, ...]]:
    try:
        return events.query.sql_with_params()
    except EmptyResultSet:  # Django knows without asking that nothing can match, as for a viewer who sees nothing
        return UsageEvent.objects.extra(where=["false"]).query.sql_with_params()


def _in_chunks(rows: Iterator[bytes | memoryview], first: bytes) -> Iterator[bytes]:
    """PostgreSQL hands out a row at a time: too small a bite for a response."""
    chunk = bytearray(first)
    for row in rows:
        chunk += row
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
