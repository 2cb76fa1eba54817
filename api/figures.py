"""The views of sums: of a range, by hour, day, week or month, by one or two dimensions, of one model, provider or
person."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.viewer import Viewer
from analytics.filters.facets import FACET, facets_of
from analytics.filters.filters import Filters
from analytics.reports import MAX_ROWS, GroupedTable, Percentiles, Report, Row, Summary, TooManyRowsError, Totals
from analytics.reports.selection import Dimension, Grain, Selection
from analytics.reports.totals import added
from api.problems import WrongParameterError
from api.query import COMPARE, choice, compares, filters_of, number
from api.reading import Reading
from api.shapes import LatencyShape, SummaryShape, TotalsShape, told

POPULAR, MOST_POPULAR = 10, 100
MOST_POINTS = 31 * 24
"""At most this number of points in a series by hour."""
PERIODS = ("hour", "day", "week", "month")
MEASURES: dict[str, Callable[[Summary], Any]] = {
    "cost": lambda sums: sums.cost_usd or Decimal(0),
    "tokens": lambda sums: sums.total_tokens,
    "requests": lambda sums: sums.requests,
}


class UsageView(Reading):
    """The summary of a range."""

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        return usage(viewer, filters_of(request, viewer, COMPARE), compares=compares(request))


def usage(viewer: Viewer, filters: Filters, *, compares: bool) -> dict[str, Any]:
    """What a range comes to, and the largest parts of it."""
    report = Report(viewer, filters.selection, compares=compares)
    answer = {
        **days_of(filters.selection),
        **told(TotalsShape, report.totals()),
        "latency_ms": latency(report.latency_percentiles()),
        "by_provider": rows(report, "provider"),
        "popular_models": rows(report, "model", POPULAR),
        "trend": [{"day": point.day.isoformat(), **told(SummaryShape, point.totals)} for point in report.series("day")],
    }
    return answer | (previous(report) if compares else {})


def days_of(selection: Selection) -> dict[str, str]:
    return {"from": selection.first_day.isoformat(), "to": selection.last_day.isoformat()}


def latency(found: Percentiles | None) -> Any:
    return None if found is None else told(LatencyShape, found)


def previous(report: Report) -> dict[str, Any]:
    """The previous period and its totals. ``is_covered`` is false if it begins before the first day with data, so that
    comparing would mislead; the totals are null if too little is kept to tell them."""
    before, totals = report.selection.previous(), report.previous_totals()
    first = report.covered_from
    found = None if totals is None else told(TotalsShape, totals)
    is_covered = totals is not None and first is not None and first <= before.first_day
    return {"previous": {**days_of(before), "is_covered": is_covered, "totals": found}}


def rows(report: Report, dimension: Dimension, most: int | None = None) -> list[dict[str, Any]]:
    """The sums of each value of a dimension, most requests first."""
    return [row_of(row) for row in report.breakdown(dimension)[:most]]


def row_of(row: Row) -> dict[str, Any]:
    return {"value": row.value, "name": row.label, **told(SummaryShape, row.totals)}


class CostsView(Reading):
    """The sums of each hour, day, week or month of a range. A week begins on Monday. A week or month at an end of the
    range has only its days within the range."""

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        filters = filters_of(request, viewer, "group_by")
        period = choice(request, "group_by", {name: name for name in PERIODS}, default="day")
        return {**days_of(filters.selection), "group_by": period, "points": points(viewer, filters.selection, period)}


class SeriesView(Reading):
    """As costs, for each value of a dimension: the largest ones, and the others together."""

    def read(self, request: Request, viewer: Viewer, **where: Any) -> Any:
        filters = filters_of(request, viewer, "by", "limit", "grain")
        dimension = dimension_of(request, viewer, "by")
        grain: Grain = filters.grain
        if filters.grain_note:
            raise WrongParameterError("grain", f"grain: {filters.grain_note}")
        report = Report(viewer, filters.selection)
        largest = [row.value for row in report.breakdown(dimension)][: number(request, "limit", default=8, most=50)]
        found, names = report.series_by(dimension, largest, grain), report.names(dimension, largest)
        moments = [point.label for point in report.series(grain)]
        return {
            **days_of(filters.selection),
            "grain": grain,
            "moments": moments,
            "total": [told(TotalsShape, point.totals) for point in report.series(grain)],
            "series": [
                {"value": value, "name": names[value], "points": [told(SummaryShape, sums) for sums in found[value]]}
                for value in largest
            ],
        }


def points(viewer: Viewer, selection: Selection, period: str) -> list[dict[str, Any]]:
    """The sums of each period, with zeros for one without requests."""
    if period == "hour" and selection.days * 24 > MOST_POINTS:
        raise WrongParameterError("group_by", f"group_by: hours are told of up to {MOST_POINTS // 24} days.")
    report = Report(viewer, selection)
    series = report.series("hour" if period == "hour" else "day")
    if period in ("hour", "day"):
        return [{period: point.label, **told(SummaryShape, point.totals)} for point in series]
    sums: dict[date, list[Totals]] = {}
    for point in series:
        sums.setdefault(beginning_of(point.day, period), []).append(point.totals)
    return [{period: first.isoformat(), **told(TotalsShape, added(group, group[0]))} for first, group in sums.items()]


def beginning_of(day: date, period: str) -> date:
    """The Monday of a day's week, or the first of its month."""
    return day - timedelta(days=day.weekday()) if period == "week" else day.replace(day=1)
