"""Overview: totals, charts and a table for each dimension."""

from typing import Any

from accounts.viewer import Viewer
from analytics import charts, detail_notice, menus, slow_charts
from analytics.cards import cards
from analytics.filters import PLACES, Filters
from analytics.pages import Page
from analytics.reports import OVERVIEW_QUESTIONS, Report, chart_questions
from analytics.tables import FIND, tables
from analytics.unpriced import unpriced_link

HOURLY_LATENCY_UP_TO = 200_000
"""So many messages or fewer: their latency is shown by hour where hours are asked for. No cube knows it."""
TOO_MANY = "Latency is shown by day: there are too many messages for hours."


def results(report: Report, asked: Filters) -> dict[str, Any]:
    totals, sees_cost = report.totals(), report.viewer.sees_cost
    previous = report.previous_totals() if asked.has_previous else None
    points = report.series(asked.grain) if totals.requests else []
    made = cards(totals, previous, points, sees_cost=sees_cost, unpriced_link=unpriced_link(asked))
    context = {"totals": totals, "cards": made, "detail_notice": detail_notice.of_figures(report)}
    if not totals.requests:
        return context
    models = report.breakdown("model")
    return context | {
        "top_model": _top_model(report),
        "charts": charts.charts(totals, points, models, sees_cost=sees_cost),
        "chart_data": charts.data(totals, points, models, asked.link_to_model, _day_link(asked), sees_cost=sees_cost),
        "tables": tables(report, asked),
        "detail_notice": detail_notice.of_figures(report),
        "grains": menus.grains(asked),
    }


def slow_results(viewer: Viewer, asked: Filters) -> dict[str, Any]:
    """What the page asks for once it is there."""
    report = Report(viewer, asked.selection, chart_questions(asked.grain))
    is_too_much = asked.grain == "hour" and report.totals().requests > HOURLY_LATENCY_UP_TO
    latency = report.latency_series("day" if is_too_much else asked.grain)
    overall, week = report.latency_percentiles(), report.by_weekday_and_hour()
    return {
        "slow_data": slow_charts.data(latency, overall, week, sees_cost=viewer.sees_cost),
        "summaries": slow_charts.summaries(overall, week),
        "note": TOO_MANY if is_too_much else "",
        "detail_notice": detail_notice.of_charts(report),
    }


def _day_link(asked: Filters) -> str:
    """To a single day; its dates are added in the browser. None from a day to itself."""
    if asked.selection.days == 1:
        return ""
    return str(asked.query.without(*PLACES, "from", "to", "grain").replaced("range", ("custom",)))


def _top_model(report: Report) -> dict[str, Any] | None:
    top = report.top_model()
    if top is None:
        return None
    share = top.totals.requests / sum(sums.requests for sums in report.sums_by("model").values())
    return {"label": top.label, "tone": charts.tone(str(top.value)), "totals": top.totals, "share": share}


OVERVIEW = Page(
    "analytics",
    "Overview",
    "analytics/overview/results.html",
    results,
    settings=("sort", "page", *FIND.values()),
    style="css/overview.css",
    questions=OVERVIEW_QUESTIONS,
    compares=True,
    has_charts=True,
    knows_choices=True,
)
