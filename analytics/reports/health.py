"""The health of each provider as the calls of the last hour tell it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from accounts.viewer import Viewer
from analytics.reports.scope import condition_of, visible
from ledger.models import UsageEvent
from ledger.rollups.outcome import IS_TIMEOUT

PERIOD = timedelta(hours=1)
MOST_CALLS = 10_000
"""At most this number of calls is looked at, the newest of the hour, so that a busy hour costs a page little."""


@dataclass(frozen=True, slots=True)
class Health:
    """The calls of one provider in the last hour."""

    requests: int
    errors: int
    timeouts: int
    p50_ms: float
    """The median of the latencies in milliseconds, exact."""
    last_error: str = ""
    """The code of the last error; empty without errors."""
    last_error_at: datetime | None = None

    @property
    def error_rate(self) -> float:
        return self.errors / self.requests

    @property
    def is_partial(self) -> bool:
        """Whether there may have been more calls in the hour than were looked at."""
        return self.requests >= MOST_CALLS


def provider_health(viewer: Viewer, now: datetime) -> dict[str, Health]:
    """The health of each provider that calls of the viewer's share have used in the hour before ``now``."""
    rows: QuerySet[UsageEvent] = UsageEvent.objects.filter(
        visible(viewer), day__in=_days(now), timestamp__gt=now - PERIOD, timestamp__lte=now
    )
    try:
        where, parameters = condition_of(rows)
    except EmptyResultSet:  # The viewer sees nothing.
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_statement(where), parameters)
        return {provider: Health(*figures) for provider, *figures in cursor.fetchall()}


def _days(now: datetime) -> list[date]:
    """The local days on which a call of the last hour may have happened in any time zone. The indexes for one
    organization and one person have a call's day before its time."""
    return [(now + timedelta(days=offset)).date() for offset in (-1, 0, 1)]


def _statement(where: str) -> str:
    last = "(array_agg(coalesce(nullif(error_code, ''), 'error') ORDER BY timestamp DESC) FILTER (WHERE is_error))[1]"
    return f"""
        SELECT provider, count(*), count(*) FILTER (WHERE is_error), count(*) FILTER (WHERE is_timeout),
            percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms),
            coalesce({last}, ''), max(timestamp) FILTER (WHERE is_error)
        FROM (
            SELECT provider, status = 'error' AS is_error, {IS_TIMEOUT} AS is_timeout, error_code, latency_ms, timestamp
            FROM ledger_usageevent
            WHERE {where}
            ORDER BY timestamp DESC
            LIMIT {MOST_CALLS}
        ) AS recent
        GROUP BY provider"""  # noqa: S608 - our own words; values travel as parameters
