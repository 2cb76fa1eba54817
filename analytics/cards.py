"""The cards at the top: a total each, how it differs from the period before, and what is in it."""

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
class Fact:
    """One exact figure of those that a card opens into."""

    name: str
    value: str
    share: str = ""
    is_part: bool = False
    """Of the one above."""
    link: str = ""
    later: str = ""
    """The name of a value that takes longer and comes after the page."""


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    value: str
    change: Change | None = None
    details: tuple[tuple[str, str], ...] = ()
    facts: tuple[Fact, ...] = ()
    is_hero: bool = False
    spark: str = ""
    """The course of the figure through the range, as points of a line in a box of 100 by 30."""

    @property
    def slug(self) -> str:
        return self.name.lower().replace(" ", "-")


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


def cards(
    totals: Totals, previous: Totals | None, points: Sequence[Point], *, sees_cost: bool, unpriced_link: str = ""
) -> list[Card]:
    """The five cards, in their order; the one about money only for those who may see it."""
    made = [
        _tokens(totals, previous),
        _messages(totals, previous),
        _latency(totals, previous),
        _errors(totals, previous),
    ]
    if sees_cost:
        made.insert(1, _cost(totals, previous, unpriced_link))
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


def _before(previous: Totals | None, text: Callable[[Totals], str]) -> tuple[Fact, ...]:
    return (Fact("Previous period", text(previous)),) if previous else ()


def _count(name: str, part: int, whole: int, *, is_part: bool = False, link: str = "") -> Fact:
    """A number, and how much of the whole it is."""
    return Fact(name, figures.count(part), figures.percent(part / whole) if whole else "", is_part, link)


def _tokens(totals: Totals, previous: Totals | None) -> Card:
    whole = totals.total_tokens
    details = [
        ("Input", figures.compact(totals.input_tokens)),
        ("Cached", figures.compact(totals.cached_tokens)),
        ("Output", figures.compact(totals.output_tokens)),
    ]
    return Card(
        "Total Tokens",
        figures.compact(whole),
        _compared(totals, previous, lambda t: t.total_tokens),
        tuple(details),
        (
            Fact("Tokens", figures.count(whole)),
            _count("Input", totals.input_tokens, whole),
            _count("of it cached", totals.cached_tokens, totals.input_tokens, is_part=True),
            _count("Output", totals.output_tokens, whole),
            _count("of it reasoning", totals.reasoning_tokens, totals.output_tokens, is_part=True),
            _count("Messages with estimated tokens", totals.estimated, totals.requests),
            *_before(previous, lambda t: figures.count(t.total_tokens)),
        ),
        is_hero=True,
    )


def _cost(totals: Totals, previous: Totals | None, unpriced_link: str) -> Card:
    priced = totals.requests - totals.unpriced
    cost = totals.cost_usd or Decimal(0)
    average = figures.money(cost / priced if priced else None)
    details = [("Average", average)]
    if totals.unpriced:
        details.append(("Unpriced", figures.compact(totals.unpriced)))
    link = unpriced_link if totals.unpriced else ""
    return Card(
        "Total Cost",
        figures.money(cost),
        _compared(totals, previous, lambda t: t.cost_usd, "bad"),
        tuple(details),
        (
            Fact("US dollars", figures.exact_money(cost)),
            Fact("Average per priced message", average),
            _count("Priced messages", priced, totals.requests),
            _count("Unpriced messages", totals.unpriced, totals.requests, link=link),
            _count("Messages with estimated tokens", totals.estimated, totals.requests),
            *_before(previous, lambda t: figures.exact_money(t.cost_usd)),
        ),
    )


def _messages(totals: Totals, previous: Totals | None) -> Card:
    each = figures.compact(round(totals.total_tokens / totals.requests)) if totals.requests else figures.NOTHING
    return Card(
        "Messages",
        figures.compact(totals.requests),
        _compared(totals, previous, lambda t: t.requests, "good"),
        (("Tokens each", each),),
        (
            Fact("Messages", figures.count(totals.requests)),
            _count("Answered", totals.requests - totals.errors, totals.requests),
            _count("Failed", totals.errors, totals.requests),
            Fact("Tokens each, on average", each),
            *_before(previous, lambda t: figures.count(t.requests)),
        ),
    )


def _latency(totals: Totals, previous: Totals | None) -> Card:
    average, first = figures.duration(totals.avg_latency_ms), figures.duration(totals.avg_ttft_ms)
    return Card(
        "Avg Latency",
        average,
        _compared(totals, previous, lambda t: t.avg_latency_ms, "bad"),
        (("First token", first), ("Longest", figures.duration(totals.latency_ms_max))),
        (
            Fact("Average, to the last byte", average),
            *(Fact(f"{share} of 100 took up to", "…", later=f"p{share}") for share in (50, 95, 99)),
            Fact("Shortest", figures.duration(totals.latency_ms_min)),
            Fact("Longest", figures.duration(totals.latency_ms_max)),
            Fact("First token, on average", first),
            _count("Messages that streamed", totals.ttft_count, totals.requests),
            *_before(previous, lambda t: figures.duration(t.avg_latency_ms)),
        ),
    )


def _errors(totals: Totals, previous: Totals | None) -> Card:
    before = previous.error_rate if previous else None
    return Card(
        "Error Rate",
        figures.percent(totals.error_rate),
        change_in_points(totals.error_rate, before, "bad") if previous else None,
        (("Failed", figures.compact(totals.errors)),),
        (
            Fact("Messages", figures.count(totals.requests)),
            _count("Failed", totals.errors, totals.requests),
            _count("Answered", totals.requests - totals.errors, totals.requests),
            *_before(previous, lambda t: f"{figures.count(t.errors)} failed, {figures.percent(t.error_rate)}"),
        ),
    )
