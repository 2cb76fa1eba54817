"""The explanation of an event's cost: its charges, at the price versions that the event was charged at.

Only viewers who may see costs get to see it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ledger.models import UsageEvent
from pricing.cost import Charge, Usage, billing_tier, charges, rounded, tool_charges
from pricing.models import Price

Prices = Mapping[int, Price]


@dataclass(frozen=True, slots=True)
class Share:
    """The usage of one model of a compound call, from the event's ``usage_breakdown``."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One model's part in a call, or the built-in tools if another price version charged them. Most calls have one
    part."""

    model: str
    usage: Usage
    price: Price | None
    charges: tuple[Charge, ...]


def prices_of(events: Iterable[UsageEvent]) -> Prices:
    """The price versions that these events were charged at, by id; takes one query."""
    ids = {
        pk
        for event in events
        for pk in (event.price_id, event.tool_price_id, *(share["price_id"] for share in _breakdown(event)))
    }
    return Price.objects.select_related("organization", "author").in_bulk(ids - {None})


def parts_of(event: UsageEvent, prices: Prices) -> tuple[Part, ...]:
    """A part for each model of a compound call, or the one part of any other call. Built-in tools belong to the part
    whose price version charged them; otherwise they are a part of their own."""
    parts = _models_of(event, prices)
    tool_price = prices.get(event.tool_price_id or 0)
    tools = tool_charges(event.tool_uses, tool_price.tool_rates if tool_price else {})
    if not tools:
        return parts
    if not _breakdown(event) and tool_price == parts[0].price:
        return (replace(parts[0], charges=parts[0].charges + tools),)
    return (*parts, Part(event.model, Share(0, 0, 0), tool_price, tools))


def _models_of(event: UsageEvent, prices: Prices) -> tuple[Part, ...]:
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
    """The exact, unrounded dollars of the charges for these units, or for all units if none is named."""
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
