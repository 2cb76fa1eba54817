"""The what-if calculation: the cost of the same traffic on another model, or at a price that somebody types in.

Only viewers who may see costs can use it: the names of all fields contain "cost", and ``analytics.filters`` drops such
names for everybody else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from analytics.display import figures
from analytics.display.colors import colors_apart
from analytics.filters.filters import Filters
from analytics.pages.models.prices import label_of, text_of
from analytics.reports import ModelUsage
from analytics.reports.prices import PriceOf, has_rates
from pricing.cost import EXACT, NANO, Rates, Usage, charges, cost, total_cost
from pricing.fields import DollarField
from pricing.models import validate_typed_rate
from pricing.units import PER_1M, UNITS

FIELDS = ("cost_of", "cost_on", "cost_input", "cost_output", "cost_cached", "cost_per")
TYPED = {"cost_input": "Input $", "cost_output": "Output $", "cost_cached": "Cached input $ (empty: as input)"}
PER = {"1m": "$ per 1M tokens", "1k": "$ per 1k tokens"}
MULTIPLES_FROM = 10
ABSENT = "Type a price (0 is one), or choose a model above."
BOTH = "Choose a model or type a price, not both."
UNIT_NAMES = {
    "input": "input",
    "cached": "cached input",
    "output": "output",
    "audio": "audio",
    "characters": "characters",
}


@dataclass(slots=True)
class TypedPrice:
    """A price for tokens that somebody typed in; no call is charged at it."""

    input_usd_per_1k_tokens: Decimal | None
    output_usd_per_1k_tokens: Decimal | None
    cached_input_usd_per_1k_tokens: Decimal | None
    enabled: bool = True
    audio_usd_per_hour: Decimal | None = None
    audio_minimum_seconds: int = 0
    usd_per_1k_characters: Decimal | None = None


class WhatIfForm(forms.Form):
    """The choice of traffic and price. The form is unbound until the query string has one of its fields."""

    def __init__(self, models: Sequence[ModelUsage], prices: PriceOf, filters: Filters) -> None:
        given = {name: value for name, value in filters.query.pairs if name in FIELDS}
        super().__init__(given or None, label_suffix="")
        self.state = filters.query.without(*FIELDS)
        chargeable = {key: price for key, price in sorted(prices.items()) if price.enabled and has_rates(price)}
        self._prices = {text_of(key): price for key, price in chargeable.items()}
        traffic = [(text_of(model.key), label_of(model.key)) for model in models]
        targets = [(text_of(key), label_of(key)) for key in chargeable]
        self.fields["cost_of"] = _choice("Traffic", [("", "All models under these filters"), *traffic])
        self.fields["cost_on"] = _choice("At the price of", [("", "My own price, below"), *targets])
        self.fields["cost_per"] = _choice("My own price is in", list(PER.items()))
        for name, label in TYPED.items():
            self.fields[name] = DollarField(label=label, required=False)
        for name, field in self.fields.items():
            field.widget.attrs |= {"class": "input", "autocomplete": "off"}
            if name in self.errors:
                field.widget.attrs["aria-invalid"] = "true"

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        typed = [name for name in TYPED if self.data.get(name)]
        if data.get("cost_on"):
            if typed:
                self.add_error("cost_on", BOTH)
        elif "cost_on" not in self.errors:
            self._clean_typed(data)
        return data

    def _clean_typed(self, data: dict[str, Any]) -> None:
        unit = UNITS.get(data.get("cost_per") or "", PER_1M)
        for name in TYPED:
            if data.get(name) is not None:
                data[name] = unit.per_thousand(data[name])
                self._check(name, data[name])
            elif name not in self.errors and name != "cost_cached":
                self.add_error(name, ABSENT)

    def _check(self, name: str, rate: Decimal) -> None:
        try:
            validate_typed_rate(rate)
        except ValidationError as error:
            self.add_error(name, error)

    def price(self) -> Rates:
        """The price that a valid form chooses."""
        data = self.cleaned_data
        if data["cost_on"]:
            return self._prices[data["cost_on"]]
        return TypedPrice(data["cost_input"], data["cost_output"], data["cost_cached"])

    def traffic(self, models: Sequence[ModelUsage]) -> list[ModelUsage]:
        """The models whose traffic a valid form chooses."""
        wanted = self.cleaned_data["cost_of"]
        return [model for model in models if not wanted or text_of(model.key) == wanted]


@dataclass(frozen=True, slots=True)
class Money:
    """US dollars that were charged (``actual``) and that would have been charged at the other price (``other``)."""

    actual: Decimal
    other: Decimal
    requests: int
    """The number of requests, each of which was charged an amount that is rounded to a nano-dollar."""

    @property
    def difference(self) -> Decimal:
        """Zero if the roundings of the requests alone may make the difference, which are at most half a nano-dollar
        each."""
        exact = EXACT.subtract(self.other, self.actual)
        return exact if abs(exact) > NANO * (self.requests + 1) / 2 else Decimal(0)

    @property
    def size(self) -> Decimal:
        return abs(self.difference)

    @property
    def share(self) -> str:
        """The size of the difference relative to the actual cost, in percent or as a multiple if it is far larger.
        Empty if nothing was charged."""
        if not self.actual:
            return ""
        share = self.size / self.actual
        return figures.percent(float(share)) if share < MULTIPLES_FROM else f"×{figures.compact(round(share + 1))}"


@dataclass(frozen=True, slots=True)
class WhatIfRow:
    """The calculation for the traffic of one model."""

    label: str
    color: int
    money: Money
    without_tool_fees: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A model that is left out, because it used units for which the other price has no rate."""

    label: str
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WithoutPrice:
    """Requests that are left out on both sides, because some of their model on the same day had no price."""

    requests: int
    other: Decimal | None
    """Their cost at the other price; None if it lacks a rate for them."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    money: Money
    rows: tuple[WhatIfRow, ...]
    left_out: tuple[LeftOut, ...]
    without_price: WithoutPrice | None
    tool_fees: Decimal
    """The fees for built-in tools. Both sides include them, because they do not depend on the model."""
    without_tool_fees: int
    """The number of requests whose fees for tools are unknown. Both sides lack these fees."""


def what_if(traffic: Sequence[ModelUsage], price: Rates, without_price: Sequence[ModelUsage] = ()) -> WhatIf:
    """The exact calculation from the sums of each model. Models with a unit that has no rate are left out on both
    sides, as is the traffic ``without_price``; fees for built-in tools are included on both."""
    missing = {model.key: units_without_rate(model.totals, price) for model in traffic}
    moved = [model for model in traffic if not missing[model.key]]
    other = total_cost((model.totals, price) for model in moved)
    assert other is not None  # Every unit of these models has a rate.
    fees = sum((_tool_fees(model) for model in moved), Decimal(0))
    colors = colors_apart(model.model for model in traffic)
    return WhatIf(
        Money(sum((_actual(model) for model in moved), Decimal(0)), other + fees, _requests(moved)),
        tuple(_row(model, price, colors[model.model]) for model in moved),
        tuple(LeftOut(label_of(model.key), missing[model.key]) for model in traffic if missing[model.key]),
        _without_price(without_price, price),
        fees,
        sum(model.totals.without_tool_fees for model in moved),
    )


def _row(model: ModelUsage, price: Rates, color: int) -> WhatIfRow:
    other = cost(model.totals, price)
    assert other is not None
    money = Money(_actual(model), other + _tool_fees(model), model.totals.requests)
    return WhatIfRow(label_of(model.key), color, money, model.totals.without_tool_fees)


def _without_price(models: Sequence[ModelUsage], price: Rates) -> WithoutPrice | None:
    if not models:
        return None
    return WithoutPrice(_requests(models), total_cost((model.totals, price) for model in models))


def _requests(models: Sequence[ModelUsage]) -> int:
    return sum(model.totals.requests for model in models)


def units_without_rate(usage: Usage, price: Rates) -> tuple[str, ...]:
    """The names of the units that were used and for which the price has no rate."""
    return tuple(UNIT_NAMES[charge.unit] for charge in charges(usage, price) if charge.rate is None)


def _actual(model: ModelUsage) -> Decimal:
    return model.totals.cost_usd or Decimal(0)


def _tool_fees(model: ModelUsage) -> Decimal:
    return model.totals.tool_cost_usd or Decimal(0)


def _choice(label: str, choices: list[tuple[str, str]]) -> forms.ChoiceField:
    unknown = {"invalid_choice": "Choose one of the list: this one is not in it now."}
    return forms.ChoiceField(label=label, choices=choices, required=False, error_messages=unknown)
