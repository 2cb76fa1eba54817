"""The two directions in which the log is read: towards older events and towards newer ones.

Each organization's day begins and ends in its own time zone, so a day covers different moments for different ones.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q

DAY = timedelta(days=1)
AHEAD, BEHIND = timedelta(hours=14), timedelta(hours=12)
"""Local time is at most 14 hours ahead of UTC and at most 12 hours behind. So a day begins up to 14 hours before the
day in UTC, and ends up to 12 hours after it."""
SLACK = 2 * DAY
"""Zones shift an event by at most two days: an event of a later moment may have an earlier day in its own zone."""
STRETCHES = (7, 60)
"""The numbers of days in the first and the second stretch of a search. The third stretch has all other days."""


@dataclass(frozen=True, slots=True)
class Direction:
    """A direction of reading, either ``OLDER`` or ``NEWER``."""

    is_older: bool

    @property
    def opposite(self) -> "Direction":
        return NEWER if self.is_older else OLDER

    @property
    def order(self) -> tuple[str, str]:
        """The order of the events in this direction, for ``order_by``."""
        return ("-timestamp", "-id") if self.is_older else ("timestamp", "id")

    @property
    def order_sql(self) -> str:
        """The order of the events in this direction, as SQL."""
        return "timestamp DESC, id DESC" if self.is_older else "timestamp, id"

    def events_beyond(self, timestamp: datetime, pk: int) -> Q:
        """The condition for the events that come after the given event in this direction."""
        side = "lt" if self.is_older else "gt"
        tie = Q(**{"timestamp": timestamp, f"id__{side}": pk})
        # The first term follows from the second; an index can use it.
        return Q(**{f"timestamp__{side}e": timestamp}) & (Q(**{f"timestamp__{side}": timestamp}) | tie)

    def reachable(self, first: date, last: date, start: datetime | None) -> tuple[date, date]:
        """The first and the last of the days that can have events beyond the moment ``start`` in any time zone. The
        first is later than the last if there is no such day."""
        if start is None:
            return first, last
        start = start.astimezone(UTC)
        if self.is_older:
            return first, min(last, (start + AHEAD).date())
        return max(first, (start - BEHIND).date()), last

    def stretches(self, first: date, last: date) -> Iterator[tuple[date, date]]:
        """The days from ``first`` to ``last`` in longer and longer stretches, each day once. The search starts in the
        first stretch."""
        for days in STRETCHES:
            if last - first < days * DAY:
                continue
            if self.is_older:
                begin = last - (days - 1) * DAY
                yield begin, last
                last = begin - DAY
            else:
                end = first + (days - 1) * DAY
                yield first, end
                first = end + DAY
        yield first, last

    def ordered(self, days: Iterable[date]) -> list[date]:
        """The days in the order of this direction."""
        return sorted(days, reverse=self.is_older)

    def with_slack(self, day: date) -> date:
        """The last day to search in this direction, so that no event of this day is missed in any time zone."""
        return day - SLACK if self.is_older else day + SLACK

    def is_within(self, day: date, limit: date) -> bool:
        """Whether the day is the limit or comes before it in this direction."""
        return day >= limit if self.is_older else day <= limit

    def covers(self, stretch: tuple[date, date], limit: date) -> bool:
        """Whether the days of the stretch reach the limit in this direction."""
        first, last = stretch
        return first <= limit if self.is_older else limit <= last

    def is_beyond(self, day: date, start: datetime) -> bool:
        """Whether the whole day is beyond the moment in every time zone."""
        begins, ends = moments(day, day)
        return ends <= start if self.is_older else begins >= start


OLDER, NEWER = Direction(is_older=True), Direction(is_older=False)


def moments(first: date, last: date) -> tuple[datetime, datetime]:
    """The moment when the first day begins in the earliest time zone, and when the last day has ended in all zones."""
    midnight = time(tzinfo=UTC)
    return datetime.combine(first, midnight) - AHEAD, datetime.combine(last + DAY, midnight) + BEHIND
