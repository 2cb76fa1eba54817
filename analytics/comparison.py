"""Two models side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from accounts.viewer import Viewer
from analytics import figures
from analytics.cards import Change, Tone, change, change_in_points
from analytics.charts import tone
from analytics.filters import MODEL, Filters
from analytics.model_prices import PriceOf
from analytics.model_table import PriceCell, price_cell
from analytics.query import Query
from analytics.reports import ModelUsage
from analytics.reports.names import NONE_LABEL

SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that can be compared; its text is the one in the query string."""

    text: str
    label: str
    tone: int
    usage: ModelUsage
    price: PriceCell | None


@dataclass(frozen=True, slots=True)
class Line:
    """One measure of both, and how the second differs from the first."""

    name: str
    left: str
    right: str
    difference: Change | None


@dataclass(frozen=True, slots=True)
class Comparison:
    choices: tuple[Choice, ...]
    left: Choice
    right: Choice
    lines: tuple[Line, ...]
    state: Query
    """What the form sends along."""
    missing: tuple[str, ...]
    """Models that were asked for and were not used in the range, or that the viewer may not see: no telling which."""


@dataclass(frozen=True, slots=True)
class Measure:
    name: str
    amount: Callable[[ModelUsage], Any]
    text: Callable[[Any], str]
    more_is: Tone = "neutral"
    about_cost: bool = False
    is_rate: bool = False
    """Its difference is told in percentage points."""


def _each(total: int | Decimal | None, messages: int) -> Decimal | None:
    return None if total is None or not messages else Decimal(total) / messages


def _cost(model: ModelUsage) -> Decimal | None:
    """None where nothing has a price: that is no zero."""
    return model.totals.cost_usd if model.totals.unpriced < model.totals.requests else None


def _cost_each(model: ModelUsage) -> Decimal | None:
    """Of the messages that have a cost."""
    return _each(model.totals.cost_usd, model.totals.requests - model.totals.unpriced)


MEASURES = (
    Measure("Messages", lambda m: m.totals.requests, figures.count),
    Measure("Tokens", lambda m: m.totals.total_tokens, figures.compact),
    Measure(
        "Tokens per message",
        lambda m: _each(m.totals.total_tokens, m.totals.requests),
        lambda v: figures.compact(round(v)),  # there is no model without messages
    ),
    Measure("Cost of priced messages", _cost, figures.money, about_cost=True),
    Measure("Cost per priced message", _cost_each, figures.money, "bad", about_cost=True),
    Measure("Error rate", lambda m: m.totals.error_rate, figures.percent, "bad", is_rate=True),
    Measure("Latency p50", lambda m: m.p50, figures.duration, "bad"),
    Measure("Latency p95", lambda m: m.p95, figures.duration, "bad"),
    Measure("Latency p99", lambda m: m.p99, figures.duration, "bad"),
    Measure("First token", lambda m: m.totals.avg_ttft_ms, figures.duration, "bad"),
    Measure("Tokens/s", lambda m: m.tokens_per_second, figures.per_second, "good"),
    Measure("Last used", lambda m: m.last_day, figures.day),
)


def comparison(models: Sequence[ModelUsage], prices: PriceOf, asked: Filters, viewer: Viewer) -> Comparison | None:
    """The two that were asked for, else those with the most requests. None where there are no two."""
    if len(models) < 2:
        return None
    choices = {MODEL.text(model.model): _choice(model, prices, viewer) for model in models}
    wanted = {side: next(iter(asked.query.values(side)), "") for side in SIDES}
    left = choices.get(wanted["left"]) or _most_used(choices, but=choices.get(wanted["right"]))
    right = choices.get(wanted["right"]) or _most_used(choices, but=left)
    missing = tuple(text for text in wanted.values() if text and text not in choices)
    lines, state = _lines(left.usage, right.usage, viewer), asked.query.without(*SIDES)
    return Comparison(tuple(choices.values()), left, right, lines, state, missing)


def _choice(model: ModelUsage, prices: PriceOf, viewer: Viewer) -> Choice:
    price = price_cell(prices.get(model.model)) if viewer.sees_pricing and model.model else None
    return Choice(MODEL.text(model.model), model.model or NONE_LABEL, tone(model.model), model, price)


def _most_used(choices: dict[str, Choice], but: Choice | None) -> Choice:
    return next(choice for choice in choices.values() if choice is not but)


def _lines(left: ModelUsage, right: ModelUsage, viewer: Viewer) -> tuple[Line, ...]:
    shown = (measure for measure in MEASURES if viewer.sees_cost or not measure.about_cost)
    return tuple(_line(measure, measure.amount(left), measure.amount(right)) for measure in shown)


def _line(measure: Measure, left: Any, right: Any) -> Line:
    return Line(measure.name, measure.text(left), measure.text(right), _difference(measure, left, right))


def _difference(measure: Measure, left: Any, right: Any) -> Change | None:
    """None where one of them has no such figure, or there is nothing to compare it with."""
    if measure.is_rate:
        return change_in_points(right, left, measure.more_is)
    return change(right, left, measure.more_is) if isinstance(left, int | float | Decimal) and left else None
