"""What a conversation is like on average."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Sum

from accounts.viewer import Viewer
from analytics.models import Session
from analytics.reports.scope import visible


@dataclass(frozen=True, slots=True)
class SessionAverages:
    """Of all sessions that a viewer may see, whenever they were. ``cost_usd`` is None where cost may not be seen;
    otherwise it is that of the priced messages, and ``unpriced`` tells how many others there were."""

    sessions: int
    requests: Decimal
    total_tokens: Decimal
    cost_usd: Decimal | None
    unpriced: int


def session_averages(viewer: Viewer) -> SessionAverages | None:
    """None without sessions."""
    sums = Session.objects.filter(visible(viewer)).aggregate(
        sessions=Count("session_id"),
        sum_requests=Sum("requests"),
        sum_tokens=Sum("total_tokens"),
        sum_cost=Sum("cost_usd"),
        sum_unpriced=Sum("unpriced"),
    )
    sessions = sums["sessions"]
    if not sessions:
        return None
    return SessionAverages(
        sessions,
        Decimal(sums["sum_requests"]) / sessions,
        Decimal(sums["sum_tokens"]) / sessions,
        sums["sum_cost"] / sessions if viewer.sees_cost else None,
        int(sums["sum_unpriced"]) if viewer.sees_cost else 0,
    )
