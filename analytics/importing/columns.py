"""One event of JSON Lines or CSV as a call. The columns are those that ``analytics.export`` writes.

``timestamp`` and, for what is counted in tokens, ``model``, ``input_tokens`` and ``output_tokens`` have to be there;
everything else is optional. Costs are never taken from a file: the ledger computes them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar, cast

from analytics.export import COLUMNS
from analytics.importing import RefusedError
from analytics.importing.values import Object, choice, count, decimal, flag, shown, text, time
from analytics.models import Operation, Status
from analytics.rows import MAX_INT
from groq_client.call import MAX_COUNT, Attribution, Call, RateLimit, Usage, UsagePart
from groq_client.call import Operation as OperationName
from groq_client.call import Status as StatusName

KNOWN = frozenset(COLUMNS)
COUNTED = {
    "chat": ("input_tokens", "output_tokens"),
    "batch": ("input_tokens", "output_tokens"),
    "embedding": ("input_tokens",),
}
"""Tokens that a successful call of an operation must tell."""
OPERATIONS, STATUSES = tuple(Operation.values), tuple(Status.values)
MAX_ID = 200
MAX_MS = 10**9
MAX_BIGINT = 2**63 - 1

Number = TypeVar("Number", int, Decimal)
StableId = Callable[[datetime, str], str]
"""Makes a request id of a call's start and its line's content, the same whenever the file is read."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is booked on whom where a line does not say, and when, for those batch lines that tell no time."""

    organization: str
    project: str = ""
    user: str = ""
    at: datetime | None = None


def call_of(line: Object, defaults: Defaults, now: datetime, stable_id: StableId) -> Call:
    """RefusedError if something is missing or cannot be."""
    operation = choice(line, "operation", OPERATIONS, "chat")
    status = choice(line, "status", STATUSES, "success")
    started_at = time(line, "timestamp", now)
    if started_at is None:
        raise RefusedError("timestamp is missing.")
    model, asked = text(line, "model"), text(line, "model_requested")
    if status == "success":
        missing = [name for name in COUNTED.get(operation, ()) if line.get(name) is None]
        if missing or not (model or asked):
            raise RefusedError(f"{', '.join(missing or ['model'])} is missing.")
    return Call(
        operation=cast("OperationName", operation),
        model_requested=asked or model,
        stream=flag(line, "stream"),
        attribution=_attribution(line, defaults),
        provider=text(line, "provider") or "groq",
        request_id=_request_id(line, started_at, stable_id),
        started_at=started_at,
        model=model,
        provider_request_id=text(line, "provider_request_id"),
        status=cast("StatusName", status),
        error_code=text(line, "error_code"),
        error_message=text(line, "error_message"),
        http_status=count(line, "http_status", 999),
        attempts=_or(count(line, "attempts", 32_767), 1),
        latency_ms=count(line, "latency_ms", MAX_INT) or 0,
        ttft_ms=count(line, "ttft_ms", MAX_INT),
        service_tier=text(line, "service_tier"),
        usage=_usage(line),
        rate_limit=RateLimit(
            limit_requests=count(line, "limit_requests", MAX_BIGINT),
            remaining_requests=count(line, "remaining_requests", MAX_BIGINT),
            limit_tokens=count(line, "limit_tokens", MAX_BIGINT),
            remaining_tokens=count(line, "remaining_tokens", MAX_BIGINT),
        ),
    )


def canonical(line: Object) -> str:
    """The line's content, however it is spaced and ordered."""
    return json.dumps(line, sort_keys=True, separators=(",", ":"))


def _attribution(line: Object, defaults: Defaults) -> Attribution:
    metadata = line.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise RefusedError("metadata must be a JSON object.")
    return Attribution(
        organization=text(line, "organization") or defaults.organization,
        project=text(line, "project") or defaults.project,
        user=text(line, "user") or defaults.user,
        expert_id=text(line, "expert_id"),
        template_id=text(line, "template_id"),
        feature=text(line, "feature"),
        session_id=text(line, "session_id"),
        metadata=metadata or {},
    )


def _request_id(line: Object, started_at: datetime, stable_id: StableId) -> str:
    request_id = text(line, "request_id")
    if len(request_id) > MAX_ID:
        raise RefusedError(f"request_id is longer than {MAX_ID} characters.")
    return request_id or stable_id(started_at, canonical(line))


def _usage(line: Object) -> Usage:
    read, written = count(line, "input_tokens", MAX_COUNT) or 0, count(line, "output_tokens", MAX_COUNT) or 0
    return Usage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=_or(count(line, "total_tokens", 2 * MAX_COUNT), read + written),
        cached_tokens=count(line, "cached_tokens", MAX_COUNT) or 0,
        reasoning_tokens=count(line, "reasoning_tokens", MAX_COUNT) or 0,
        audio_seconds=_or(decimal(line, "audio_seconds", MAX_COUNT - 1), Decimal(0)),
        characters=count(line, "characters", MAX_COUNT) or 0,
        estimated=flag(line, "tokens_estimated"),
        queue_ms=_milliseconds(line, "queue_ms"),
        prompt_ms=_milliseconds(line, "prompt_ms"),
        completion_ms=_milliseconds(line, "completion_ms"),
        parts=_parts(line.get("usage_breakdown")),
    )


def _parts(breakdown: object) -> tuple[UsagePart, ...]:
    """The models of a compound call, as the export lists them; what each cost is computed anew."""
    if breakdown is None:
        return ()
    if not isinstance(breakdown, list) or not all(isinstance(part, dict) for part in breakdown):
        raise RefusedError(f"usage_breakdown must be a list of objects, not {shown(breakdown)}.")
    return tuple(UsagePart(text(part, "model"), _usage(part)) for part in breakdown)


def _milliseconds(line: Object, name: str) -> float | None:
    value = decimal(line, name, MAX_MS)
    return None if value is None else float(value)


def _or(value: Number | None, default: Number) -> Number:
    return default if value is None else value
