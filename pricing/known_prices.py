"""Groq's prices as they are known: from the package ``genai-prices``, and what that lacks from our own file."""

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

from pricing.models import Price

PROVIDER = "groq"
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
"""Prices without a known date start here, so that older calls can be priced as well."""
OWN_FILE = Path(__file__).parent / "data" / "groq_prices.json"
PER_MILLION_TO_PER_THOUSAND = Decimal("0.001")

# What genai-prices calls a price, what we call it, and what makes ours of theirs.
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
    """One version of a model's price. ``effective_from`` is None where it starts when it is entered."""

    model: str
    rates: Mapping[str, Decimal]
    effective_from: datetime | None = BEGINNING
    source_note: str = field(default="", compare=False)

    def as_price(self, now: datetime) -> Price:
        """A new row, everybody's, without an author."""
        start = self.effective_from or now
        note = self.source_note[:500]
        return Price(provider=PROVIDER, model=self.model, effective_from=start, source_note=note, **self.rates)


def rates_of(price: Price) -> dict[str, Decimal]:
    """A version's rates as ``KnownPrice`` has them, to compare the two."""
    return {name: value for name in Price.RATES if (value := getattr(price, name)) is not None}


def known_prices() -> dict[str, list[KnownPrice]]:
    """Each model's versions, the oldest first."""
    own = json.loads(OWN_FILE.read_text())
    versions: dict[str, list[KnownPrice]] = defaultdict(list)
    for known in _from_package():
        versions[known.model].append(known)
    for model, entry in own["missing"].items():
        versions.setdefault(model, [_from_own(model, entry)])
    for model, entry in own["earlier"].items():
        _put_before(versions[model], _from_own(model, entry), _midnight(date.fromisoformat(entry["until"])))
    for model, note in own["notes"].items():
        versions[model] = [replace(known, source_note=f"{known.source_note} {note}") for known in versions[model]]
    return dict(sorted(versions.items()))


def _from_package() -> Iterator[KnownPrice]:
    provider = next(provider for provider in providers if provider.id == PROVIDER)
    for info in provider.models:
        source = f"genai-prices {version('genai-prices')}; {info.price_comments or 'https://groq.com/pricing'}"
        for name in sorted({info.id, *_names(info.match)}):
            for start, price in _dated(info):
                yield KnownPrice(name, _rates(price.__dict__), start, source + _left_out(price))


def _left_out(price: types.ModelPrice) -> str:
    """A word about prices for units that we do not count, should there ever be some."""
    unknown = sorted(price.__dict__.keys() - RATES.keys() - SAME_AS_ANOTHER)
    return f" Not taken over: {', '.join(unknown)}." if unknown else ""


def _names(match: object) -> Iterator[str]:
    """The exact names among the rules by which the package recognises a model."""
    if isinstance(match, types.ClauseEquals):
        yield match.equals
    elif isinstance(match, types.ClauseOr):
        for clause in match.or_:
            yield from _names(clause)


def _dated(info: types.ModelInfo) -> Iterator[tuple[datetime, types.ModelPrice]]:
    """The prices with their start dates, the oldest first. Leaves out those by the time of day, which Groq has not."""
    if isinstance(info.prices, types.ModelPrice):
        yield BEGINNING, info.prices
        return
    for conditional in info.prices:
        if conditional.constraint is None:
            yield BEGINNING, conditional.prices
        elif isinstance(conditional.constraint, types.StartDateConstraint):
            yield _midnight(conditional.constraint.start_date), conditional.prices


def _rates(values: Mapping[str, Any]) -> dict[str, Decimal]:
    """In our names and units. Tiered prices, which Groq has none of, count as their first tier."""
    rates = {}
    for theirs, (ours, factor) in RATES.items():
        value = values.get(theirs)
        if value is not None:
            rates[ours] = (value.base if isinstance(value, types.TieredPrices) else value) * factor
    return rates


def _from_own(model: str, entry: Mapping[str, str]) -> KnownPrice:
    rates = _rates({theirs: Decimal(entry[ours]) for ours, theirs in OWN_RATES.items() if ours in entry})
    return KnownPrice(model, rates, BEGINNING, entry["note"])


def _put_before(versions: list[KnownPrice], earlier: KnownPrice, until: datetime) -> None:
    """Let an undated first version begin where an earlier one ends. The package may have learnt the dates itself."""
    if versions and versions[0].effective_from == BEGINNING and versions[0].rates != earlier.rates:
        versions[:1] = [earlier, replace(versions[0], effective_from=until)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
