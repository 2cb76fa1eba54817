"""Moving an organization's events to the days and hours of its present time zone, with their sums.

The writer places a call by the zone that the organization has at that moment. After a change, what was recorded before
lies on days of the old zone until ``change_days`` has moved it. At any moment each event is on one day, in one hour,
and the sums are those of the events; so totals over all time never change.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from analytics.rebuild import IN_DETAIL, days_with_events, first_in_detail, holding, rebuild_days

_STEP = timedelta(minutes=15)
"""Clocks are put forward and back at quarters of an hour, UTC."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which a zone's clock does not change: from ``begin`` until before ``end``, so far ahead of UTC."""

    begin: datetime
    end: datetime
    offset: timedelta


def spans(time_zone: str, first: datetime, last: datetime) -> list[Span]:
    """What a zone's clock does from one moment to another, both included. By the same tables as the writer's: those of
    the database may be of another year."""
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

# An event whose day would be one that is no longer in detail stays where it is: sums of those days are never touched.
_MISPLACED = f"""
    event.organization_id = %(organization)s AND event.day = %(day)s
    AND event.timestamp >= span.begin AND event.timestamp < span.until
    AND (event.day, event.hour) <> ({_DAY}, {_HOUR})
    AND {_DAY} >= {IN_DETAIL} AND event.day >= {IN_DETAIL}
"""
_REACH = "SELECT min(timestamp), max(timestamp) FROM analytics_usageevent WHERE organization_id = %s AND day = %s"
_COUNT = f"SELECT count(*) FROM analytics_usageevent AS event, {_SPANS} WHERE {_MISPLACED}"  # noqa: S608
_MOVE = f"""
    UPDATE analytics_usageevent AS event SET day = {_DAY}, hour = {_HOUR} FROM {_SPANS}
    WHERE {_MISPLACED} RETURNING event.day
"""  # noqa: S608 - made of our own words

# The days of a session are those of its first and last event. Where they are among the days that events were moved to
# or from, they are found among the events of these days: the others have none of it before or after. First the rows are
# taken, in the writers' order, so that what is then read stays true.
_SESSIONS_OF_DAYS = """
    SELECT coalesce(user_id, 0) AS user_id, session_id, min(day) AS first_day, max(day) AS last_day
    FROM analytics_usageevent
    WHERE organization_id = %(organization)s AND day BETWEEN %(first)s AND %(last)s AND session_id <> ''
    GROUP BY 1, 2
"""
_HOLD_SESSIONS = f"""
    SELECT session.session_id
    FROM analytics_session AS session JOIN ({_SESSIONS_OF_DAYS}) AS moved USING (user_id, session_id)
    WHERE session.organization_id = %(organization)s
    ORDER BY session.organization_id, session.user_id, session.session_id
    FOR UPDATE OF session
"""  # noqa: S608 - made of our own words
_FIRST_DAY = "CASE WHEN session.first_day < %(first)s THEN session.first_day ELSE moved.first_day END"
_LAST_DAY = "CASE WHEN session.last_day > %(last)s THEN session.last_day ELSE moved.last_day END"
_DATE_SESSIONS = f"""
    UPDATE analytics_session AS session SET first_day = {_FIRST_DAY}, last_day = {_LAST_DAY}
    FROM ({_SESSIONS_OF_DAYS}) AS moved
    WHERE session.organization_id = %(organization)s
      AND session.user_id = moved.user_id AND session.session_id = moved.session_id
      AND (session.first_day, session.last_day) <> ({_FIRST_DAY}, {_LAST_DAY})
"""  # noqa: S608 - made of our own words


def change_days(organization_id: int, progress: Callable[[date, int], None] = lambda day, moved: None) -> int:
    """Move all events in detail to the days of the zone that the organization has now; how many were moved.

    A transaction for each day: it can be broken off and called again at any time, and finds only what is still to do.
    ``progress`` is told each day and how many events left it or changed their hour. Recording goes on meanwhile; what
    somebody writes by the old zone after its day was done stays there, so call it again a while after the change.
    """
    total = 0
    for day in list(days_with_events(organization_id)):
        moved = move_day(organization_id, day)
        progress(day, moved)
        total += moved
    return total


def move_day(organization_id: int, day: date) -> int:
    """Move the events of one day that belong to others, or to other hours; how many there were."""
    with holding(organization_id) as organization:
        days = list(_moved(organization_id, organization.time_zone, day))
        if days:
            affected = {day, *days}
            _date_sessions(organization_id, min(affected), max(affected))
            rebuild_days(organization_id, affected)
    return len(days)


def misplaced(organization_id: int, time_zone: str, day: date) -> int:
    """How many events of one day belong to others, or to other hours."""
    parameters = _parameters(organization_id, time_zone, day)
    if parameters is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, parameters)
        return int(cursor.fetchall()[0][0])


def _moved(organization_id: int, time_zone: str, day: date) -> Iterator[date]:
    """Move the events, and tell each one's new day."""
    parameters = _parameters(organization_id, time_zone, day)
    if parameters is not None:
        with connection.cursor() as cursor:
            cursor.execute(_MOVE, parameters)
            yield from (new for (new,) in cursor.fetchall())


def _parameters(organization_id: int, time_zone: str, day: date) -> dict[str, Any] | None:
    """None for a day without events."""
    with connection.cursor() as cursor:
        cursor.execute(_REACH, [organization_id, day])
        ((first, last),) = cursor.fetchall()
    if first is None:
        return None
    clock = spans(time_zone, first, last)
    return {
        "organization": organization_id,
        "day": day,
        "detail_from": first_in_detail(organization_id),
        "begins": [span.begin for span in clock],
        "ends": [span.end for span in clock],
        "offsets": [span.offset for span in clock],
    }


def _date_sessions(organization_id: int, first: date, last: date) -> None:
    parameters: dict[str, Any] = {"organization": organization_id, "first": first, "last": last}
    with connection.cursor() as cursor:
        cursor.execute(_HOLD_SESSIONS, parameters)
        cursor.execute(_DATE_SESSIONS, parameters)
