"""The event log: the events of a selection, newest first, a page at a time.

A page is found by its place in time rather than by its number, so that a deep one costs what the first one does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from django.core.exceptions import EmptyResultSet
from django.db.models import Q, QuerySet

from accounts.viewer import Viewer
from analytics.models import UsageEvent
from analytics.reports.detail_end import DetailEnd
from analytics.reports.narrowing import Counts, counts_that_fill, moments, reachable
from analytics.reports.scope import is_scattered, selected, visible
from analytics.selection import Selection

PAGE = 50
ENOUGH = PAGE + 1
"""One more tells whether there are more."""
FEW_DAYS = 10
FEW_EVENTS = 4 * ENOUGH
"""So many days of organizations, or events in them, are read day by day; more are met soon by going back in time."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands in the log. Ids tell those of one microsecond apart."""

    timestamp: datetime
    id: int

    @classmethod
    def of(cls, event: UsageEvent) -> Self:
        return cls(event.timestamp, event.pk)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What ``str`` made; None for anything else."""
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
    """Events, newest first, and the places where older and newer ones begin; None where there are none."""

    events: Sequence[UsageEvent]
    older: Place | None = None
    newer: Place | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """The events of a selection that a viewer may see; with ``unpriced`` only those without a cost. ``ends`` are the
    selection's ends of detail, for whoever knows them."""

    viewer: Viewer
    selection: Selection
    unpriced: bool = False
    ends: Sequence[DetailEnd] | None = None

    def events(self) -> "QuerySet[UsageEvent]":
        """All of them, in no order: for the export."""
        condition = visible(self.viewer) & selected(self.selection, UsageEvent)
        return UsageEvent.objects.filter(condition & Q(cost_usd=None) if self.unpriced else condition)

    def newest(self) -> LogPage:
        found = self._read(None, older=True)
        return LogPage(found[:PAGE], older=_last(found))

    def before(self, place: Place) -> LogPage:
        """What is older than the event at a place."""
        found = self._read(place, older=True)
        return LogPage(found[:PAGE], older=_last(found), newer=Place.of(found[0]) if found else None)

    def after(self, place: Place) -> LogPage:
        """What is just newer than the event at a place; the newest page where nothing is newer than that."""
        found = self._read(place, older=False)
        if len(found) < ENOUGH:
            return self.newest()
        events = found[:PAGE][::-1]
        return LogPage(events, older=Place.of(events[-1]), newer=Place.of(events[0]))

    def _read(self, place: Place | None, *, older: bool) -> Sequence[UsageEvent]:
        """A page and one more, in the direction from the place on."""
        events = self.events()
        if place is not None:
            events = events.filter(_beyond(place, older=older))
        measure, start = "unpriced" if self.unpriced else "requests", place.timestamp if place else None
        counts = counts_that_fill(ENOUGH, measure, self.viewer, self.selection, start, older=older, ends=self.ends)
        is_few = counts is not None and (len(counts) <= FEW_DAYS or sum(counts.values()) <= FEW_EVENTS)
        if counts is not None and is_few and not is_scattered(self.viewer, self.selection):
            return _of_days(counts, events, older=older)
        days = [day for _, day in counts or ()] or reachable(self.selection, start, older=older)
        order = ("-timestamp", "-id") if older else ("timestamp", "id")
        return list(events.filter(timestamp__range=moments(min(days), max(days))).order_by(*order)[:ENOUGH])


def event_of(viewer: Viewer, organization_id: int, pk: int) -> UsageEvent | None:
    """One event with the names of what it points at; None if the viewer may not see it or nobody can."""
    events = UsageEvent.objects.filter(visible(viewer), organization_id=organization_id, pk=pk)
    return events.select_related("organization", "project", "user").first()


def with_request_id(viewer: Viewer, request_id: str) -> LogPage:
    """The events that have this id, ours or Groq's, anywhere in what the viewer may see."""
    either = Q(request_id=request_id) | Q(provider_request_id=request_id)
    return LogPage(list(UsageEvent.objects.filter(visible(viewer) & either).order_by("-timestamp", "-id")[:PAGE]))


def _beyond(place: Place, *, older: bool) -> Q:
    side = "lt" if older else "gt"
    tie = Q(**{"timestamp": place.timestamp, f"id__{side}": place.id})
    # The first term says nothing new. It is what an index understands.
    return Q(**{f"timestamp__{side}e": place.timestamp}) & (Q(**{f"timestamp__{side}": place.timestamp}) | tie)


def _of_days(counts: Counts, events: "QuerySet[UsageEvent]", *, older: bool) -> Sequence[UsageEvent]:
    """The first events of each of these days, and of them the first. For each day that is the head of an index; asked
    about all at once, PostgreSQL would read and sort all their events."""
    try:
        rows, parameters = events.query.sql_with_params()
    except EmptyResultSet:  # a viewer who sees nothing
        return []
    order = "timestamp DESC, id DESC" if older else "timestamp, id"
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


def _last(found: Sequence[UsageEvent]) -> Place | None:
    """Where the next page begins, if a page and one more were found."""
    return Place.of(found[PAGE - 1]) if len(found) == ENOUGH else None
