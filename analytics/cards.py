"""The cards at the top: a total each, and how it differs from the period before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from analytics import figures
from analytics.reports import Point, Totals

Tone = Literal["good", "bad", "neutral"]
Amount = int | float | Decimal | None

SPARK_POINTS = 60
SPARKS: dict[str, Callable[[Totals], Amount]] = {
    "Total Tokens": lambda t: t.total_tokens,
    "Total Cost": lambda t: t.cost_usd,
    "Messages": lambda t: t.requests,
    "Avg Latency": lambda t: t.avg_latency_ms,
    "Error Rate": lambda t: t.error_rate,
}


@dataclass(frozen=True, slots=True)
class Change:
    """How a figure moved, as text, and whether that is good news."""

    text: str
    tone: Tone
    direction: Literal["up", "down", "same"]


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    value: str
    exact: str = ""
    change: Change | None = None
    details: tuple[tuple[str, str], ...] = ()
    is_hero: bool = False
    spark: str = ""
    """The course of the figure through the range, as points of a line in a box of 100 by 30."""


def change(now: Amount, before: Amount, more_is: Tone = "neutral") -> Change | None:
    """From the period before to this one. None where there is nothing to compare."""
    if now is None or (not now and not before):
        return None
    if not before:
        return Change("new", "neutral", "up")
    ratio = float(now) / float(before) - 1
    text = figures.percent(abs(ratio)) if abs(ratio) < 10 else f"×{figures.compact(round(ratio + 1))}"
    return _moved(ratio, text, more_is)


def change_in_points(now: float | None, before: float | None, more_is: Tone) -> Change | None:
    """The same for a rate, where a percentage of a percentage would mislead: in percentage points."""
    if now is None or before is None:
        return None
    points = 100 * (now - before)
    return _moved(points, f"{abs(points):.1f} pp" if abs(points) >= 0.1 else "<0.1 pp", more_is)


def _moved(difference: float, text: str, more_is: Tone) -> Change:
    if not difference:
        return Change("no change", "neutral", "same")
    opposite: dict[Tone, Tone] = {"good": "bad", "bad": "good", "neutral": "neutral"}
    if difference > 0:
        return Change(text, more_is, "up")
    return Change(text, opposite[more_is], "down")


def cards(totals: Totals, previous: Totals | None, points: Sequence[Point], *, sees_cost: bool) -> list[Card]:
    """The five cards, in their order; the one about money only for those who may see it."""
    makers = [_tokens, *([_cost] if sees_cost else []), _messages, _latency, _errors]
    made = (make(totals, previous) for make in makers)
    return [replace(card, spark=spark(points, SPARKS[card.name])) for card in made]


def spark(points: Sequence[Point], amount: Callable[[Totals], Amount]) -> str:
    """A line through the points, thinned out where they are many; none where there is nothing to draw."""
    step = max(1, len(points) // SPARK_POINTS)
    chunks = [points[i : i + step] for i in range(0, len(points), step)]
    heights = [sum(float(amount(point.totals) or 0) for point in chunk) / len(chunk) for chunk in chunks]
    top = max(heights, default=0)
    if len(heights) < 2 or not top:
        return ""
    width = 100 / (len(heights) - 1)
    return " ".join(f"{i * width:.1f},{29 - 28 * height / top:.1f}" for i, height in enumerate(heights))


def _compared(
    totals: Totals, previous: Totals | None, amount: Callable[[Totals], Amount], more_is: Tone = "neutral"
) -> Change | None:
    return change(amount(totals), amount(previous), more_is) if previous else None


def _tokens(totals: Totals, previous: Totals | None) -> Card:
    details = [
        ("Input", figures.compact(totals.input_tokens)),
        ("Cached", figures.compact(totals.cached_tokens)),
        ("Output", figures.compact(totals.output_tokens)),
    ]
    if totals.reasoning_tokens:
        details.append(("Reasoning", figures.compact(totals.reasoning_tokens)))
    if totals.estimated:
        details.append(("Estimated", figures.percent(totals.estimated / totals.requests)))
    return Card(
        "Total Tokens",
        figures.compact(totals.total_tokens),
        f"{figures.count(totals.total_tokens)} tokens",
        _compared(totals, previous, lambda t: t.total_tokens),
        tuple(details),
        is_hero=True,
    )


def _cost(totals: Totals, previous: Totals | None) -> Card:
    priced = totals.requests - totals.unpriced
    cost = totals.cost_usd or Decimal(0)
    details = [("Average", figures.money(cost / priced if priced else None))]
    if totals.unpriced:
        details.append(("Unpriced", figures.compact(totals.unpriced)))
    return Card(
        "Total Cost",
        figures.money(cost),
        f"{figures.exact_money(cost)} US dollars",
        _compared(totals, previous, lambda t: t.cost_usd, "bad"),
        tuple(details),
    )


def _messages(totals: Totals, previous: Totals | None) -> Card:
    per_message = figures.compact(round(totals.total_tokens / totals.requests)) if totals.requests else figures.NOTHING
    return Card(
        "Messages",
        figures.compact(totals.requests),
        f"{figures.count(totals.requests)} messages",
        _compared(totals, previous, lambda t: t.requests, "good"),
        (("Tokens each", per_message),),
    )


def _latency(totals: Totals, previous: Totals | None) -> Card:
    return Card(
        "Avg Latency",
        figures.duration(totals.avg_latency_ms),
        "From the start of a call to its last byte",
        _compared(totals, previous, lambda t: t.avg_latency_ms, "bad"),
        (("First token", figures.duration(totals.avg_ttft_ms)), ("Longest", figures.duration(totals.latency_ms_max))),
    )


def _errors(totals: Totals, previous: Totals | None) -> Card:
    before = previous.error_rate if previous else None
    return Card(
        "Error Rate",
        figures.percent(totals.error_rate),
        f"{figures.count(totals.errors)} of {figures.count(totals.requests)} messages",
        change_in_points(totals.error_rate, before, "bad") if previous else None,
        (("Failed", figures.compact(totals.errors)),),
    )
