"""Conversion of one event of JSON Lines or CSV to a call. The columns are those of ``analytics.export.export``.

``timestamp`` is required. A successful call also needs a model, and the token counts that COUNTED lists for its
operation. All other columns are optional. Costs are ignored, because the ledger computes them; only
``reported_cost_usd`` is kept, to be compared.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar, cast

from groq_client.call import MAX_COUNT, Attribution, Call, RateLimit, ToolUse, Usage, UsagePart
from groq_client.call import Operation as OperationName
from groq_client.call import Status as StatusName
from groq_client.executed_tools import MAX_TOOLS, canonical_name
from groq_client.usage import consistent
from ledger.event_columns import COLUMNS
from ledger.importing import RefusedError
from ledger.importing.values import Object, choice, count, decimal, flag, identifier, name_of, shown, subset, text, time
from ledger.models import Operation, Status
from ledger.recording.event_row import MAX_INT

KNOWN = frozenset(COLUMNS)
COUNTED = {
    "chat": ("input_tokens", "output_tokens"),
    "batch": ("input_tokens", "output_tokens"),
    "embedding": ("input_tokens",),
}
"""The token counts that a successful call must have, by operation."""
OPERATIONS, STATUSES = tuple(Operation.values), tuple(Status.values)
MAX_MS = 10**9
MAX_BIGINT = 2**63 - 1
MAX_DOLLARS = 10**9
ZERO = Decimal(0)
RATE_LIMITS = tuple(RateLimit.__dataclass_fields__)
NO_RATE_LIMIT = RateLimit()

Number = TypeVar("Number", int, Decimal)
StableId = Callable[[datetime, str], str]
"""A function that makes a request id from a call's start and its line's content. The id is the same each time the file
is imported."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values for lines that do not have their own. ``at`` and ``model`` are only for lines of a Groq batch."""

    organization: str
    project: str = ""
    user: str = ""
    at: datetime | None = None
    model: str = ""


def call_of(line: Object, defaults: Defaults, now: datetime, stable_id: StableId) -> Call:
    """The call of one line. RefusedError if a required value is missing, or a value is impossible."""
    operation = choice(line, "operation", OPERATIONS, "chat")
    status = choice(line, "status", STATUSES, "success")
    started_at = time(line, "timestamp", now)
    if started_at is None:
        raise RefusedError("timestamp is missing.", "timestamp")
    model, asked = identifier(line, "model"), identifier(line, "model_requested")
    if status == "success":
        missing = [name for name in COUNTED.get(operation, ()) if line.get(name) is None]
        if missing or not (model or asked):
            missing = missing or ["model"]
            raise RefusedError(f"{', '.join(missing)} is missing.", missing[0])
    return Call(
        operation=cast("OperationName", operation),
        model_requested=asked or model,
        stream=flag(line, "stream"),
        attribution=_attribution(line, defaults),
        provider=identifier(line, "provider") or "groq",
        request_id=identifier(line, "request_id") or stable_id(started_at, canonical(line)),
        started_at=started_at,
        model=model,
        provider_request_id=identifier(line, "provider_request_id"),
        response_id=identifier(line, "response_id"),
        status=cast("StatusName", status),
        error_code=text(line, "error_code"),
        error_message=text(line, "error_message"),
        http_status=count(line, "http_status", 999),
        attempts=_or(count(line, "attempts", 32_767), 1),
        latency_ms=count(line, "latency_ms", MAX_INT) or 0,
        ttft_ms=count(line, "ttft_ms", MAX_INT),
        service_tier=text(line, "service_tier"),
        usage=_usage(line),
        reported_cost_usd=decimal(line, "reported_cost_usd", MAX_DOLLARS),
        rate_limit=_rate_limit(line),
    )


def canonical(line: Object) -> str:
    """The line's content in one form that does not depend on spaces or on the order of columns."""
    return json.dumps(line, sort_keys=True, separators=(",", ":"))


def _attribution(line: Object, defaults: Defaults) -> Attribution:
    metadata = line.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise RefusedError("metadata must be a JSON object.", "metadata")
    return Attribution(
        organization=name_of(line, "organization") or defaults.organization,
        project=name_of(line, "project") or defaults.project,
        user=name_of(line, "user") or defaults.user,
        expert_id=identifier(line, "expert_id"),
        template_id=identifier(line, "template_id"),
        feature=identifier(line, "feature"),
        session_id=identifier(line, "session_id"),
        metadata=metadata or {},
    )


def _rate_limit(line: Object) -> RateLimit:
    if line.keys().isdisjoint(RATE_LIMITS):  # as in most lines
        return NO_RATE_LIMIT
    return RateLimit(**{name: count(line, name, MAX_BIGINT) for name in RATE_LIMITS})


def _usage(line: Object) -> Usage:
    read = count(line, "input_tokens", MAX_COUNT) or 0
    written = count(line, "output_tokens", MAX_COUNT) or 0
    usage = Usage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=count(line, "total_tokens", 2 * MAX_COUNT) or read + written,
        cached_tokens=subset(line, "cached_tokens", MAX_COUNT, of="input_tokens"),
        reasoning_tokens=subset(line, "reasoning_tokens", MAX_COUNT, of="output_tokens"),
        audio_seconds=_or(decimal(line, "audio_seconds", MAX_COUNT - 1), ZERO),
        characters=count(line, "characters", MAX_COUNT) or 0,
        estimated=flag(line, "tokens_estimated"),
        queue_ms=_milliseconds(line, "queue_ms"),
        prompt_ms=_milliseconds(line, "prompt_ms"),
        completion_ms=_milliseconds(line, "completion_ms"),
        parts=_parts(line.get("usage_breakdown")),
        tools=_tools(line.get("tools")),
    )
    return consistent(usage)


def _parts(breakdown: object) -> tuple[UsagePart, ...]:
    """The parts of a compound call, as the export lists them, without their costs."""
    if breakdown is None:
        return ()
    if not isinstance(breakdown, list) or not all(isinstance(part, dict) for part in breakdown):
        raise RefusedError(f"usage_breakdown must be a list of objects, not {shown(breakdown)}.", "usage_breakdown")
    try:
        return tuple(UsagePart(identifier(part, "model"), _usage(part)) for part in breakdown)
    except RefusedError as error:
        raise RefusedError(f"usage_breakdown: {error}", "usage_breakdown") from None


def _tools(uses: object) -> tuple[ToolUse, ...]:
    """The uses of each built-in tool, as the export lists them. Several names of one tool are counted together."""
    if uses is None:
        return ()
    if not isinstance(uses, dict):
        raise RefusedError(f"tools must be an object of names and uses, not {shown(uses)}.", "tools")
    if len(uses) > MAX_TOOLS:
        raise RefusedError(f"tools has more than {MAX_TOOLS} names.", "tools")
    found: Counter[str] = Counter()
    for name in uses:
        known = canonical_name(name)
        if not known:
            raise RefusedError(f"tools has {shown(name)}, which is no name of a tool.", "tools")
        found[known] += count(uses, name, MAX_COUNT) or 0
    return tuple(ToolUse(name, number) for name, number in sorted(found.items()) if number)


def _milliseconds(line: Object, name: str) -> float | None:
    value = decimal(line, name, MAX_MS)
    return None if value is None else float(value)


def _or(value: Number | None, default: Number) -> Number:
    return default if value is None else value
