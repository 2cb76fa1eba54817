"""The newest event of an organization since a moment, for a page that waits for it."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.reports.scope import visible
from ledger.models import UsageEvent

SLOW_CLOCK = timedelta(minutes=2)
"""An event from outside is found although the sender's clock is slow by this much."""


def newest_since(viewer: Viewer, organization: Organization, moment: datetime) -> UsageEvent | None:
    """The newest event that was recorded since the moment, and that the viewer may see; None without one.

    An index leads to it, that of the organization or that of the person. The days are given one by one, because
    PostgreSQL then begins within a day at a time, and does not read the day from its beginning. There are always two
    days at least: a single one PostgreSQL leaves out of the order, and may then read all that anybody has called since.
    """
    began = moment - SLOW_CLOCK
    found = UsageEvent.objects.filter(
        visible(viewer),
        organization_id=organization.pk,
        day__in=_days_since(began, ZoneInfo(organization.time_zone)),
        timestamp__gte=began,
        received_at__gte=moment,
    )
    return found.select_related("user").order_by("-day", "-timestamp", "-id").first()


def _days_since(moment: datetime, zone: ZoneInfo) -> list[date]:
    """The days of the zone from the moment until tomorrow."""
    first, last = moment.astimezone(zone).date(), (datetime.now(zone) + timedelta(days=1)).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
