"""Days, weeks and months of an organization's calendar, and which of them are over."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from analytics.filters.month import Month
from analytics.models import ScheduledExport

DAY = timedelta(days=1)
SETTLES = timedelta(hours=1)
"""A period is exported this long after its end, when also the calls are recorded that were under way at midnight."""
MOST_AT_ONCE = 60
"""At most this many past periods are made up for, the latest ones."""

Period = tuple[date, date]


def period_of(every: str, day: date) -> Period:
    """The first and last day of the period that a day lies in."""
    if every == ScheduledExport.Every.DAY:
        return day, day
    if every == ScheduledExport.Every.WEEK:
        monday = day - day.weekday() * DAY
        return monday, monday + 6 * DAY
    month = Month.of(day)
    return month.first_day, month.last_day


def periods_over(schedule: ScheduledExport, now: datetime) -> list[Period]:
    """The periods that are over, from the schedule's first one on; the latest ones if they are many."""
    today = (now - SETTLES).astimezone(ZoneInfo(schedule.organization.time_zone)).date()
    return list(_until(schedule, today))[-MOST_AT_ONCE:]


def _until(schedule: ScheduledExport, today: date) -> Iterator[Period]:
    first, last = period_of(schedule.every, schedule.first_day)
    while last < today:
        yield first, last
        first, last = period_of(schedule.every, last + DAY)
