"""The data of the charts for static/js/charts.js, and sentences for people who cannot see the charts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from analytics.display import figures, missing_cost
from analytics.display.colors import colors_apart
from analytics.pages.overview.layers import LAYERS, named, others_named
from analytics.reports import Point, Row, Totals

MEASURES = ("tokens", "requests", "cost")


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: the name of its data, its title, and its main result as a sentence, which a slow chart gets later."""

    name: str
    title: str
    summary: str = ""
    by_time: bool = True
    has_legend: bool = False
    is_slow: bool = False
    is_stackable: bool = False
    """Whether the reader may stack the chart by a dimension."""
    measures: tuple[tuple[str, str], ...] = ()
    """The measures that the reader can switch between, as keys and labels; empty if there is only one."""


def data(
    totals: Totals,
    points: Sequence[Point],
    models: Sequence[Row],
    link: Callable[[Row], str],
    day_link: str,
    *,
    sees_cost: bool,
    before: Sequence[Totals] | None = None,
    today: str = "",
) -> dict[str, Any]:
    """The data of the charts, without costs if the viewer may not see them.

    ``day_link`` is the start of a link to one day, to which the browser adds the dates; empty for a range of one day.
    ``before`` are the totals of each day (or hour) of the previous period, and ``today`` is the label of the unfinished
    day.
    """
    return {
        "series": _series(points, sees_cost) | {"today": today},
        "before": _before(before, sees_cost) if before else None,
        "models": _slices(models, link, sees_cost),
        "parts": [{"name": name, "shade": shade, "tokens": tokens} for name, shade, tokens in _token_parts(totals)],
        "day": day_link,
    }


def _series(points: Sequence[Point], sees_cost: bool) -> dict[str, list[Any]]:
    totals = [point.totals for point in points]
    series: dict[str, list[Any]] = {
        "x": [point.label for point in points],
        "input": [t.input_tokens - t.cached_tokens for t in totals],
        "cached": [t.cached_tokens for t in totals],
        "output": [t.output_tokens for t in totals],
        "requests": [t.requests for t in totals],
        "errors": [t.errors for t in totals],
        "timeouts": [t.timeouts for t in totals],
        "rate": [round(float(t.error_rate or 0), 5) for t in totals],
    }
    if sees_cost:
        series["cost"] = [float(t.cost_usd or 0) for t in totals]
        series["unpriced"] = [t.unpriced for t in totals]
    return series


def _before(series: Sequence[Totals], sees_cost: bool) -> dict[str, list[Any]]:
    before: dict[str, list[Any]] = {
        "tokens": [totals.total_tokens for totals in series],
        "requests": [totals.requests for totals in series],
    }
    if sees_cost:
        before["cost"] = [float(totals.cost_usd or 0) for totals in series]
    return before


def _token_parts(totals: Totals) -> list[tuple[str, str, int]]:
    """The name, colour and number of each kind of token; every token is in exactly one kind."""
    return [
        ("Input, not cached", "input", totals.input_tokens - totals.cached_tokens),
        ("Input, cached", "cached", totals.cached_tokens),
        ("Output, without reasoning", "output", totals.output_tokens - totals.reasoning_tokens),
        ("Reasoning", "reasoning", totals.reasoning_tokens),
    ]


def _slices(models: Sequence[Row], link: Callable[[Row], str], sees_cost: bool) -> list[dict[str, Any]]:
    """A slice for each of the models with the largest shares, and one slice for all others."""
    whole = _parts(models, sees_cost)

    def weight(row: Row) -> float:
        parts = _parts([row], sees_cost)
        return sum(parts[measure] / (whole[measure] or 1) for measure in MEASURES if measure in parts)

    ordered = sorted(models, key=weight, reverse=True)
    colors = colors_apart(str(row.value) for row in ordered[:LAYERS])
    slices = [
        {**named(row.label), "color": colors[str(row.value)], "link": link(row), **_parts([row], sees_cost)}
        for row in ordered[:LAYERS]
    ]
    if rest := ordered[LAYERS:]:
        slices.append({**named(others_named(len(rest))), "color": 0, "link": "", **_parts(rest, sees_cost)})
    return slices


def _parts(rows: Sequence[Row], sees_cost: bool) -> dict[str, float]:
    """The sum of each measure that the ring chart can show, and the number of requests without a whole cost."""
    parts: dict[str, float] = {
        "tokens": sum(row.totals.total_tokens for row in rows),
        "requests": sum(row.totals.requests for row in rows),
    }
    if sees_cost:
        parts["cost"] = float(sum(row.totals.cost_usd or 0 for row in rows))
        parts["unpriced"] = sum(row.totals.unpriced for row in rows)
    return parts


def charts(
    totals: Totals, points: Sequence[Point], models: Sequence[Row], *, sees_cost: bool, is_stacked: bool = False
) -> list[Chart]:
    """The charts in their order, each with its sentence."""
    money = (("cost", "Cost"),) if sees_cost else ()
    tokens, requests = ("tokens", "Tokens"), ("requests", "Requests")
    made = [
        Chart(
            "tokens",
            "Tokens over time",
            _most(points, "tokens", lambda p: p.totals.total_tokens, figures.count),
            is_stackable=True,
        ),
        Chart(
            "requests",
            "Requests over time" if is_stacked else "Requests by outcome",
            _requests(points),
            is_stackable=True,
        ),
        Chart(
            "models",
            "Usage by model",
            _models(models),
            by_time=False,
            has_legend=True,
            measures=(*money, tokens, requests),
        ),
        Chart("latency", "Latency and time to first token", is_slow=True),
        Chart("spread", "How long requests take", by_time=False, is_slow=True, is_stackable=True),
        Chart("parts", "Input, cached, output", _parts_of(totals), by_time=False, has_legend=True),
        Chart("heat", "By weekday and hour", by_time=False, is_slow=True, measures=(requests, tokens, *money)),
    ]
    if sees_cost:
        made.insert(0, Chart("cost", "Cost over time", _cost(totals, points), is_stackable=True))
    return made


def _parts_of(totals: Totals) -> str:
    whole = totals.input_tokens + totals.output_tokens or 1
    shares = (f"{name} {figures.percent(tokens / whole)}" for name, _, tokens in _token_parts(totals))
    return f"Share of tokens: {'; '.join(shares)}."


def _most(points: Sequence[Point], unit: str, amount: Callable[[Point], Any], text: Callable[[Any], str]) -> str:
    top = max(points, key=amount)
    return (
        f"{text(sum(amount(point) for point in points))} {unit} from {points[0].label} to {points[-1].label}; "
        f"most at {top.label}: {text(amount(top))}."
    )


def _cost(totals: Totals, points: Sequence[Point]) -> str:
    said = _most(points, "US dollars", lambda p: p.totals.cost_usd or 0, lambda v: f"{v:,.2f}")
    return f"At least {said} This is {missing_cost.missing(totals)}." if totals.unpriced else said


def _requests(points: Sequence[Point]) -> str:
    errors, timeouts = (sum(getattr(point.totals, name) for point in points) for name in ("errors", "timeouts"))
    said = _most(points, "requests", lambda p: p.totals.requests, figures.count)
    of_them = f", {figures.count(timeouts)} of them in a time-out" if timeouts else ""
    return f"{said} {figures.count(errors)} ended in an error{of_them}."


def _models(models: Sequence[Row]) -> str:
    requests = sum(row.totals.requests for row in models) or 1
    shares = (f"{row.label} {figures.percent(row.totals.requests / requests)}" for row in models[:LAYERS])
    return f"Share of requests: {', '.join(shares)}."
