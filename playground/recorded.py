"""What the ledger has of the page's calls: what is shown is what was recorded."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from accounts.viewer import Viewer
from analytics.badges import Badge, badge
from analytics.explanation import prices_of
from analytics.models import UsageEvent
from analytics.reports import Report
from analytics.selection import Selection

DAYS_BACK = 7
"""A page may stay open for so long and still show the figures of its answers."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One call as it was recorded. The badge is only for those who may see costs."""

    event: UsageEvent
    badge: Badge | None


def recorded(viewer: Viewer, request_ids: Iterable[str]) -> dict[str, Figures]:
    """The figures of these calls by request id, as far as they are recorded and the viewer may see them."""
    wanted = [request_id for request_id in request_ids if request_id]
    if not wanted:
        return {}
    today = timezone.now().date()  # in UTC; somewhere it is yesterday or tomorrow
    days = Selection(today - timedelta(days=DAYS_BACK + 1), today + timedelta(days=1))
    events = list(Report(viewer, days).events().filter(request_id__in=wanted))
    prices = prices_of(events) if viewer.sees_cost else {}
    return {event.request_id: Figures(event, badge(event, prices) if viewer.sees_cost else None) for event in events}
