"""Overview: totals, charts and a table for each dimension."""

from typing import Any

from analytics import charts, menus
from analytics.cards import cards
from analytics.filters import Filters
from analytics.pages import Page
from analytics.reports import Report, Totals
from analytics.tables import tables


def results(report: Report, asked: Filters) -> dict[str, Any]:
    totals, sees_cost = report.totals(), report.viewer.sees_cost
    previous = report.previous_totals() if asked.has_previous else None
    points = report.series(asked.grain) if totals.requests else []
    context = {"totals": totals, "cards": cards(totals, previous, points, sees_cost=sees_cost)}
    if not totals.requests:
        return context
    models = report.breakdown("model")
    return context | {
        "top_model": _top_model(report, totals),
        "charts": charts.charts(points, models, sees_cost=sees_cost),
        "chart_data": charts.data(points, models, asked.link_to_model, sees_cost=sees_cost),
        "tables": tables(report, asked),
        "grains": menus.grains(asked),
    }


def _top_model(report: Report, totals: Totals) -> dict[str, Any] | None:
    top = report.top_model()
    if top is None:
        return None
    share = top.totals.requests / totals.requests
    return {"label": top.label, "tone": charts.tone(str(top.value)), "totals": top.totals, "share": share}


OVERVIEW = Page(
    "analytics", "Overview", "analytics/overview/results.html", results, settings=("sort", "page"), has_charts=True
)
