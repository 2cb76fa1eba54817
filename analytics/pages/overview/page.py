"""The page Overview: totals, charts and a table for each dimension."""

from datetime import date
from typing import Any

from accounts.viewer import Viewer
from analytics.display import retention_notice
from analytics.display.colors import color_of
from analytics.display.outlook import Outlook
from analytics.display.unpriced_notice import unpriced_link
from analytics.filters import menus
from analytics.filters.facets import MODEL
from analytics.filters.filters import PLACES, Filters
from analytics.filters.range_form import MONTH
from analytics.pages import Page
from analytics.pages.overview import charts, comparison, deferred_charts, stacks
from analytics.pages.overview.cards import ACTIVE_DAYS, About, cards, counts_people
from analytics.pages.overview.questions import OVERVIEW_QUESTIONS, deferred_questions
from analytics.pages.overview.tables import ALL_AT_ONCE, FIND, late_facets, late_tables, tables
from analytics.reports import Report, Totals

HOURLY_LATENCY_UP_TO = 200_000
"""Latency by hour is shown for at most this number of requests, because no cube has it and the events are read."""
TOO_MANY = "Latency is shown by day: there are too many requests for hours."


def results(report: Report, filters: Filters) -> dict[str, Any]:
    totals, sees_cost = report.totals(), report.viewer.sees_cost
    previous, since = _previous(report, filters)
    points = report.series(filters.grain) if totals.requests else []
    about = About(_days_so_far(filters), counts_people(report), unpriced_link(filters))
    made = cards(totals, previous, points, about, sees_cost=sees_cost, outlook=outlook_of(report, filters))
    context = {"totals": totals, "cards": made, "top_model": _top_model(report), "since": since}
    if not totals.requests:
        return context | {"retention_notice": retention_notice.of_figures(report)}
    models = report.breakdown("model")
    facet = stacks.stacked_by(report, filters)
    chart_data = charts.data(
        totals,
        points,
        models,
        filters.link_to_model,
        _day_link(filters),
        sees_cost=sees_cost,
        before=report.previous_series(filters.grain) if previous else None,
        today=str(filters.form.today),
    )
    return context | {
        "charts": charts.charts(totals, points, models, sees_cost=sees_cost, is_stacked=facet is not None),
        "chart_data": chart_data | ({"layers": stacks.layers(report, filters, points, facet)} if facet else {}),
        "stacks": stacks.choices(report, filters),
        "charts_query": filters.shared.replaced(stacks.GROUP, (MODEL.name,) if facet == MODEL else ()),
        "tables": tables(report, filters),
        "changes": comparison.choices(report, filters),
        "has_changes": comparison.is_asked(filters),
        "late": [facet.label.lower() for facet in late_facets(report, filters)],
        "all_at_once": filters.query.replaced(ALL_AT_ONCE, ("all",)),
        "retention_notice": retention_notice.of_figures(report),
        "grains": menus.grains(filters),
    }


def _previous(report: Report, filters: Filters) -> tuple[Totals | None, date | None]:
    """The totals of the previous period. If the data begins within it, a comparison would mislead: then None, and the
    first day with data."""
    if not filters.has_previous:
        return None, None
    return (report.previous_totals(), None) if report.covers_previous else (None, report.covered_from)


def outlook_of(report: Report, filters: Filters) -> Outlook | None:
    """What this month will come to; None for other ranges."""
    if filters.range != MONTH or not report.totals().requests:
        return None
    return Outlook.of(report.series("day"), filters.form.earliest_today)


def slow_results(viewer: Viewer, filters: Filters) -> dict[str, Any]:
    """The context of the charts that the page loads after itself."""
    report = Report(viewer, filters.selection, deferred_questions(filters.grain))
    is_too_much = filters.grain == "hour" and report.totals().requests > HOURLY_LATENCY_UP_TO
    latency = report.latency_series("day" if is_too_much else filters.grain)
    overall, week = report.latency_percentiles(), report.by_weekday_and_hour()
    by_model = report.latency_histograms_by("model") if filters.query.first(stacks.GROUP) == MODEL.name else {}
    people = report.people_active(ACTIVE_DAYS) if counts_people(report) else {}
    spread = deferred_charts.spread(report.latency_histogram(), overall, by_model)
    return {
        "slow_data": deferred_charts.data(latency, overall, week, people, sees_cost=viewer.sees_cost)
        | {"spread": spread},
        "summaries": deferred_charts.summaries(overall, week),
        "note": TOO_MANY if is_too_much else "",
        "retention_notice": retention_notice.of_charts(report),
    }


def slow_tables(viewer: Viewer, filters: Filters) -> dict[str, Any]:
    """The context of the tables that the page loads after itself."""
    report = Report(viewer, filters.selection, OVERVIEW_QUESTIONS)
    return {"tables": late_tables(report, filters), "viewer": viewer}


def _days_so_far(filters: Filters) -> int:
    """The number of days of the range that have begun."""
    return (min(filters.selection.last_day, filters.form.today) - filters.selection.first_day).days + 1


def _day_link(filters: Filters) -> str:
    """The start of a link to a single day; the browser adds the dates. Empty if the range is a single day already."""
    if filters.selection.days == 1:
        return ""
    return str(filters.query.without(*PLACES, "from", "to", "grain").replaced("range", ("custom",)))


def _top_model(report: Report) -> dict[str, Any] | None:
    """The content of the card; None without requests."""
    top = report.top_model()
    if top is None:
        return None
    share = top.totals.requests / sum(sums.requests for sums in report.sums_by("model").values())
    return {"label": top.label, "color": color_of(str(top.value)), "totals": top.totals, "share": share}


OVERVIEW = Page(
    "analytics",
    "Overview",
    "analytics/overview/results.html",
    results,
    settings=("sort", "page", ALL_AT_ONCE, stacks.GROUP, comparison.CHANGE, *FIND.values()),
    styles=("css/overview.css",),
    questions=OVERVIEW_QUESTIONS,
    compares=True,
    has_charts=True,
    leads_to_first_call=True,
    has_notice=True,
    knows_choices=True,
)
