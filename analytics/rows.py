"""From a finished call to the values of its event row: whose it is, which day it belongs to, what it costs."""

import json
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from accounts.directory import Whose
from groq_client.call import MAX_COUNT, Call, Usage
from pricing.book import PriceBook
from pricing.cost import billing_tier, cost, total_cost
from pricing.fields import to_nano
from pricing.models import Price

Value = str | int | float | bool | Decimal | datetime | date | None
Row = tuple[Value, ...]

MAX_INT = 2**31 - 1
MILLISECOND = Decimal("0.001")
LIMITS = {
    "input_tokens": MAX_COUNT,
    "output_tokens": MAX_COUNT,
    "total_tokens": 2 * MAX_COUNT,
    "cached_tokens": MAX_COUNT,
    "reasoning_tokens": MAX_COUNT,
    "characters": MAX_COUNT,
}

COLUMNS = (
    "organization_id", "request_id", "timestamp", "day", "hour",
    "provider", "model", "model_requested", "operation", "feature", "project_id", "user_id",
    "expert_id", "template_id", "session_id", "provider_request_id",
    "status", "error_code", "error_message", "http_status", "attempts", "stream",
    "input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens",
    "audio_seconds", "characters", "tokens_estimated",
    "latency_ms", "ttft_ms", "queue_ms", "prompt_ms", "completion_ms",
    "cost_usd", "price_id", "usage_breakdown", "service_tier",
    "limit_requests", "remaining_requests", "limit_tokens", "remaining_tokens", "metadata",
)  # fmt: skip
"""Of the event table, in the order of a row's values. The first two are its key."""


class InvalidCallError(ValueError):
    """A call that cannot be recorded as it is; the message says which number is wrong."""


class Charge(NamedTuple):
    """What a call costs, at which version, and how a compound call's cost divides."""

    cost_usd: Decimal | None
    price_id: int | None = None
    breakdown: list[dict[str, str | int | None]] | None = None


def event_row(call: Call, whose: Whose, book: PriceBook) -> Row:
    """The values of ``COLUMNS`` for one call. InvalidCallError if a count is negative or beyond all reason."""
    usage = call.usage
    _check(usage)
    who = call.attribution
    charge = charge_of(call, whose.organization_id, book)
    local = call.started_at.astimezone(_zone(whose.time_zone))
    limit = call.rate_limit
    return (
        whose.organization_id, storable(call.request_id), call.started_at, local.date(), local.hour,
        _name(call.provider, 50), _name(call.model or call.model_requested), _name(call.model_requested),
        call.operation, _name(who.feature or call.operation), whose.project_id, whose.user_id,
        _name(who.expert_id), _name(who.template_id), storable(who.session_id),
        storable(call.provider_request_id),
        call.status, _name(call.error_code), storable(call.error_message, 500), call.http_status,
        min(call.attempts, 32_767), call.stream,
        usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cached_tokens, usage.reasoning_tokens,
        _milliseconds(usage.audio_seconds), usage.characters, usage.estimated,
        min(max(call.latency_ms, 0), MAX_INT), call.ttft_ms, usage.queue_ms, usage.prompt_ms, usage.completion_ms,
        None if charge.cost_usd is None else to_nano(charge.cost_usd), charge.price_id, _json(charge.breakdown),
        _name(call.service_tier, 20),
        limit.limit_requests, limit.remaining_requests, limit.limit_tokens, limit.remaining_tokens,
        _json(who.metadata) if who.metadata else "{}",
    )  # fmt: skip


def charge_of(call: Call, organization_id: int, book: PriceBook) -> Charge:
    """The cost at the prices in force when the call started.

    A compound call is the sum of its parts, each at its own model's price. A call that failed before it used
    anything cost nothing, whether or not its model has a price. Audio of unknown length has no cost: it was not free.
    """

    def price_of(model: str) -> Price | None:
        return book.in_force(call.provider, model, organization_id, call.started_at)

    if _is_of_unknown_length(call):
        return Charge(None)
    tier = billing_tier(call.operation, call.service_tier)
    if call.usage.parts:
        priced = [(part, price_of(part.model)) for part in call.usage.parts]
        total = total_cost([(part.usage, price) for part, price in priced], service_tier=tier)
        return Charge(total, None, [_part(part.model, part.usage, price, tier) for part, price in priced])
    price = price_of(call.model or call.model_requested)
    total = cost(call.usage, price, service_tier=tier)
    if total is None and call.status == "error" and not _used_anything(call.usage):
        return Charge(Decimal(0))
    return Charge(total, price.pk if price is not None and total is not None else None)


def _part(model: str, usage: Usage, price: Price | None, service_tier: str) -> dict[str, str | int | None]:
    """One model's share as it is kept with the event; money as text, since JSON numbers are not exact."""
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
    """Whether Groq heard audio whose length neither it nor the client could tell."""
    was_heard = call.status == "success" or call.usage.estimated
    return call.operation in ("transcription", "translation") and was_heard and not call.usage.audio_seconds


def _used_anything(usage: Usage) -> bool:
    return bool(usage.input_tokens or usage.output_tokens or usage.audio_seconds or usage.characters)


def _check(usage: Usage) -> None:
    seconds = usage.audio_seconds
    if min(counts := [getattr(usage, name) for name in LIMITS]) < 0 or max(counts) > MAX_COUNT:
        for name, limit in LIMITS.items():
            if not 0 <= (value := getattr(usage, name)) <= limit:
                raise InvalidCallError(f"{name} is {value}; it must be between 0 and {limit}.")
    if seconds and not (seconds.is_finite() and 0 < seconds < MAX_COUNT):
        raise InvalidCallError(f"audio_seconds is {seconds}; it must be between 0 and {MAX_COUNT}.")
    for part in usage.parts:
        _check(part.usage)


def _milliseconds(seconds: Decimal) -> Decimal:
    """As PostgreSQL would round it to its column: so are the sums of the rounded."""
    return seconds.quantize(MILLISECOND, ROUND_HALF_UP) if seconds else seconds


_zone = cache(ZoneInfo)


def storable(value: str, limit: int = 200) -> str:
    """The text without what PostgreSQL cannot store (NUL, lone surrogates), cut to its column."""
    if not value.isprintable():
        value = value.replace("\0", "").encode("utf-8", "replace").decode()
    return value[:limit]


# Names come again and again; ids do not, and are not remembered.
_name = lru_cache(maxsize=10_000)(storable)


def _json(value: object) -> str | None:
    """JSON that a jsonb column takes: without NUL and lone surrogates, which hide behind escapes."""
    if value is None:
        return None
    text = json.dumps(value, default=str)
    return json.dumps(_storable_json(json.loads(text))) if "\\u" in text else text


def _storable_json(value: object) -> object:
    if isinstance(value, str):
        return storable(value, MAX_INT)
    if isinstance(value, list):
        return [_storable_json(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): _storable_json(item) for key, item in value.items()}
    return value
