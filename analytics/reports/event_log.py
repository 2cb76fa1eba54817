"""The event log: the events of a selection in the order of time, a page at a time.

A page is found by the time of its first event and not by its number, so that page 1,000 is as fast as page 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from django.core.exceptions import EmptyResultSet
from django.db.models import Q, QuerySet

from accounts.viewer import Viewer
from analytics.reports.direction import NEWER, OLDER, Direction, moments
from analytics.reports.log_days import Counts, Passage, counts_that_fill
from analytics.reports.retained import RetainedFrom
from analytics.reports.scope import is_scattered, selected, visible
from analytics.reports.selection import Selection
from ledger.models import UsageEvent

PAGE = 50
UNPRICED = Q(cost_usd=None) | Q(without_tool_fees=True)
"""The condition for events that the sums count as ``unpriced``."""
FEW_DAYS = 10
FEW_PAGES = 4
"""Limits for reading day by day: at most ``FEW_DAYS`` pairs of organization and day, or ``FEW_PAGES`` pages in them.
Beyond both, matching events are so dense that reading along the index on time soon fills a page."""


@dataclass(frozen=True, slots=True)
class LogCursor:
    """The place of an event in the log. The id orders events of the same microsecond."""

    timestamp: datetime
    id: int

    @classmethod
    def of(cls, event: UsageEvent) -> Self:
        return cls(event.timestamp, event.pk)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor that ``str`` wrote; None for any other text."""
        time, _, number = text.rpartition("_")
        try:
            timestamp, pk = datetime.fromisoformat(time), int(number)
        except ValueError:
            return None
        if timestamp.tzinfo is None or not 1970 <= timestamp.year <= 9000 or not 0 <= pk < 2**63:
            return None
        return cls(timestamp.astimezone(UTC), pk)

    def __str__(self) -> str:
        return f"{self.timestamp.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}_{self.id}"


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events in the order of the log, and the cursors of the older and the newer page; None without such a page."""

    events: Sequence[UsageEvent]
    older: LogCursor | None = None
    newer: LogCursor | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """The events of a selection that a viewer may see; with ``unpriced`` only those without a whole cost. ``ends`` are
    the selection's ends of detail, if the caller has read them already."""

    viewer: Viewer
    selection: Selection
    unpriced: bool = False
    ends: Sequence[RetainedFrom] | None = None
    size: int = PAGE
    onward: Direction = OLDER
    """The direction in which the log is listed: ``OLDER`` lists the newest events first."""

    def events(self) -> "QuerySet[UsageEvent]":
        """All events of the log, in no order."""
        condition = visible(self.viewer) & selected(self.selection, UsageEvent)
        return UsageEvent.objects.filter(condition & UNPRICED if self.unpriced else condition)

    def first(self) -> LogPage:
        return self._onward(None)

    def before(self, cursor: LogCursor) -> LogPage:
        """The page beside the event at the cursor, of older events."""
        return self._beyond(cursor, OLDER)

    def after(self, cursor: LogCursor) -> LogPage:
        """The page beside the event at the cursor, of newer events."""
        return self._beyond(cursor, NEWER)

    def _beyond(self, cursor: LogCursor, direction: Direction) -> LogPage:
        return self._onward(cursor) if direction == self.onward else self._back(cursor)

    def _onward(self, cursor: LogCursor | None) -> LogPage:
        found = self._read(cursor, self.onward)
        events = found[: self.size]
        return self._page(
            events,
            onward=LogCursor.of(events[-1]) if len(found) > self.size else None,
            back=LogCursor.of(events[0]) if cursor and events else None,
        )

    def _back(self, cursor: LogCursor) -> LogPage:
        """The events just before the one at the cursor; the first page if these do not fill a page."""
        found = self._read(cursor, self.onward.opposite)
        if len(found) <= self.size:
            return self.first()
        events = found[: self.size][::-1]
        return self._page(events, onward=LogCursor.of(events[-1]), back=LogCursor.of(events[0]))

    def _page(self, events: Sequence[UsageEvent], *, onward: LogCursor | None, back: LogCursor | None) -> LogPage:
        older, newer = (onward, back) if self.onward.is_older else (back, onward)
        return LogPage(events, older=older, newer=newer)

    def _read(self, cursor: LogCursor | None, direction: Direction) -> Sequence[UsageEvent]:
        """The first events after the cursor in the direction, or from the end without a cursor: a page, and one event
        more, which tells whether another page follows."""
        enough = self.size + 1
        events, start = self.events(), None
        if cursor is not None:
            events = events.filter(direction.events_beyond(cursor.timestamp, cursor.id))
            start = cursor.timestamp
        passage = Passage(self.viewer, self.selection, start, direction)
        counts = counts_that_fill(enough, "unpriced" if self.unpriced else "requests", passage, self.ends)
        is_few = counts is not None and (len(counts) <= FEW_DAYS or sum(counts.values()) <= FEW_PAGES * enough)
        if counts is not None and is_few and not is_scattered(self.viewer, self.selection):
            return _of_days(counts, events, direction, enough)
        reachable = direction.reachable(self.selection.first_day, self.selection.last_day, start)
        days = [day for _, day in counts or ()] or reachable
        near = events.filter(timestamp__range=moments(min(days), max(days)))
        return list(near.order_by(*direction.order)[:enough])


def event_of(viewer: Viewer, organization_id: int, pk: int) -> UsageEvent | None:
    """One event with its organization, project and user; None if it does not exist or the viewer may not see it."""
    event = event_with(viewer, organization_id, pk)
    return event.select_related("organization", "project", "user").first()


def event_with(viewer: Viewer, organization_id: int, pk: int) -> "QuerySet[UsageEvent]":
    """The event with this key, as a query that finds nothing if the viewer may not see the event."""
    return UsageEvent.objects.filter(visible(viewer), organization_id=organization_id, pk=pk)


def with_request_id(viewer: Viewer, request_id: str) -> LogPage:
    """The events with this request id, ours or the provider's, or with this id of an answer, among all that the viewer
    may see."""
    given = Q(request_id=request_id) | Q(provider_request_id=request_id) | Q(response_id=request_id)
    return LogPage(list(UsageEvent.objects.filter(visible(viewer) & given).order_by("-timestamp", "-id")[:PAGE]))


def _of_days(counts: Counts, events: "QuerySet[UsageEvent]", direction: Direction, enough: int) -> Sequence[UsageEvent]:
    """The first events of these days, at most ``enough``. The statement reads the first events of each day from an
    index, and then sorts only these. One query over all days would make PostgreSQL read and sort all their events."""
    try:
        rows, parameters = events.query.sql_with_params()
    except EmptyResultSet:  # The viewer sees nothing.
        return []
    order = direction.order_sql
    statement = f"""
        SELECT event.*
        FROM unnest(%s::bigint[], %s::date[]) AS place (organization_id, day)
        CROSS JOIN LATERAL (
            SELECT * FROM ({rows}) AS event
            WHERE organization_id = place.organization_id AND day = place.day
            ORDER BY {order} LIMIT {enough:d}
        ) AS event
        ORDER BY {order} LIMIT {enough:d}"""  # noqa: S608 - our own words; values travel as parameters
    organizations, days = [organization for organization, _ in counts], [day for _, day in counts]
    return list(UsageEvent.objects.raw(statement, [organizations, days, *parameters]))
