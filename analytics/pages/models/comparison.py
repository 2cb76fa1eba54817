"""The comparison of two to four models side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from accounts.viewer import Viewer
from analytics.display import figures
from analytics.display.change import Change, Sentiment, change, change_in_points
from analytics.display.colors import colors_apart
from analytics.display.missing_cost import WITHOUT_TOOL_FEES
from analytics.filters.filters import Filters
from analytics.filters.query_string import QueryString
from analytics.pages.models.prices import label_of, text_of
from analytics.pages.models.table import PriceCell, price_of
from analytics.reports import ModelUsage
from analytics.reports.prices import PriceOf
from pricing.catalogue import Catalogue, Facts

SIDES = ("left", "right", "third", "fourth")
"""The names of the compared models in the query string. There are always the first two."""
ORDINALS = ("First", "Second", "Third", "Fourth")


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that can be compared; ``text`` stands for the model in the query string."""

    text: str
    label: str
    color: int
    usage: ModelUsage
    facts: Facts
    price: PriceCell | None


@dataclass(frozen=True, slots=True)
class Side:
    """A field of the form: its name, its label, and the model that is chosen; None for an empty third or fourth one."""

    name: str
    label: str
    chosen: Choice | None


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure of all compared models, and the differences of the others from the first."""

    name: str
    values: tuple[str, ...]
    differences: tuple[Change | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    choices: tuple[Choice, ...]
    sides: tuple[Side, ...]
    compared: tuple[Choice, ...]
    against: tuple[str, ...]
    """The headings of the differences."""
    rows: tuple[MeasureRow, ...]
    state: QueryString
    """The rest of the query string, which the form sends as hidden fields."""
    missing: tuple[str, ...]
    """Models in the query string that nobody knows, or that the viewer may not see. The page does not say which of the
    two it is."""


@dataclass(frozen=True, slots=True)
class Measure:
    name: str
    amount: Callable[["Choice"], Any]
    text: Callable[[Any], str]
    more_is: Sentiment = "neutral"
    about_cost: bool = False
    is_rate: bool = False
    """Whether the difference is shown in percentage points."""


def _each(total: int | Decimal | None, requests: int) -> Decimal | None:
    return None if total is None or not requests else Decimal(total) / requests


def _cost(side: Choice) -> Decimal | None:
    """The cost of the model's priced requests. None without priced requests, because unknown is not zero."""
    return side.usage.totals.cost_usd if side.usage.totals.priced else None


def _cost_each(side: Choice) -> Decimal | None:
    """The average cost of the priced requests."""
    return _each(side.usage.totals.cost_usd, side.usage.totals.priced)


MEASURES = (
    Measure("Context length", lambda s: s.facts.context_tokens, figures.count, "good"),
    Measure("Maximum output", lambda s: s.facts.max_output_tokens, figures.count, "good"),
    Measure("Requests", lambda s: s.usage.totals.requests, figures.count),
    Measure("Tokens", lambda s: s.usage.totals.total_tokens, figures.compact),
    Measure(
        "Tokens per request",
        lambda s: _each(s.usage.totals.total_tokens, s.usage.totals.requests),
        lambda v: figures.compact(round(v)),
    ),
    Measure("Cost of priced requests", _cost, figures.money, about_cost=True),
    Measure("Cost per priced request", _cost_each, figures.money, "bad", about_cost=True),
    Measure("Error rate", lambda s: s.usage.totals.error_rate, figures.percent, "bad", is_rate=True),
    Measure("Latency p50", lambda s: s.usage.p50, figures.duration, "bad"),
    Measure("Latency p95", lambda s: s.usage.p95, figures.duration, "bad"),
    Measure("Latency p99", lambda s: s.usage.p99, figures.duration, "bad"),
    Measure("First token", lambda s: s.usage.totals.avg_ttft_ms, figures.duration, "bad"),
    Measure("Tokens/s", lambda s: s.usage.tokens_per_second, figures.per_second, "good"),
    Measure("Last used", lambda s: s.usage.last_day, figures.day),
)


def comparison(
    models: Sequence[ModelUsage], prices: PriceOf, catalogue: Catalogue, filters: Filters, viewer: Viewer
) -> Comparison | None:
    """The comparison of the models in the query string. ``models`` are all that can be compared, those with the most
    requests first, which stand in for a missing first or second one. None unless the query string has a model that is
    known, or two models were used."""
    choices = _choices(models, prices, catalogue, viewer)
    wanted = {side: filters.query.first(side) for side in SIDES}
    known = {side: choices[text] for side, text in wanted.items() if text in choices}
    if len(choices) < 2 or (not known and len([model for model in models if model.totals.requests]) < 2):
        return None
    left = known.get("left") or _most_used(choices, but=known.get("right"))
    right = known.get("right") or _most_used(choices, but=left)
    chosen = (left, right, known.get("third"), known.get("fourth"))
    compared = tuple(choice for choice in chosen if choice is not None)
    return Comparison(
        choices=tuple(choices.values()),
        sides=tuple(Side(*side) for side in zip(SIDES, ORDINALS, chosen, strict=True)),
        compared=compared,
        against=tuple(f"{ordinal} against first" for ordinal in ORDINALS[1 : len(compared)]),
        rows=_rows(compared, viewer),
        state=filters.query.without(*SIDES),
        missing=tuple(text for text in wanted.values() if text and text not in choices),
    )


def compared_with(query: QueryString, text: str) -> QueryString:
    """The query string in which a model is compared as well: in the first free place, or else in the last one."""
    taken = [query.first(side) for side in SIDES]
    if text in taken:
        return query
    free = next((side for side, model in zip(SIDES, taken, strict=True) if not model), SIDES[-1])
    return query.replaced(free, (text,))


def _choices(models: Sequence[ModelUsage], prices: PriceOf, catalogue: Catalogue, viewer: Viewer) -> dict[str, Choice]:
    colors = colors_apart(model.model for model in models)
    made = (
        Choice(
            text=text_of(model.key),
            label=label_of(model.key),
            color=colors[model.model],
            usage=model,
            facts=catalogue.facts(*model.key),
            price=price_of(model, prices, catalogue) if viewer.sees_pricing and model.model else None,
        )
        for model in models
    )
    return {choice.text: choice for choice in made}


def _most_used(choices: dict[str, Choice], but: Choice | None) -> Choice:
    return next(choice for choice in choices.values() if choice is not but)


def _rows(sides: Sequence[Choice], viewer: Viewer) -> tuple[MeasureRow, ...]:
    shown = (measure for measure in MEASURES if viewer.sees_cost or not measure.about_cost)
    return tuple(_row(measure, sides) for measure in shown)


def _row(measure: Measure, sides: Sequence[Choice]) -> MeasureRow:
    first, *others = (measure.amount(side) for side in sides)
    differences = tuple(_difference(measure, first, other) for other in others)
    return MeasureRow(measure.name, tuple(_text(measure, side) for side in sides), differences)


def _text(measure: Measure, side: Choice) -> str:
    amount = measure.amount(side)
    if amount is None:
        return figures.NOTHING
    is_part = measure.about_cost and side.usage.totals.without_tool_fees
    return f"≥ {measure.text(amount)} {WITHOUT_TOOL_FEES}" if is_part else measure.text(amount)


def _difference(measure: Measure, first: Any, other: Any) -> Change | None:
    """The difference of another model from the first. None if a figure is absent or the first one is zero."""
    if measure.is_rate:
        return change_in_points(other, first, measure.more_is)
    are_amounts = isinstance(first, int | float | Decimal) and isinstance(other, int | float | Decimal)
    return change(other, first, measure.more_is) if are_amounts and first else None
