"""What is told of a report: its sums, its largest parts, and the period before."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from accounts.viewer import Viewer
from analytics.reports import ModelUsage, Percentiles, Report, Summary, Value
from analytics.reports.selection import Dimension, Selection
from api.shapes.base import told
from api.shapes.figures import LatencyShape, SummaryShape, TotalsShape

POPULAR, MANY = 10, 100
ORDERS: Mapping[str, Callable[[Summary], int | Decimal]] = {
    "cost": lambda sums: sums.cost_usd or Decimal(0),
    "tokens": lambda sums: sums.total_tokens,
    "requests": lambda sums: sums.requests,
}


def usage(viewer: Viewer, selection: Selection, *, compares: bool = False) -> dict[str, Any]:
    """What a range comes to, and its largest parts."""
    report = Report(viewer, selection, compares=compares)
    told_of = {
        **days_of(selection),
        **told(TotalsShape, report.totals()),
        "latency_ms": latency(report.latency_percentiles()),
        "by_provider": rows(report, "provider", "requests", MANY),
        "popular_models": rows(report, "model", "requests", POPULAR),
        "trend": daily(report),
    }
    return {**told_of, "previous": previous(report)} if compares else told_of


def previous(report: Report) -> dict[str, Any]:
    """The previous period and its totals; null if too little is kept to tell them."""
    totals = report.previous_totals()
    return {
        **days_of(report.selection.previous()),
        "is_covered": totals is not None and report.covers_previous,
        "totals": None if totals is None else told(TotalsShape, totals),
    }


def days_of(selection: Selection) -> dict[str, date]:
    return {"first_day": selection.first_day, "last_day": selection.last_day}


def daily(report: Report) -> list[Mapping[str, Any]]:
    return [told(SummaryShape, point.totals, day=point.day) for point in report.series("day")]


def latency(found: Percentiles | None) -> Mapping[str, Any] | None:
    return None if found is None else told(LatencyShape, found)


def speed(model: ModelUsage) -> Mapping[str, Any]:
    return {
        "provider": model.provider,
        "model": model.model,
        **told(SummaryShape, model.totals),
        "latency_ms": latency(model.latency),
        "avg_ttft_ms": model.totals.avg_ttft_ms,
        "tokens_per_second": model.tokens_per_second,
    }


def table(report: Report, dimension: Dimension, order: str, most: int) -> dict[str, Any]:
    return {
        **days_of(report.selection),
        "by": order,
        "rows": rows(report, dimension, order, most),
        "number": len(report.sums_by(dimension)),
    }


def rows(report: Report, dimension: Dimension, order: str, most: int) -> list[Mapping[str, Any]]:
    """The sums of the values of a dimension that are largest in an order."""
    amount = ORDERS[order]
    found: Iterable[tuple[Value, Summary]] = report.sums_by(dimension).items()
    shown = sorted(found, key=lambda pair: -amount(pair[1]))[:most]
    names = report.names(dimension, [value for value, _ in shown])
    return [told(SummaryShape, sums, value=value, name=names[value]) for value, sums in shown]


def only(selection: Selection, dimension: Dimension, value: str | int) -> Selection:
    return replace(selection, chosen={**selection.chosen, dimension: (value,)})
