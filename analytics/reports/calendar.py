"""What a page asks before it asks for figures: from when to when there are any, and whether there are new ones."""

from datetime import date
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.cubes import smallest_with
from analytics.models import Rollup
from analytics.reports.scope import visible


def first_day(viewer: Viewer) -> date | None:
    """The earliest day with an event that the viewer may see; None without any."""
    return _rollups_by_day(viewer).order_by("day").values_list("day", flat=True).first()


def today(viewer: Viewer) -> date:
    """The date in the visible organization that is furthest ahead, so that nobody's calls of this hour are missing."""
    organizations = Organization.objects.all()
    if viewer.organization_ids is not None:
        organizations = organizations.filter(pk__in=viewer.organization_ids)
    now = timezone.now()
    zones = organizations.order_by().values_list("time_zone", flat=True).distinct()
    return max((now.astimezone(ZoneInfo(zone)).date() for zone in zones), default=now.date())


def version(viewer: Viewer) -> str:
    """Changes whenever something that the viewer may see was recorded: what a live page asks before it asks more."""
    sums = _rollups_by_day(viewer).aggregate(requests=Sum("requests"))
    return str(sums["requests"] or 0)


def _rollups_by_day(viewer: Viewer) -> "QuerySet[Rollup]":
    cube = smallest_with(frozenset() if viewer.user_ids is None else frozenset({"user_id"}))
    assert cube is not None
    return Rollup.objects.filter(Q(cube=cube.number) & visible(viewer))
