"""The charts over time, stacked by a dimension that the reader has chosen."""

from collections.abc import Sequence
from typing import Any

from analytics.display.colors import STATUS_COLORS, colors_apart, colors_of_values
from analytics.filters.facets import FACET, Facet, facets_of
from analytics.filters.filters import Filters
from analytics.filters.menus import Choosable
from analytics.pages.overview.layers import LAYERS, named, others_named
from analytics.reports import Point, Report, Summary, Value, remainder

GROUP = "group"
"""The name in a query string for the dimension that the charts are stacked by."""
STACKABLE = ("model", "project", "user", "feature", "expert", "status")


def choices(report: Report, filters: Filters) -> list[Choosable]:
    """The dimensions to choose from, and the choice of none."""
    chosen = stacked_by(report, filters)
    query = filters.query.without(GROUP)
    options: list[Facet | None] = [None, *_facets(report)]
    return [
        Choosable(
            facet.name if facet else "",
            facet.label if facet else "Nothing",
            facet == chosen,
            query.replaced(GROUP, (facet.name,) if facet else ()),
        )
        for facet in options
    ]


def stacked_by(report: Report, filters: Filters) -> Facet | None:
    """The dimension that the charts are stacked by; None if the query names none, or one that cannot be shown."""
    facet = FACET.get(filters.query.first(GROUP))
    return facet if facet in _facets(report) else None


def _facets(report: Report) -> list[Facet]:
    """The dimensions whose sums can be read quickly."""
    facets = (facet for facet in facets_of(report.viewer) if facet.name in STACKABLE)
    return [facet for facet in facets if not report.is_slow(facet.dimension)]


def layers(report: Report, filters: Filters, points: Sequence[Point], facet: Facet) -> list[dict[str, Any]]:
    """The layers of the charts from the bottom up: for each of the values with the highest cost, or tokens if the
    viewer may not see cost, its figures at each point; and one layer for all other values together."""
    sums = report.sums_by(facet.dimension)
    ordered = sorted(sums, key=lambda value: (sums[value].cost_usd or 0, sums[value].total_tokens), reverse=True)
    shown = ordered[:LAYERS]
    series = report.series_by(facet.dimension, shown, filters.grain)
    names = report.names(facet.dimension, shown)
    colors = _colors(facet, shown)
    made = [
        _layer(names[value], colors[value], str(filters.only(facet, (facet.text(value),))), series[value], report)
        for value in shown
    ]
    if rest := len(ordered) - len(shown):
        others = [remainder(point.totals, [series[value][n] for value in shown]) for n, point in enumerate(points)]
        made.append(_layer(others_named(rest), 0, "", others, report))
    return made


def _colors(facet: Facet, values: Sequence[Value]) -> dict[Value, int]:
    if facet.name == "status":
        return {value: STATUS_COLORS[str(value)] for value in values}
    colors = (colors_apart if facet.name == "model" else colors_of_values)(map(str, values))
    return {value: colors[str(value)] for value in values}


def _layer(name: str, color: int, link: str, sums: Sequence[Summary], report: Report) -> dict[str, Any]:
    layer: dict[str, Any] = {
        **named(name),
        "color": color,
        "link": link,
        "tokens": [one.total_tokens for one in sums],
        "requests": [one.requests for one in sums],
    }
    if report.viewer.sees_cost:
        layer["cost"] = [float(one.cost_usd or 0) for one in sums]
        layer["unpriced"] = [one.unpriced for one in sums]
    return layer
