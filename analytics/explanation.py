"""How the cost of an event came about: its charges, at the price versions that it was charged at.

Only for those who may see costs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from analytics.models import UsageEvent
from pricing.cost import Charge, Usage, billing_tier, charges, rounded
from pricing.models import Price

Prices = Mapping[int, Price]


@dataclass(frozen=True, slots=True)
class Share:
    """What one model of a compound call used, as ``usage_breakdown`` keeps it."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One model's part in a call: the whole call, unless that was a compound one."""

    model: str
    usage: Usage
    price: Price | None
    charges: tuple[Charge, ...]


def prices_of(events: Iterable[UsageEvent]) -> Prices:
    """The versions that these events were charged at, by id; one query."""
    ids = {pk for event in events for pk in (event.price_id, *(share["price_id"] for share in _breakdown(event)))}
    return Price.objects.select_related("organization", "author").in_bulk(ids - {None})


def parts_of(event: UsageEvent, prices: Prices) -> tuple[Part, ...]:
    """The models of a compound call, or the only one of any other."""
    tier = billing_tier(event.operation, event.service_tier)
    breakdown = _breakdown(event)
    if not breakdown:
        return (_part(event.model, event, prices.get(event.price_id or 0), tier),)
    return tuple(
        _part(
            share["model"],
            Share(share["input_tokens"], share["output_tokens"], share["cached_tokens"]),
            prices.get(share["price_id"]),
            tier,
        )
        for share in breakdown
    )


def dollars_of(parts: Iterable[Part], *units: str) -> Fraction:
    """What these units cost together, exact and unrounded; all units unless some are named."""
    lines = (charge for part in parts for charge in part.charges if not units or charge.unit in units)
    return sum((charge.dollars or Fraction(0) for charge in lines), Fraction(0))


def explains(parts: Iterable[Part], event: UsageEvent) -> bool:
    """Whether the charges add up to the cost that was recorded."""
    return bool(rounded(dollars_of(parts)) == event.cost_usd)


def _part(model: str, usage: Usage, price: Price | None, tier: str) -> Part:
    if price is None or not price.enabled:
        return Part(model, usage, price, ())
    return Part(model, usage, price, charges(usage, price, service_tier=tier))


def _breakdown(event: UsageEvent) -> list[dict[str, Any]]:
    return event.usage_breakdown or []
