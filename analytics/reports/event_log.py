"""The event log: the events of a selection, newest first, a page at a time.

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
ENOUGH = PAGE + 1
"""A page and one event more, which tells whether another page follows."""
UNPRICED = Q(cost_usd=None) | Q(without_tool_fees=True)
"""The condition for events that the sums count as ``unpriced``."""
FEW_DAYS = 10
FEW_EVENTS = 4 * ENOUGH
"""Limits for reading day by day: at most ``FEW_DAYS`` pairs of organization and day, or ``FEW_EVENTS`` events in them.
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
    """Events, newest first, and the cursors of the older and the newer page; None if there is no such page."""

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

    def events(self) -> "QuerySet[UsageEvent]":
        """All events of the log, in no order."""
        condition = visible(self.viewer) & selected(self.selection, UsageEvent)
        return UsageEvent.objects.filter(condition & UNPRICED if self.unpriced else condition)

    def newest(self) -> LogPage:
        found = self._read(None, OLDER)
        return LogPage(found[:PAGE], older=_last(found))

    def before(self, cursor: LogCursor) -> LogPage:
        """The events that are older than the one at the cursor."""
        found = self._read(cursor, OLDER)
        return LogPage(found[:PAGE], older=_last(found), newer=LogCursor.of(found[0]) if found else None)

    def after(self, cursor: LogCursor) -> LogPage:
        """The events just newer than the one at the cursor; the newest page if these do not fill a page."""
        found = self._read(cursor, NEWER)
        if len(found) < ENOUGH:
            return self.newest()
        events = found[:PAGE][::-1]
        return LogPage(events, older=LogCursor.of(events[-1]), newer=LogCursor.of(events[0]))

    def _read(self, cursor: LogCursor | None, direction: Direction) -> Sequence[UsageEvent]:
        """The first ``ENOUGH`` events after the cursor in the direction, or from the end without a cursor."""
        events, start = self.events(), None
        if cursor is not None:
            events = events.filter(direction.events_beyond(cursor.timestamp, cursor.id))
            start = cursor.timestamp
        passage = Passage(self.viewer, self.selection, start, direction)
        counts = counts_that_fill(ENOUGH, "unpriced" if self.unpriced else "requests", passage, self.ends)
        is_few = counts is not None and (len(counts) <= FEW_DAYS or sum(counts.values()) <= FEW_EVENTS)
        if counts is not None and is_few and not is_scattered(self.viewer, self.selection):
            return _of_days(counts, events, direction)
        reachable = direction.reachable(self.selection.first_day, self.selection.last_day, start)
        days = [day for _, day in counts or ()] or reachable
        near = events.filter(timestamp__range=moments(min(days), max(days)))
        return list(near.order_by(*direction.order)[:ENOUGH])


def event_of(viewer: Viewer, organization_id: int, pk: int) -> UsageEvent | None:
    """One event with its organization, project and user; None if it does not exist or the viewer may not see it."""
    events = UsageEvent.objects.filter(visible(viewer), organization_id=organization_id, pk=pk)
    return events.select_related("organization", "project", "user").first()


def with_request_id(viewer: Viewer, request_id: str) -> LogPage:
    """The events with this request id, ours or the provider's, or with this id of an answer, among all that the viewer
    may see."""
    given = Q(request_id=request_id) | Q(provider_request_id=request_id) | Q(response_id=request_id)
    return LogPage(list(UsageEvent.objects.filter(visible(viewer) & given).order_by("-timestamp", "-id")[:PAGE]))


def _of_days(counts: Counts, events: "QuerySet[UsageEvent]", direction: Direction) -> Sequence[UsageEvent]:
    """The first ``ENOUGH`` events of these days. The statement reads the first events of each day from an index, and
    then sorts only these. One query over all days would make PostgreSQL read and sort all their events."""
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
            ORDER BY {order} LIMIT {ENOUGH}
        ) AS event
        ORDER BY {order} LIMIT {ENOUGH}"""  # noqa: S608 - our own words; values travel as parameters
    organizations, days = [organization for organization, _ in counts], [day for _, day in counts]
    return list(UsageEvent.objects.raw(statement, [organizations, days, *parameters]))


def _last(found: Sequence[UsageEvent]) -> LogCursor | None:
    """The cursor of the page's last event, if more events than a page were found; else None."""
    return LogCursor.of(found[PAGE - 1]) if len(found) == ENOUGH else None
