"""Moving an organization's events and their sums to the days and hours of its present time zone.

The writer gives a call the day and hour of the time zone that the organization has at that moment. After a change of
the zone, earlier events stay on days of the old zone until ``change_days`` moves them. Only folded events are moved, in
the transaction that moves their sums (``hold``). So at any moment the sums equal the events, and totals over all time
never change.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from ledger.upkeep.hold import RETAINED, first_retained, hold_sums, holding
from ledger.upkeep.rebuild import FOLDED, days_with_events, rebuild_days

_STEP = timedelta(minutes=15)
"""Clocks of all time zones change only at quarters of an hour in UTC."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time from ``begin`` (included) to ``end`` (excluded) in which a zone's clock is ahead of UTC by ``offset``."""

    begin: datetime
    end: datetime
    offset: timedelta


def spans(time_zone: str, first: datetime, last: datetime) -> list[Span]:
    """The spans of a zone's clock from one moment to another, both included. They come from Python's time zone data,
    like the writer's days, because the database may have another version of the data."""
    zone = ZoneInfo(time_zone)
    begin = first.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    found = [Span(begin, begin, _offset(zone, begin))]
    while found[-1].end <= last:
        current = found[-1]
        offset = _offset(zone, current.end)
        end = current.end + _STEP
        if offset == current.offset:
            found[-1] = Span(current.begin, end, offset)
        else:
            found.append(Span(current.end, end, offset))
    return found


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


_LOCAL = "(event.timestamp AT TIME ZONE 'UTC' + span.ahead)"
_DAY, _HOUR = f"{_LOCAL}::date", f"extract(hour FROM {_LOCAL})::smallint"
_SPANS = (
    "unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[], %(offsets)s::interval[]) AS span (begin, until, ahead)"
)

# Days before ``retained_from`` are excluded, because their sums never change. So an event that would move to such a day
# stays where it is.
_MISPLACED = f"""
    event.organization_id = %(organization)s AND event.day = %(day)s
    AND event.timestamp >= span.begin AND event.timestamp < span.until
    AND (event.day, event.hour) <> ({_DAY}, {_HOUR})
    AND {_DAY} >= {RETAINED} AND event.day >= {RETAINED}
"""
_REACH = "SELECT min(timestamp), max(timestamp) FROM ledger_usageevent WHERE organization_id = %s AND day = %s"
_COUNT = f"SELECT count(*) FROM ledger_usageevent AS event, {_SPANS} WHERE {_MISPLACED}"  # noqa: S608
_MOVE = f"""
    UPDATE ledger_usageevent AS event SET day = {_DAY}, hour = {_HOUR} FROM {_SPANS}
    WHERE {_MISPLACED} AND {FOLDED} RETURNING event.day
"""  # noqa: S608 - no outside input

# The days of a session are those of its first and last event. Only days in the affected range can have changed, so they
# are computed again from the events in this range; an earlier first day, or a later last day, stays.
_SESSIONS_OF_DAYS = f"""
    SELECT coalesce(user_id, 0) AS user_id, session_id, min(day) AS first_day, max(day) AS last_day
    FROM ledger_usageevent AS event
    WHERE organization_id = %(organization)s AND day BETWEEN %(first)s AND %(last)s AND session_id <> '' AND {FOLDED}
    GROUP BY 1, 2
"""  # noqa: S608 - no outside input
_FIRST_DAY = "CASE WHEN session.first_day < %(first)s THEN session.first_day ELSE moved.first_day END"
_LAST_DAY = "CASE WHEN session.last_day > %(last)s THEN session.last_day ELSE moved.last_day END"
_DATE_SESSIONS = f"""
    UPDATE ledger_session AS session SET first_day = {_FIRST_DAY}, last_day = {_LAST_DAY}
    FROM ({_SESSIONS_OF_DAYS}) AS moved
    WHERE session.organization_id = %(organization)s
      AND session.user_id = moved.user_id AND session.session_id = moved.session_id
      AND (session.first_day, session.last_day) <> ({_FIRST_DAY}, {_LAST_DAY})
"""  # noqa: S608 - no outside input


def change_days(organization_id: int, progress: Callable[[date, int], None] = lambda day, moved: None) -> int:
    """Move all retained events to the days of the organization's present time zone. Returns the number of moved events.

    Each day is moved in its own transaction, so this can be interrupted and called again at any time. ``progress`` is
    called with each day and the number of its events that moved to another day or hour. Recording goes on meanwhile: a
    process that still knows the old zone may add an event to a day that is done, so call this again later.
    """
    total = 0
    for day in list(days_with_events(organization_id)):
        moved = move_day(organization_id, day)
        progress(day, moved)
        total += moved
    return total


def move_day(organization_id: int, day: date) -> int:
    """Move the events of one day that belong to other days or hours. Returns the number of moved events."""
    with holding(organization_id) as organization:
        if not misplaced(organization_id, organization.time_zone, day):
            return 0  # without keeping others from the sums
        hold_sums(organization_id)
        days = list(_moved(organization_id, organization.time_zone, day))
        if days:
            affected = {day, *days}
            _date_sessions(organization_id, min(affected), max(affected))
            rebuild_days(organization_id, affected)
    return len(days)


def misplaced(organization_id: int, time_zone: str, day: date) -> int:
    """The number of events of one day that belong to other days or hours."""
    parameters = _parameters(organization_id, time_zone, day)
    if parameters is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, parameters)
        return int(cursor.fetchall()[0][0])


def _moved(organization_id: int, time_zone: str, day: date) -> Iterator[date]:
    """Move the events of one day that belong to other days or hours, and yield the new day of each."""
    parameters = _parameters(organization_id, time_zone, day)
    if parameters is not None:
        with connection.cursor() as cursor:
            cursor.execute(_MOVE, parameters)
            yield from (new for (new,) in cursor.fetchall())


def _parameters(organization_id: int, time_zone: str, day: date) -> dict[str, Any] | None:
    """The parameters of the statements about one day; None if the day has no events."""
    with connection.cursor() as cursor:
        cursor.execute(_REACH, [organization_id, day])
        ((first, last),) = cursor.fetchall()
    if first is None:
        return None
    clock = spans(time_zone, first, last)
    return {
        "organization": organization_id,
        "day": day,
        "retained_from": first_retained(organization_id),
        "begins": [span.begin for span in clock],
        "ends": [span.end for span in clock],
        "offsets": [span.offset for span in clock],
    }


def _date_sessions(organization_id: int, first: date, last: date) -> None:
    parameters: dict[str, Any] = {"organization": organization_id, "first": first, "last": last}
    with connection.cursor() as cursor:
        cursor.execute(_DATE_SESSIONS, parameters)
