"""The requests of a log with the highest cost, the most tokens or the longest latency, a page at a time.

No index has these orders, because each index would cost every call an insert. So only the newest ``AT_MOST`` requests
of the range are read and sorted, and the page says since when. That takes the same time at any size of the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.core.exceptions import EmptyResultSet
from django.db import connection

from accounts.viewer import Viewer
from analytics.reports.direction import OLDER, moments
from analytics.reports.event_log import Log, LogCursor
from analytics.reports.scope import condition_of, selected, visible
from analytics.reports.selection import Dimension, Selection
from ledger.models import UsageEvent
from pricing.fields import to_nano

AT_MOST = 10_000
"""The number of requests, before filters, that are sorted at most."""
UNKNOWN = -1
"""The cost of an unpriced request in an order by cost, so that these requests come last."""
INDEXED: tuple[Dimension, ...] = ("organization_id", "user_id")
"""The dimensions that an index has before the time, so that the events of one value are there in the order of time."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of requests in whose order they are listed, largest first. ``sql`` is its value, which is never NULL."""

    key: str
    label: str
    column: str
    sql: str
    is_of_cost: bool = False

    def number(self, event: UsageEvent) -> int:
        """The value of an event; costs are in nano-dollars."""
        value = getattr(event, self.column)
        if not self.is_of_cost:
            return int(value)
        return UNKNOWN if value is None else to_nano(value)


MEASURES = (
    Measure("cost", "Cost", "cost_usd", f"coalesce(cost_usd, {UNKNOWN})", is_of_cost=True),
    Measure("tokens", "Tokens", "total_tokens", "total_tokens"),
    Measure("latency", "Latency", "latency_ms", "latency_ms"),
)


def measures_of(viewer: Viewer) -> tuple[Measure, ...]:
    """The orders that a viewer may choose. An order by cost would reveal a hidden cost."""
    return tuple(measure for measure in MEASURES if viewer.sees_cost or not measure.is_of_cost)


@dataclass(frozen=True, slots=True)
class LargestCursor:
    """The place of a request in an order: its value as a whole number, and its place in the log, which orders requests
    of the same value, newest first."""

    number: int
    place: LogCursor

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor that ``str`` wrote; None for any other text."""
        number, _, rest = text.partition("_")
        place = LogCursor.parse(rest)
        is_number = number.removeprefix("-").isdecimal() and number.isascii() and len(number) < 19
        return cls(int(number), place) if place and is_number else None

    def __str__(self) -> str:
        return f"{self.number}_{self.place}"


@dataclass(frozen=True, slots=True)
class LargestPage:
    events: Sequence[UsageEvent]
    next: LargestCursor | None = None
    since: datetime | None = None
    """The time of the newest request that was left out; None if the whole range was sorted."""


def largest(log: Log, measure: Measure, after: LargestCursor | None) -> LargestPage:
    """The page of the log's requests after the cursor, or the first one without a cursor, in the order of a measure."""
    try:
        newest, reached = _newest(log)
        where, filters = condition_of(log.events())
    except EmptyResultSet:  # The viewer sees nothing.
        return LargestPage([])
    place = (after.number, after.place.timestamp, after.place.id) if after else ()
    statement = f"""
        SELECT * FROM ({newest} LIMIT {AT_MOST:d}) AS ledger_usageevent
        WHERE ({where}) {f"AND ({measure.sql}, timestamp, id) < (%s, %s, %s)" if after else ""}
        ORDER BY {measure.sql} DESC, {OLDER.order_sql} LIMIT {log.size + 1:d}"""  # noqa: S608 - our own words
    found = list(UsageEvent.objects.raw(statement, [*reached, *filters, *place]))
    shown = found[: log.size]
    more = LargestCursor(measure.number(shown[-1]), LogCursor.of(shown[-1])) if len(found) > log.size else None
    return LargestPage(shown, more, _left_out(newest, reached))


def _newest(log: Log) -> tuple[str, tuple[Any, ...]]:
    """SQL and parameters of the log's events, newest first, before those filters that no index has.

    The inner query is in the order of an index: of one organization by day, which rises with time, and of several by
    time alone. OFFSET keeps PostgreSQL from reading all events of the days and sorting them, which it would do because
    it does not know that day and time are the same thing.
    """
    viewer, selection = log.viewer, log.selection
    chosen = {name: values for name in INDEXED if len(values := selection.chosen.get(name, ())) == 1 and values != (0,)}
    first, last = selection.first_day, selection.last_day
    organizations = viewer.organization_ids or chosen.get("organization_id", ())
    if len(organizations) == 1:
        events = UsageEvent.objects.filter(visible(viewer) & selected(Selection(first, last, chosen), UsageEvent))
        ordered = events.order_by("-day", "-timestamp")
    else:
        events = UsageEvent.objects.filter(visible(viewer), timestamp__range=moments(first, last))
        ordered = events.order_by(*OLDER.order)
    sql, parameters = ordered.query.sql_with_params()
    newest = f"SELECT * FROM ({sql} OFFSET 0) AS event WHERE day BETWEEN %s AND %s"  # noqa: S608 - our own words
    return newest, (*parameters, first, last)


def _left_out(newest: str, parameters: Sequence[Any]) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT timestamp FROM ({newest} OFFSET {AT_MOST:d} LIMIT 1) AS event", parameters)  # noqa: S608
        found = cursor.fetchone()
    return found[0] if found else None
