"""What the same traffic would have cost on another model, or at a price that somebody types in.

Only for those who may see costs: the names of all fields contain "cost", and ``analytics.filters`` drops such names for
everybody else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from analytics import figures
from analytics.charts import tone
from analytics.filters import MODEL, Filters
from analytics.model_prices import PriceOf
from analytics.reports import ModelUsage
from analytics.reports.names import NONE_LABEL
from pricing.cost import EXACT, Rates, charges, cost, total_cost
from pricing.fields import DollarField, validate_money
from pricing.models import validate_rate

FIELDS = ("cost_of", "cost_on", "cost_input", "cost_output", "cost_cached", "cost_per")
TYPED = {"cost_input": "Input $", "cost_output": "Output $", "cost_cached": "Cached input $ (empty: as input)"}
PER = {"1m": "$ per 1M tokens", "1k": "$ per 1k tokens"}
THOUSANDS_AS_EXPONENT = {"1m": -3, "1k": 0}
"""A price for so many tokens, as one for a thousand: times ten to this."""
MULTIPLES_FROM = 10
TOO_MUCH = "At least $0 and at most $1,000 for 1k tokens, which is $1,000,000 for 1M."
TOO_FINE = "No price is that fine: at most 9 decimals for 1k tokens, 6 for 1M."
ABSENT = "Type a price (0 is one), or choose a model above."
BOTH = "Choose a model or type a price, not both."
UNITS = {"input": "input", "cached": "cached input", "output": "output", "audio": "audio", "characters": "characters"}


@dataclass(slots=True)
class TypedPrice:
    """A price for tokens that nobody is charged at."""

    input_usd_per_1k_tokens: Decimal | None
    output_usd_per_1k_tokens: Decimal | None
    cached_input_usd_per_1k_tokens: Decimal | None
    enabled: bool = True
    audio_usd_per_hour: Decimal | None = None
    audio_minimum_seconds: int = 0
    usd_per_1k_characters: Decimal | None = None


class WhatIfForm(forms.Form):
    """Which traffic, and at what price. Bound to the query string once something was asked; explains what is wrong."""

    def __init__(self, models: Sequence[ModelUsage], prices: PriceOf, asked: Filters) -> None:
        given = {name: value for name, value in asked.query.pairs if name in FIELDS}
        super().__init__(given or None, label_suffix="")
        self.state = asked.query.without(*FIELDS)
        self._prices = {name: price for name, price in prices.items() if price.enabled}
        traffic = [(MODEL.text(model.model), model.model or NONE_LABEL) for model in models]
        targets = [(name, name) for name in sorted(self._prices)]
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
        exponent = THOUSANDS_AS_EXPONENT[data.get("cost_per") or "1m"]
        for name in TYPED:
            if data.get(name) is not None:
                data[name] = data[name].scaleb(exponent, EXACT)
                self._check(name, data[name])
            elif name not in self.errors and name != "cost_cached":
                self.add_error(name, ABSENT)

    def _check(self, name: str, rate: Decimal) -> None:
        for validate, message in ((validate_rate, TOO_MUCH), (validate_money, TOO_FINE)):
            try:
                validate(rate)
            except ValidationError:
                self.add_error(name, message)
                return

    def price(self) -> Rates:
        """Of a valid form."""
        data = self.cleaned_data
        if data["cost_on"]:
            return self._prices[data["cost_on"]]
        return TypedPrice(data["cost_input"], data["cost_output"], data["cost_cached"])

    def traffic(self, models: Sequence[ModelUsage]) -> list[ModelUsage]:
        """Of a valid form."""
        wanted = self.cleaned_data["cost_of"]
        return [model for model in models if not wanted or MODEL.text(model.model) == wanted]


@dataclass(frozen=True, slots=True)
class Money:
    """US dollars that were charged and those that would have been."""

    actual: Decimal
    other: Decimal

    @property
    def difference(self) -> Decimal:
        return EXACT.subtract(self.other, self.actual)

    @property
    def size(self) -> Decimal:
        return abs(self.difference)

    @property
    def share(self) -> str:
        """How large the difference is for what was charged: in percent, or as a multiple where it is far more. Empty
        where nothing was charged."""
        if not self.actual:
            return ""
        share = self.size / self.actual
        return figures.percent(float(share)) if share < MULTIPLES_FROM else f"×{figures.compact(round(share + 1))}"


@dataclass(frozen=True, slots=True)
class Line:
    """The traffic of one model."""

    label: str
    tone: int
    money: Money
    unpriced: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A model that used what the other price has no rate for."""

    label: str
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WhatIf:
    money: Money
    lines: tuple[Line, ...]
    left_out: tuple[LeftOut, ...]
    unpriced: int
    """Messages that were charged nothing because they had no price, and are priced here."""


def what_if(traffic: Sequence[ModelUsage], price: Rates) -> WhatIf:
    """Exact, from the sums of each model. What has no rate is left out on both sides."""
    missing = {model.model: _units_without_rate(model, price) for model in traffic}
    moved = [model for model in traffic if not missing[model.model]]
    other = total_cost((model.totals, price) for model in moved)
    assert other is not None  # nothing is left without a rate
    return WhatIf(
        Money(sum((_actual(model) for model in moved), Decimal(0)), other),
        tuple(_line(model, price) for model in moved),
        tuple(LeftOut(model.model or NONE_LABEL, missing[model.model]) for model in traffic if missing[model.model]),
        sum(model.totals.unpriced for model in moved),
    )


def _line(model: ModelUsage, price: Rates) -> Line:
    other = cost(model.totals, price)
    assert other is not None
    return Line(model.model or NONE_LABEL, tone(model.model), Money(_actual(model), other), model.totals.unpriced)


def _units_without_rate(model: ModelUsage, price: Rates) -> tuple[str, ...]:
    return tuple(UNITS[charge.unit] for charge in charges(model.totals, price) if charge.rate is None)


def _actual(model: ModelUsage) -> Decimal:
    return model.totals.cost_usd or Decimal(0)


def _choice(label: str, choices: list[tuple[str, str]]) -> forms.ChoiceField:
    unknown = {"invalid_choice": "Choose one of the list: this one is not in it now."}
    return forms.ChoiceField(label=label, choices=choices, required=False, error_messages=unknown)
