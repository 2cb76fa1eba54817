"""The requests of a log with the highest cost, the most tokens or the longest latency, a page at a time.

No index has these orders, because each index would cost every call an insert. So only the newest ``AT_MOST`` requests
of the range are read and sorted, and the page says since when. That takes the same time at any size of the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts.viewer import Viewer
from analytics.reports.direction import NEWER, OLDER, moments
from analytics.reports.event_log import Log, LogCursor
from analytics.reports.scope import selected, visible
from analytics.reports.selection import Dimension, Selection
from ledger.models import UsageEvent
from pricing.fields import NANO, NanoDollarField, from_nano, to_nano

AT_MOST = 20_000
"""The number of requests, before filters, that are sorted at most."""
UNKNOWN = -NANO
"""The cost of an unpriced request in an order by cost, so that these requests come last."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of requests in whose order they are listed, largest first."""

    key: str
    label: str
    column: str
    is_of_cost: bool = False

    @property
    def value(self) -> Any:
        """The column as an expression that is never NULL."""
        if not self.is_of_cost:
            return F(self.column)
        return Coalesce(self.column, Value(UNKNOWN, NanoDollarField()), output_field=NanoDollarField())


MEASURES = (
    Measure("cost", "Cost", "cost_usd", is_of_cost=True),
    Measure("tokens", "Tokens", "total_tokens"),
    Measure("latency", "Latency", "latency_ms"),
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
    next: LargestCursor | None
    since: datetime | None
    """Requests before this moment were left out; None if the whole range was sorted."""


def largest(log: Log, measure: Measure, after: LargestCursor | None) -> LargestPage:
    """The page of the log's requests after the cursor, or the first one without a cursor, in the order of a measure."""
    since = _since(log)
    events = log.events().annotate(value=measure.value)
    if since is not None:
        first_day, last_day = NEWER.reachable(log.selection.first_day, log.selection.last_day, since)
        events = events.filter(day__range=(first_day, last_day), timestamp__gt=since)
    if after is not None:
        value: int | Decimal = from_nano(after.number) if measure.is_of_cost else after.number
        beyond = OLDER.events_beyond(after.place.timestamp, after.place.id)
        events = events.filter(Q(value__lt=value) | Q(value=value) & beyond)
    found = list(events.order_by("-value", *OLDER.order)[: log.size + 1])
    shown = found[: log.size]
    return LargestPage(shown, _cursor(shown[-1], measure) if len(found) > log.size else None, since)


def _cursor(event: UsageEvent, measure: Measure) -> LargestCursor:
    value = getattr(event, measure.column)
    if measure.is_of_cost:
        value = to_nano(UNKNOWN if value is None else value)
    return LargestCursor(value, LogCursor.of(event))


def _since(log: Log) -> datetime | None:
    """The time of the newest request that is left out; None if there are at most ``AT_MOST`` requests. Requests are
    counted before those filters that no index has, so that no more than these are read."""
    selection = log.selection
    kept: tuple[Dimension, ...] = ("organization_id", "user_id")
    chosen = {name: selection.chosen[name] for name in kept if name in selection.chosen}
    scope = Selection(selection.first_day, selection.last_day, chosen)
    events = UsageEvent.objects.filter(visible(log.viewer) & selected(scope, UsageEvent))
    return _newest_first(events, log.viewer, scope).values_list("timestamp", flat=True)[AT_MOST : AT_MOST + 1].first()


def _newest_first(events: "QuerySet[UsageEvent]", viewer: Viewer, scope: Selection) -> "QuerySet[UsageEvent]":
    """The events, sorted as an index has them: those of one organization by their days, which rise with time."""
    organizations = viewer.organization_ids or scope.chosen.get("organization_id", ())
    if len(organizations) == 1:
        return events.order_by("-day", "-timestamp")
    return events.filter(timestamp__range=moments(scope.first_day, scope.last_day)).order_by("-timestamp", "-id")
