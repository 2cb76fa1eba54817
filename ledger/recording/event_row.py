"""Conversion of a finished call to the values of its event row: its organization and person, local day and cost."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from accounts.directory import Whose
from groq_client.call import MAX_COUNT, Call, ToolUse, Usage
from groq_client.metadata import clean_metadata
from groq_client.names import identity
from groq_client.usage import consistent
from ledger.charging import event_cost, uses_of
from pricing.book import PriceBook
from pricing.fields import NANO, to_nano

Value = str | int | float | bool | Decimal | datetime | date | None
Row = tuple[Value, ...]

MAX_INT = 2**31 - 1
MAX_MESSAGE = 500
MAX_METADATA_BYTES = 1 << 20
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
    "expert_id", "template_id", "session_id", "provider_request_id", "response_id",
    "status", "error_code", "error_message", "http_status", "attempts", "stream",
    "input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens",
    "audio_seconds", "characters", "tokens_estimated",
    "latency_ms", "ttft_ms", "queue_ms", "prompt_ms", "completion_ms",
    "cost_usd", "price_id", "usage_breakdown", "service_tier",
    "limit_requests", "remaining_requests", "limit_tokens", "remaining_tokens", "metadata",
    "tool_uses", "tool_price_id", "tool_cost_usd", "without_tool_fees", "reported_cost_usd",
)  # fmt: skip
"""The columns of the event table in the order of a row's values. The first two are the unique key."""


class InvalidCallError(ValueError):
    """The call cannot be recorded; the message says which number is wrong."""


def event_row(call: Call, whose: Whose, book: PriceBook) -> Row:
    """The values of ``COLUMNS`` for one call. InvalidCallError if a count is negative or impossibly large.

    Counts that contradict each other are corrected and marked as estimated here, because every event passes through
    this function.
    """
    _check(call.usage)
    usage = consistent(call.usage)
    if usage is not call.usage:
        call = replace(call, usage=usage)
    who = call.attribution
    charged = event_cost(call, whose.organization_id, book)
    local = call.started_at.astimezone(_zone(whose.time_zone))
    limit = call.rate_limit
    return (
        whose.organization_id, identity(call.request_id), call.started_at, local.date(), local.hour,
        _name(call.provider, 50), _name(book.model_called(call.provider, call.model or call.model_requested)),
        _name(call.model_requested),
        call.operation, _name(who.feature or call.operation), whose.project_id, whose.user_id,
        _name(who.expert_id), _name(who.template_id), identity(who.session_id),
        identity(call.provider_request_id), identity(call.response_id),
        call.status, _name(call.error_code), _storable(call.error_message)[:MAX_MESSAGE], call.http_status,
        min(call.attempts, 32_767), call.stream,
        usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cached_tokens, usage.reasoning_tokens,
        _milliseconds(usage.audio_seconds), usage.characters, usage.estimated,
        min(max(call.latency_ms, 0), MAX_INT), call.ttft_ms, usage.queue_ms, usage.prompt_ms, usage.completion_ms,
        None if charged.cost_usd is None else to_nano(charged.cost_usd), charged.price_id, _json(charged.breakdown),
        _name(call.service_tier, 20),
        limit.limit_requests, limit.remaining_requests, limit.limit_tokens, limit.remaining_tokens,
        _metadata(who.metadata) if who.metadata else "{}",
        _json(uses_of(usage)) if usage.tools else "{}", charged.tool_price_id,
        to_nano(charged.tool_cost_usd) if charged.tool_cost_usd else 0,
        charged.without_tool_fees, _nano(call.reported_cost_usd),
    )  # fmt: skip


def _nano(reported: Decimal | None) -> int | None:
    """A cost of another program in nano-dollars, rounded half-even, like ours."""
    return None if reported is None else to_nano(reported.quantize(NANO, ROUND_HALF_EVEN))


def _check(usage: Usage) -> None:
    seconds = usage.audio_seconds
    counts = (
        usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cached_tokens, usage.reasoning_tokens,
        usage.characters,
    )  # fmt: skip
    if min(counts) < 0 or max(counts) > MAX_COUNT:
        for name, limit in LIMITS.items():
            if not 0 <= (value := getattr(usage, name)) <= limit:
                raise InvalidCallError(f"{name} is {value}; it must be between 0 and {limit}.")
    if seconds and not (seconds.is_finite() and 0 < seconds < MAX_COUNT):
        raise InvalidCallError(f"audio_seconds is {seconds}; it must be between 0 and {MAX_COUNT}.")
    for part in usage.parts:
        _check(part.usage)
    if usage.tools:
        _check_tools(usage.tools)


def _check_tools(tools: tuple[ToolUse, ...]) -> None:
    for tool in tools:
        if not 0 <= tool.uses <= MAX_COUNT:
            raise InvalidCallError(f"The tool {tool.name} has {tool.uses} uses; it must be between 0 and {MAX_COUNT}.")
    if sum(tool.uses for tool in tools) > MAX_COUNT:
        raise InvalidCallError(f"All tools together have more than {MAX_COUNT} uses.")


def _milliseconds(seconds: Decimal) -> Decimal:
    """The seconds rounded to milliseconds, as PostgreSQL rounds them in the column, so that sums fit stored values."""
    return seconds.quantize(MILLISECOND, ROUND_HALF_UP) if seconds else seconds


_zone = cache(ZoneInfo)


# Names are cached because they recur in many calls. Ids do not recur, so they are not cached.
_name = lru_cache(maxsize=10_000)(identity)


def _metadata(metadata: Mapping[str, Any]) -> str | None:
    """The metadata as JSON. If a value cannot be written as JSON, or the result is larger than MAX_METADATA_BYTES,
    ``clean_metadata`` replaces the bad values by a notice and keeps the others. Metadata from our client has been
    cleaned already, to a much smaller size."""
    try:
        text = _json(metadata)
    except Exception:
        text = None
    if text is None or len(text) > MAX_METADATA_BYTES:
        return _json(clean_metadata(metadata, MAX_METADATA_BYTES))
    return text


def _json(value: object) -> str | None:
    """JSON that a jsonb column can store. NUL and lone surrogates, which JSON writes as escapes, are removed."""
    if value is None:
        return None
    text = json.dumps(value, default=str, allow_nan=False)
    return json.dumps(_storable_json(json.loads(text))) if "\\u" in text else text


def _storable_json(value: object) -> object:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, list):
        return [_storable_json(item) for item in value]
    if isinstance(value, dict):
        return {identity(key, MAX_INT): _storable_json(item) for key, item in value.items()}
    return value


def _storable(text: str) -> str:
    """The text without NUL and lone surrogates, which PostgreSQL cannot store."""
    return text if text.isprintable() else text.replace("\0", "").encode("utf-8", "replace").decode()
