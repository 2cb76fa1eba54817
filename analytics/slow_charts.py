"""The charts that take longer to ask for and come after the page: latency over time, and the week by hours."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analytics import figures
from analytics.reports import LatencyPoint, Percentiles, Summary

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS = 24
PERCENTILES = ("p50", "p95", "p99")

Week = Mapping[tuple[Any, ...], Summary]
"""By ISO weekday and hour."""


def data(
    latency: Sequence[LatencyPoint], overall: Percentiles | None, week: Week, *, sees_cost: bool
) -> dict[str, Any]:
    """Everything that these charts draw, and the percentiles of the latency card as text."""
    return {
        "latency": {
            "x": [point.label for point in latency],
            **{name: [_rounded(getattr(point.latency, name, None)) for point in latency] for name in PERCENTILES},
            "ttft": [_rounded(point.avg_ttft_ms) for point in latency],
        },
        "heat": _heat(week, sees_cost),
        "percentiles": _texts(overall),
    }


def summaries(overall: Percentiles | None, week: Week) -> dict[str, str]:
    """What each chart says in a sentence, by its name."""
    return {"latency": _latency(overall), "heat": _busiest(week)}


def _rounded(milliseconds: float | None) -> float | None:
    """Nothing stays nothing: a gap in the line, not a zero."""
    return None if milliseconds is None else round(milliseconds, 1)


def _texts(overall: Percentiles | None) -> dict[str, str]:
    return {name: figures.duration(getattr(overall, name, None)) for name in PERCENTILES}


def _heat(week: Week, sees_cost: bool) -> dict[str, list[list[float]]]:
    """A row for each day from Monday, a number for each hour of it."""
    amounts: dict[str, Callable[[Summary], float]] = {
        "requests": lambda sums: sums.requests,
        "tokens": lambda sums: sums.total_tokens,
    }
    if sees_cost:
        amounts["cost"] = lambda sums: float(sums.cost_usd or 0)
    nothing = Summary()
    return {
        name: [[amount(week.get((day, hour), nothing)) for hour in range(HOURS)] for day in range(1, len(DAYS) + 1)]
        for name, amount in amounts.items()
    }


def _latency(overall: Percentiles | None) -> str:
    if overall is None:
        return "No message was timed."
    said = _texts(overall)
    return (
        f"Half of the messages took up to {said['p50']}, 95 of 100 up to {said['p95']}, 99 of 100 up to {said['p99']}."
    )


def _busiest(week: Week) -> str:
    if not week:
        return "No messages."
    (day, hour), sums = max(week.items(), key=lambda item: item[1].requests)
    return f"Most messages on {DAYS[day - 1]}s from {hour:02}:00 to {hour + 1:02}:00: {figures.count(sums.requests)}."
