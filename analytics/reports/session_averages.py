"""The averages of all sessions."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Sum

from accounts.viewer import Viewer
from analytics.reports.scope import visible
from ledger.models import CurrentSession


@dataclass(frozen=True, slots=True)
class SessionAverages:
    """The averages of all sessions of all time that a viewer may see. ``cost_usd`` is the cost of the priced requests,
    or None if the viewer may not see cost. ``unpriced`` requests have no whole cost; ``without_tool_fees`` of these
    only lack their fees for tools."""

    sessions: int
    requests: Decimal
    total_tokens: Decimal
    cost_usd: Decimal | None
    unpriced: int
    without_tool_fees: int


def session_averages(viewer: Viewer) -> SessionAverages | None:
    """The averages of the viewer's sessions; None without sessions."""
    sums = CurrentSession.objects.filter(visible(viewer)).aggregate(
        sessions=Count("session_id"),
        sum_requests=Sum("requests"),
        sum_tokens=Sum("total_tokens"),
        sum_cost=Sum("cost_usd"),
        sum_unpriced=Sum("unpriced"),
        sum_without_tool_fees=Sum("without_tool_fees"),
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
        int(sums["sum_without_tool_fees"]) if viewer.sees_cost else 0,
    )
