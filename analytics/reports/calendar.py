"""The first day with events, today's date, and the number of events, which tells whether something new was recorded."""

from datetime import date
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils import timezone

from accounts.viewer import Viewer
from analytics.reports.grouped_sums import grouped_sums
from analytics.reports.scope import in_cube, rows_of, scope_of, visible
from analytics.reports.selection import Selection
from ledger.models import CurrentRollup
from ledger.rollups.cubes import Cube, smallest_with

_ZONES = "SELECT DISTINCT time_zone FROM accounts_organization WHERE %(all)s OR id = ANY(%(seen)s)"


def first_day(viewer: Viewer) -> date | None:
    """The earliest day with an event that the viewer may see; None without events."""
    days = CurrentRollup.objects.filter(in_cube(_cube(viewer)) & visible(viewer)).order_by("day")
    return days.values_list("day", flat=True).first()


def today(viewer: Viewer) -> date:
    """The latest of the local dates of the viewer's organizations, so that the newest calls of none are missing."""
    return local_dates(viewer)[1]


def local_dates(viewer: Viewer) -> tuple[date, date]:
    """The earliest and the latest of the local dates of the viewer's organizations. Days before the earliest are over
    for all of them."""
    now, seen = timezone.now(), viewer.organization_ids
    with connection.cursor() as cursor:  # Django would take longer to build this query.
        cursor.execute(_ZONES, {"all": seen is None, "seen": list(seen or ())})
        dates = {now.astimezone(ZoneInfo(zone)).date() for (zone,) in cursor} or {now.date()}
    return min(dates), max(dates)


def number_recorded(viewer: Viewer) -> int:
    """The number of events that the viewer may see. A live page compares it first, because it changes whenever
    something was recorded."""
    everything = rows_of(viewer, Selection(date.min, date.max), _cube(viewer))
    return sum(requests for _, (requests,) in grouped_sums(everything, [()], ["requests"])[()])


def _cube(viewer: Viewer) -> Cube:
    """The smallest cube that can tell which rows the viewer may see."""
    cube = smallest_with(scope_of(viewer))
    assert cube is not None
    return cube
