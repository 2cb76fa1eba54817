"""The cost of a recorded call, at the price in force when the call started."""

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from groq_client.call import Call, Usage
from pricing.book import PriceBook
from pricing.cost import Charge, billing_tier, cost, rounded, tool_charges, total_cost
from pricing.models import Price


class EventCost(NamedTuple):
    """The cost of a call, the price version that was used, and the cost of each model in a compound call."""

    cost_usd: Decimal | None
    price_id: int | None = None
    breakdown: list[dict[str, str | int | None]] | None = None
    tool_price_id: int | None = None
    """The price version for built-in tools, which belongs to the called model."""
    tool_cost_usd: Decimal = Decimal(0)
    """The part of ``cost_usd`` that built-in tools cost, rounded separately."""
    without_tool_fees: bool = False
    """True if the cost is known but incomplete, because a tool that was used has no rate."""

    @property
    def is_whole(self) -> bool:
        """Whether the cost is known and complete."""
        return self.cost_usd is not None and not self.without_tool_fees


def event_cost(call: Call, organization_id: int, book: PriceBook) -> EventCost:
    """The cost at the prices in force when the call started."""

    def price_of(model: str) -> Price | None:
        return book.in_force(call.provider, model, organization_id, call.started_at)

    tool_price = price_of(call.model or call.model_requested) if call.usage.tools else None
    return cost_at(call, price_of, tool_price)


def cost_at(call: Call, price_of: Callable[[str], Price | None], tool_price: Price | None) -> EventCost:
    """The cost of a call: ``price_of`` gives the price of each model, ``tool_price`` the rates of built-in tools.

    A compound call costs the sum of its parts, each at the price of its own model. A call that failed before it used
    anything costs 0, even if its model has no price. The cost of audio of unknown length is None, because such a call
    is not free. If a built-in tool has no rate, the cost is marked ``without_tool_fees``.
    """
    if _is_of_unknown_length(call):
        return EventCost(None)
    tier = billing_tier(call.operation, call.service_tier)
    if tool_price is not None and not tool_price.enabled:
        tool_price = None
    rates = tool_price.tool_rates if tool_price is not None else {}
    tools = tool_charges(uses_of(call.usage), rates) if call.usage.tools else ()
    parts = [(part, price_of(part.model)) for part in call.usage.parts]
    price = None if parts else price_of(call.model or call.model_requested)
    charged = [(part.usage, its) for part, its in parts] or [(call.usage, price)]
    total = total_cost(charged, tools=tools, service_tier=tier)
    if total is None and call.status == "error" and not _used_anything(call.usage):
        total, price = Decimal(0), None
    is_known = total is not None
    return EventCost(
        total,
        price.pk if price is not None and is_known else None,
        [_part(part.model, part.usage, its, tier) for part, its in parts] if parts else None,
        tool_price.pk if tool_price is not None and tools else None,
        _dollars(tools) if is_known and tools else Decimal(0),
        is_known and any(tool.rate is None for tool in tools),
    )


def _dollars(tools: Iterable[Charge]) -> Decimal:
    return rounded(sum((tool.dollars or Fraction(0) for tool in tools), Fraction(0)))


def uses_of(usage: Usage) -> dict[str, int]:
    """The number of uses of each built-in tool, by its name."""
    uses: Counter[str] = Counter()
    for tool in usage.tools:
        uses[tool.name] += tool.uses
    return dict(+uses)


def _part(model: str, usage: Usage, price: Price | None, service_tier: str) -> dict[str, str | int | None]:
    """One model's share of a compound call, as the event stores it. Money is text, since JSON numbers are not exact."""
    own_cost = cost(usage, price, service_tier=service_tier)
    return {
        "model": model,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost_usd": None if own_cost is None else str(own_cost),
        "price_id": price.pk if price else None,
    }


def _is_of_unknown_length(call: Call) -> bool:
    """Whether Groq processed audio whose length neither Groq nor the client could tell.

    In a batch, such audio is the only usage that is marked as estimated while all its amounts are 0.
    """
    if call.operation == "batch":
        return call.usage.estimated and not _used_anything(call.usage)
    was_heard = call.status == "success" or call.usage.estimated
    return call.operation in ("transcription", "translation") and was_heard and not call.usage.audio_seconds


def _used_anything(usage: Usage) -> bool:
    amounts = (usage.input_tokens, usage.output_tokens, usage.audio_seconds, usage.characters, usage.tools)
    return any(amounts)
