"""The events of a report as CSV, streamed by PostgreSQL's own COPY: quick, and flat in memory however many there are.

Times are UTC in ISO 8601, next to the local day and hour that the events are counted under. Columns and their order are
stable; what the viewer may not see is absent. Text that a spreadsheet would take for a formula gets an apostrophe.
"""

from collections.abc import Generator, Iterator

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from analytics.models import UsageEvent
from analytics.reports import Report, snapshot

CHUNK_BYTES = 64 * 1024


def _text(column: str) -> str:
    """A spreadsheet calculates what begins with one of = + - @, a tab or a carriage return."""
    return f"CASE WHEN {column} ~ '^[=+@\\t\\r-]' THEN '''' || {column} ELSE {column} END"


def _utc(column: str) -> str:
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _dollars(column: str) -> str:
    """All nine digits, exact; empty where there is no cost."""
    return f"({column}::numeric / 1000000000)::numeric(20, 9)"


COLUMNS = {
    "timestamp": _utc("event.timestamp"),
    "day": "event.day",
    "hour": "event.hour",
    "organization": _text("organization.slug"),
    "project": _text("project.slug"),
    "user": _text("person.handle"),
    "provider": _text("event.provider"),
    "model": _text("event.model"),
    "model_requested": _text("event.model_requested"),
    "operation": "event.operation",
    "feature": _text("event.feature"),
    "expert_id": _text("event.expert_id"),
    "template_id": _text("event.template_id"),
    "session_id": _text("event.session_id"),
    "request_id": _text("event.request_id"),
    "provider_request_id": _text("event.provider_request_id"),
    "status": "event.status",
    "error_code": _text("event.error_code"),
    "error_message": _text("event.error_message"),
    "http_status": "event.http_status",
    "attempts": "event.attempts",
    "stream": "event.stream::text",
    "input_tokens": "event.input_tokens",
    "output_tokens": "event.output_tokens",
    "total_tokens": "event.total_tokens",
    "cached_tokens": "event.cached_tokens",
    "reasoning_tokens": "event.reasoning_tokens",
    "tokens_estimated": "event.tokens_estimated::text",
    "audio_seconds": "event.audio_seconds",
    "characters": "event.characters",
    "latency_ms": "event.latency_ms",
    "ttft_ms": "event.ttft_ms",
    "queue_ms": "event.queue_ms",
    "prompt_ms": "event.prompt_ms",
    "completion_ms": "event.completion_ms",
    "service_tier": _text("event.service_tier"),
    "cost_usd": _dollars("event.cost_usd"),
    "price_version": "event.price_id",
    "usage_breakdown": "event.usage_breakdown",
    "remaining_requests": "event.remaining_requests",
    "remaining_tokens": "event.remaining_tokens",
    "metadata": "event.metadata",
}
"""Column of the CSV: how it is computed."""

COST_COLUMNS = frozenset({"cost_usd", "price_version", "usage_breakdown"})


def export_csv(report: Report) -> Generator[bytes, None, None]:
    """The report's events in chunks of CSV, by organization and time. A header comes first, even without events."""
    columns = {name: sql for name, sql in COLUMNS.items() if report.viewer.sees_cost or name not in COST_COLUMNS}
    events, parameters = _sql_of(report.events())
    statement = f"""
        COPY (
            SELECT {", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())}
            FROM ({events}) AS event
            JOIN accounts_organization AS organization ON organization.id = event.organization_id
            LEFT JOIN accounts_project AS project ON project.id = event.project_id
            LEFT JOIN accounts_user AS person ON person.id = event.user_id
            ORDER BY event.organization_id, event.day, event.timestamp
        ) TO STDOUT WITH (FORMAT csv, HEADER)"""  # noqa: S608 - our own words; values travel as parameters
    with (
        snapshot(timeout_ms=0),
        connection.cursor() as cursor,
        connection.wrap_database_errors,  # a COPY fails with psycopg's own
        cursor.copy(statement, parameters) as rows,
    ):
        yield from _in_chunks(rows)


def _sql_of(events: "QuerySet[UsageEvent]") -> tuple[str, tuple[object, ...]]:
    try:
        return events.query.sql_with_params()
    except EmptyResultSet:  # Django knows without asking that nothing can match, as for a viewer who sees nothing
        return UsageEvent.objects.extra(where=["false"]).query.sql_with_params()


def _in_chunks(rows: Iterator[bytes | memoryview]) -> Iterator[bytes]:
    """PostgreSQL hands out a row at a time: too small a bite for a response."""
    chunk = bytearray()
    for row in rows:
        chunk += row
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
