"""The known prices of a provider: from the package ``genai-prices``, and for Groq also from our own file."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types
from genai_prices.data import providers

from pricing.models import DEFAULT_PROVIDER, Price
from pricing.tool_rates import ToolRates

BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
"""Prices without a known date start here, so that older calls can be priced as well."""
OWN_FILE = Path(__file__).parent / "data" / "groq_prices.json"
PER_MILLION_TO_PER_THOUSAND = Decimal("0.001")

# The name of a rate in genai-prices, its name here, and the factor that converts their unit into ours.
RATES = {
    "input_mtok": ("input_usd_per_1k_tokens", PER_MILLION_TO_PER_THOUSAND),
    "output_mtok": ("output_usd_per_1k_tokens", PER_MILLION_TO_PER_THOUSAND),
    "cache_read_mtok": ("cached_input_usd_per_1k_tokens", PER_MILLION_TO_PER_THOUSAND),
    "audio_hours": ("audio_usd_per_hour", Decimal(1)),
    "input_mchars": ("usd_per_1k_characters", PER_MILLION_TO_PER_THOUSAND),
}
SAME_AS_ANOTHER = {"input_audio_hours"}
OWN_RATES = {"input": "input_mtok", "output": "output_mtok", "characters": "input_mchars"}


@dataclass(frozen=True)
class KnownPrice:
    """One version of a model's price. ``effective_from`` None means that it starts when it is entered."""

    model: str
    rates: Mapping[str, Decimal]
    effective_from: datetime | None = BEGINNING
    tool_rates: ToolRates = field(default_factory=dict)
    source_note: str = field(default="", compare=False)
    provider: str = DEFAULT_PROVIDER

    def as_price(self, now: datetime) -> Price:
        """A new, unsaved price for everybody, without an author."""
        start = self.effective_from or now
        note = self.source_note[:500]
        return Price(
            provider=self.provider,
            model=self.model,
            effective_from=start,
            source_note=note,
            tool_rates=dict(self.tool_rates),
            **self.rates,
        )

    def charges_like(self, price: Price) -> bool:
        """Whether the price has the same rates as this version."""
        rates = {name: value for name in Price.RATES if (value := getattr(price, name)) is not None}
        return rates == self.rates and price.tool_rates == self.tool_rates


class UnknownProviderError(ValueError):
    """genai-prices does not list this provider; the message names those that it lists."""


def known_prices(provider: str = DEFAULT_PROVIDER) -> dict[str, list[KnownPrice]]:
    """The known versions of each model of the provider, the oldest first."""
    versions: dict[str, list[KnownPrice]] = defaultdict(list)
    for known in _from_package(provider):
        versions[known.model].append(known)
    if provider == DEFAULT_PROVIDER:
        _complete(versions)
    return dict(sorted(versions.items()))


def _complete(versions: dict[str, list[KnownPrice]]) -> None:
    """Add the prices of our own file to those of the package."""
    own = json.loads(OWN_FILE.read_text())
    for model, entry in own["missing"].items():
        versions.setdefault(model, [_from_own(model, entry)])
    for model, entry in own["earlier"].items():
        _put_before(versions[model], _from_own(model, entry), _midnight(date.fromisoformat(entry["until"])))
    for model, entry in own["tools"].items():
        rates = {tool: Decimal(rate) for tool, rate in entry["rates"].items()}
        versions[model] = [
            replace(known, tool_rates=rates, source_note=f"{known.source_note} {entry['note']}".strip())
            for known in versions.get(model) or [KnownPrice(model, {})]
        ]
    for model, note in own["notes"].items():
        versions[model] = [replace(known, source_note=f"{known.source_note} {note}") for known in versions[model]]


def _from_package(name: str) -> Iterator[KnownPrice]:
    provider = next((provider for provider in providers if provider.id == name), None)
    if provider is None:
        names = ", ".join(sorted(provider.id for provider in providers))
        raise UnknownProviderError(f"genai-prices knows no provider {name!r}, only {names}.")
    for info in provider.models:
        page = (provider.pricing_urls or ["https://groq.com/pricing"])[0]
        source = f"genai-prices {version('genai-prices')}; {info.price_comments or page}"
        for model in sorted({info.id, *exact_names(info.match)}):
            for start, price in _dated(info):
                if rates := _rates(price.__dict__):
                    yield KnownPrice(model, rates, start, source_note=source + _left_out(price), provider=name)


def _left_out(price: types.ModelPrice) -> str:
    """A note about what the ledger does not charge: rates for units that it does not count, and higher rates for long
    prompts; empty if there is neither."""
    values = {name: value for name, value in price.__dict__.items() if value is not None}
    unknown = sorted(values.keys() - RATES.keys() - SAME_AS_ANOTHER)
    note = f" Not taken over: {', '.join(unknown)}." if unknown else ""
    is_tiered = any(isinstance(value, types.TieredPrices) for value in values.values())
    return f"{note} Long prompts cost more, which is not taken over." if is_tiered else note


def exact_names(match: object) -> Iterator[str]:
    """The exact names among the rules by which genai-prices recognises a model."""
    if isinstance(match, types.ClauseEquals):
        yield match.equals
    elif isinstance(match, types.ClauseOr):
        for clause in match.or_:
            yield from exact_names(clause)


def _dated(info: types.ModelInfo) -> Iterator[tuple[datetime, types.ModelPrice]]:
    """The prices with their start dates, the oldest first. Prices by the time of day are left out."""
    if isinstance(info.prices, types.ModelPrice):
        yield BEGINNING, info.prices
        return
    for conditional in info.prices:
        if conditional.constraint is None:
            yield BEGINNING, conditional.prices
        elif isinstance(conditional.constraint, types.StartDateConstraint):
            yield _midnight(conditional.constraint.start_date), conditional.prices


def _rates(values: Mapping[str, Any]) -> dict[str, Decimal]:
    """The rates in our names and units. Of a tiered price the first tier counts."""
    rates = {}
    for theirs, (ours, factor) in RATES.items():
        value = values.get(theirs)
        if value is not None:
            rates[ours] = (value.base if isinstance(value, types.TieredPrices) else value) * factor
    return rates


def _from_own(model: str, entry: Mapping[str, str]) -> KnownPrice:
    rates = _rates({theirs: Decimal(entry[ours]) for ours, theirs in OWN_RATES.items() if ours in entry})
    return KnownPrice(model, rates, BEGINNING, source_note=entry["note"])


def _put_before(versions: list[KnownPrice], earlier: KnownPrice, until: datetime) -> None:
    """Put ``earlier`` before an undated first version, which then begins at ``until``. Nothing changes if the first
    version has a date or the same rates, because then the package knows the earlier price itself."""
    if versions and versions[0].effective_from == BEGINNING and versions[0].rates != earlier.rates:
        versions[:1] = [earlier, replace(versions[0], effective_from=until)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
