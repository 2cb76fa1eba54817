"""The event of an ended call, as the ledger's door for events reads it (``docs/ingestion.md``)."""

import json
from typing import Any

from groq_client.call import Call, Usage


def event_line(call: Call) -> str:
    """One line of JSON with the columns of a call that are not empty."""
    return json.dumps(_event(call), separators=(",", ":"), allow_nan=False)


def _event(call: Call) -> dict[str, Any]:
    who, limit = call.attribution, call.rate_limit
    columns = {
        "request_id": call.request_id,
        "timestamp": call.started_at.isoformat(),
        "organization": who.organization,
        "project": who.project,
        "user": who.user,
        "expert_id": who.expert_id,
        "template_id": who.template_id,
        "feature": who.feature,
        "session_id": who.session_id,
        "metadata": dict(who.metadata),
        "provider": call.provider,
        "operation": call.operation,
        "model": call.model,
        "model_requested": call.model_requested,
        "provider_request_id": call.provider_request_id,
        "response_id": call.response_id,
        "service_tier": call.service_tier,
        "status": call.status,
        "error_code": call.error_code,
        "error_message": call.error_message,
        "http_status": call.http_status,
        "attempts": call.attempts,
        "stream": call.stream,
        "latency_ms": call.latency_ms,
        "ttft_ms": call.ttft_ms,
        "limit_requests": limit.limit_requests,
        "remaining_requests": limit.remaining_requests,
        "limit_tokens": limit.limit_tokens,
        "remaining_tokens": limit.remaining_tokens,
        "reported_cost_usd": None if call.reported_cost_usd is None else str(call.reported_cost_usd),
        "tools": {tool.name: tool.uses for tool in call.usage.tools},
        "usage_breakdown": [{"model": part.model, **_counts(part.usage)} for part in call.usage.parts],
        **_counts(call.usage),
    }
    return _said(columns)


def _counts(usage: Usage) -> dict[str, Any]:
    return _said(
        {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_seconds": str(usage.audio_seconds),
            "characters": usage.characters,
            "tokens_estimated": usage.estimated,
            "queue_ms": usage.queue_ms,
            "prompt_ms": usage.prompt_ms,
            "completion_ms": usage.completion_ms,
        }
    )


def _said(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns that are not empty. Zeros and False are not empty: the door requires some counts."""
    return {name: value for name, value in columns.items() if value is not None and value not in ("", {}, [])}
