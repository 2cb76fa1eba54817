"""The page My Usage: the Overview of a person's own requests, with sessions, averages, and totals of all time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from accounts.viewer import Viewer
from analytics import reports
from analytics.filters.filters import Filters
from analytics.pages.overview.cards import savings_card
from analytics.pages.overview.page import OVERVIEW
from analytics.pages.overview.page import results as overview
from analytics.pages.sessions import SessionRow, session_row
from analytics.reports import Report, Sessions, Totals
from analytics.reports.selection import Selection
from analytics.reports.totals import added

SESSIONS = 5
"""The number of latest sessions that the page lists."""


@dataclass(frozen=True, slots=True)
class Period:
    name: str
    first_day: date
    last_day: date
    totals: Totals


@dataclass(frozen=True, slots=True)
class Each:
    """The averages of a request. The cost is that of the priced requests, at least: ``without_tool_fees`` of these lack
    their fees for tools."""

    total_tokens: Decimal
    cost_usd: Decimal | None
    without_tool_fees: int


def results(report: Report, filters: Filters) -> dict[str, Any]:
    context = overview(report, filters)
    if savings := reports.cache_savings(report):
        context["cards"] = [*context["cards"], savings_card(savings, report.totals())]
    periods = _periods(report)
    return context | {
        "periods": periods,
        "each_request": _each(periods[-1].totals),
        "each_session": reports.session_averages(report.viewer),
        "rows": _latest_sessions(report.viewer, filters),
        "sees_people": False,
    }


def _periods(report: Report) -> list[Period]:
    """Today, this month and all time, whatever the range and the filters of the report."""
    today = reports.today(report.viewer)
    month = Report(report.viewer, Selection(today.replace(day=1), today))
    always = Report(report.viewer, Selection(report.covered_from or today, today))
    days = [point.totals for point in month.series("day")]
    return [
        Period("Today", today, today, days[-1]),
        Period("This month", month.selection.first_day, today, added([one for one in days if one.requests], days[-1])),
        Period("All time", always.selection.first_day, today, always.totals()),
    ]


def _each(totals: Totals) -> Each | None:
    """The averages of a request; None without requests."""
    if not totals.requests:
        return None
    cost = totals.cost_usd / totals.priced if totals.cost_usd is not None and totals.priced else None
    return Each(Decimal(totals.total_tokens) / totals.requests, cost, totals.without_tool_fees)


def _latest_sessions(viewer: Viewer, filters: Filters) -> Sequence[SessionRow]:
    latest = Sessions(viewer, filters.selection, size=SESSIONS).page().conversations
    return [session_row(viewer, one, f"{number}", filters.shared) for number, one in enumerate(latest)]


MY_USAGE = replace(
    OVERVIEW,
    name="my-usage",
    title="My usage",
    template="analytics/my_usage/results.html",
    results=results,
    styles=(*OVERVIEW.styles, "css/sessions.css", "css/my-usage.css"),
    script="js/requests.js",  # This script copies ids.
    has_notice=False,
    is_own=True,
)
