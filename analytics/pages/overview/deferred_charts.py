"""The slower charts, which are loaded after the page: latency over time, how latencies are spread, and requests by
weekday and hour."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analytics.display import figures
from analytics.display.colors import colors_apart
from analytics.filters.facets import NONE
from analytics.pages.overview.layers import LAYERS, named, others_named
from analytics.reports import LatencyPoint, Percentiles, Summary
from analytics.reports.percentiles import Histogram, merged
from ledger.rollups.cubes import BUCKET_BOUNDS_MS

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS = 24
PERCENTILES = ("p50", "p95", "p99")

Week = Mapping[tuple[Any, ...], Summary]
"""Sums by ISO weekday and hour."""


def data(
    latency: Sequence[LatencyPoint],
    overall: Percentiles | None,
    week: Week,
    people: Mapping[int, int],
    *,
    sees_cost: bool,
) -> dict[str, Any]:
    """The data of these charts, and the values that the cards show later, as text."""
    return {
        "latency": {
            "x": [point.label for point in latency],
            **{name: [_rounded(getattr(point.latency, name, None)) for point in latency] for name in PERCENTILES},
            "ttft": [_rounded(point.avg_ttft_ms) for point in latency],
        },
        "heat": _heat(week, sees_cost),
        "later": _texts(overall) | {f"people-{days}": figures.count(number) for days, number in people.items()},
    }


def summaries(overall: Percentiles | None, week: Week) -> dict[str, str]:
    """A sentence with the main result of each chart, by the chart's name."""
    return {"latency": _latency(overall), "spread": _latency(overall), "heat": _busiest(week)}


def _rounded(milliseconds: float | None) -> float | None:
    """The number with one decimal. None stays None, so that the line has a gap there and not a zero."""
    return None if milliseconds is None else round(milliseconds, 1)


def _texts(overall: Percentiles | None) -> dict[str, str]:
    return {name: figures.duration(getattr(overall, name, None)) for name in PERCENTILES}


def spread(
    whole: Histogram, overall: Percentiles | None, by_model: Mapping[tuple[Any, ...], Histogram]
) -> dict[str, Any]:
    """The data of the histogram: the requests in each bucket from the first to the last that has any, the bounds of
    these buckets in milliseconds, and the percentiles. With ``by_model`` also layers for the most used models."""
    if not whole:
        return {}
    numbers, last = range(min(whole), max(whole) + 1), max(whole)
    top = BUCKET_BOUNDS_MS[last] if last < len(BUCKET_BOUNDS_MS) else whole[last].latency_ms_max
    data: dict[str, Any] = {
        "bounds": [*(BUCKET_BOUNDS_MS[number - 1] if number else 0 for number in numbers), top],
        "requests": _in_buckets(whole, numbers),
        "percentiles": {name: _rounded(getattr(overall, name, None)) for name in PERCENTILES},
    }
    return data | ({"layers": _layers(by_model, numbers)} if by_model else {})


def _in_buckets(histogram: Histogram, numbers: range) -> list[int]:
    return [histogram[number].requests if number in histogram else 0 for number in numbers]


def _layers(by_model: Mapping[tuple[Any, ...], Histogram], numbers: range) -> list[dict[str, Any]]:
    requests = {model: sum(bucket.requests for bucket in found.values()) for (model,), found in by_model.items()}
    ordered = sorted(requests, key=lambda model: (-requests[model], model))
    shown, rest = ordered[:LAYERS], ordered[LAYERS:]
    colors = colors_apart(shown)
    layers = [
        {**named(model or NONE), "color": colors[model], "requests": _in_buckets(by_model[model,], numbers)}
        for model in shown
    ]
    if rest:
        others = merged(by_model[model,] for model in rest)
        layers.append({**named(others_named(len(rest))), "color": 0, "requests": _in_buckets(others, numbers)})
    return layers


def _heat(week: Week, sees_cost: bool) -> dict[str, list[list[float]]]:
    """For each measure, a row for each weekday from Monday with a number for each hour."""
    amounts: dict[str, Callable[[Summary], float]] = {
        "requests": lambda sums: sums.requests,
        "tokens": lambda sums: sums.total_tokens,
    }
    if sees_cost:
        amounts["cost"] = lambda sums: float(sums.cost_usd or 0)
        amounts["unpriced"] = lambda sums: sums.unpriced
    nothing = Summary()
    return {
        name: [[amount(week.get((day, hour), nothing)) for hour in range(HOURS)] for day in range(1, len(DAYS) + 1)]
        for name, amount in amounts.items()
    }


def _latency(overall: Percentiles | None) -> str:
    if overall is None:
        return "No request was timed."
    said = _texts(overall)
    return (
        f"Half of the requests took up to {said['p50']}, 95 of 100 up to {said['p95']}, 99 of 100 up to {said['p99']}."
    )


def _busiest(week: Week) -> str:
    if not week:
        return "No requests."
    (day, hour), sums = max(week.items(), key=lambda item: item[1].requests)
    return f"Most requests on {DAYS[day - 1]}s from {hour:02}:00 to {hour + 1:02}:00: {figures.count(sums.requests)}."
