"""The figures that the ledger recorded for the page's calls."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from accounts.viewer import Viewer
from analytics.display.cost_badge import Badge, badge
from analytics.reports import Report
from analytics.reports.cost_explanation import prices_of
from analytics.reports.selection import Selection
from ledger.models import UsageEvent

DAYS_BACK = 7
"""A page that has been open for at most this many days still shows its answers' figures."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The recorded figures of one call. Only viewers who may see costs get the badge."""

    event: UsageEvent
    badge: Badge | None


def recorded(viewer: Viewer, request_ids: Iterable[str]) -> dict[str, Figures]:
    """The figures by request id, for those of the calls that are recorded and that the viewer may see."""
    wanted = [request_id for request_id in request_ids if request_id]
    if not wanted:
        return {}
    today = timezone.now().date()  # This is the day in UTC; the organization's day may be the one before or after.
    days = Selection(today - timedelta(days=DAYS_BACK + 1), today + timedelta(days=1))
    events = list(Report(viewer, days).events().filter(request_id__in=wanted))
    prices = prices_of(events) if viewer.sees_cost else {}
    return {event.request_id: Figures(event, badge(event, prices) if viewer.sees_cost else None) for event in events}
