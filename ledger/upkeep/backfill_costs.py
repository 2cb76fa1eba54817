"""Computing the costs of events that were recorded without a price, at a price version that an operator chose."""

from collections.abc import Iterator, Sequence
from typing import Any

from groq_client.call import Call, ToolUse, Usage, UsagePart
from ledger.charging import EventCost, cost_at
from ledger.models import Status, UsageEvent
from pricing.models import Price

_TOOLS = ""
"""The key of the built-in tools in a mapping from models to versions. No model has an empty name."""


def costs_at(price: Price, events: Sequence[UsageEvent]) -> Iterator[tuple[UsageEvent, EventCost]]:
    """Each event with its new cost. Parts of a compound call that have a price version keep that version, and all other
    parts are charged at ``price``."""
    charged_at = [_charged_at(event) for event in events]
    versions = Price.objects.in_bulk({pk for ids in charged_at for pk in ids.values()})
    for event, ids in zip(events, charged_at, strict=True):
        prices = {model: versions[pk] for model, pk in ids.items()}
        tool_price = price if event.model == price.model else prices.get(_TOOLS)
        if event.cost_usd is None:
            prices[price.model] = price
        yield event, cost_at(_call(event), prices.get, tool_price)


def _charged_at(event: UsageEvent) -> dict[str, int]:
    """The ids of the versions at which an event and its parts were charged, by model."""
    shares = event.usage_breakdown or ()
    ids = {share["model"]: share["price_id"] for share in shares if share["cost_usd"] is not None}
    if event.price_id is not None:
        ids[event.model] = event.price_id
    if event.tool_price_id is not None:
        ids[_TOOLS] = event.tool_price_id
    return ids


def _call(event: UsageEvent) -> Call:
    """The event's call, with only the values that its cost depends on."""
    parts = tuple(
        UsagePart(
            share["model"],
            Usage(
                input_tokens=share["input_tokens"],
                output_tokens=share["output_tokens"],
                cached_tokens=share["cached_tokens"],
            ),
        )
        for share in event.usage_breakdown or ()
    )
    usage = Usage(
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        cached_tokens=event.cached_tokens,
        audio_seconds=event.audio_seconds,
        characters=event.characters,
        estimated=event.tokens_estimated,
        parts=parts,
        tools=tuple(ToolUse(name, uses) for name, uses in event.tool_uses.items()),
    )
    operation: Any = event.operation  # the type checker knows only that this is a str
    call = Call(operation, event.model_requested, provider=event.provider, started_at=event.timestamp, usage=usage)
    call.model, call.service_tier = event.model, event.service_tier
    call.status = "error" if event.status == Status.ERROR else "success"
    return call
