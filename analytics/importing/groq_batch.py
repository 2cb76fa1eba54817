"""One line of a Groq batch's results as a call: ``{id, custom_id, response: {status_code, request_id, body}, error}``.

Numbers and names alone are read; neither the answers nor the words of errors, which may quote what was asked.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from analytics.importing import RefusedError
from analytics.importing.columns import Defaults, StableId, canonical
from analytics.importing.values import Object, count, text, time
from groq_client.call import Attribution, Call, Usage
from groq_client.errors import code_of_body
from groq_client.usage import as_milliseconds, read_cached_tokens, read_parts, read_usage, with_cached_tokens

OK = 200
UNKNOWN_ERROR = "batch_error"


def call_of_result(line: Object, defaults: Defaults, now: datetime, stable_id: StableId) -> Call:
    """RefusedError where it tells no usage or no time. An error has none of the latter, and needs ``defaults.at``.

    ``latency_ms`` is the time that Groq worked on it; nobody waited for it.
    """
    response, error = _mapping(line, "response"), _mapping(line, "error")
    if not response and not error:
        raise RefusedError("The line has neither a response nor an error.")
    body, status = _mapping(response, "body"), count(response, "status_code", 999)
    started_at = time(body, "created", now) or defaults.at
    if started_at is None:
        raise RefusedError("The line tells no time: name one with --at.")
    call = Call(
        operation="batch",
        model_requested=text(body, "model"),
        model=text(body, "model"),
        attribution=Attribution(
            organization=defaults.organization,
            project=defaults.project,
            user=defaults.user,
            metadata={"custom_id": custom_id} if (custom_id := text(line, "custom_id")) else {},
        ),
        request_id=text(line, "id") or text(response, "request_id") or stable_id(started_at, canonical(line)),
        started_at=started_at,
        provider_request_id=text(_mapping(body, "x_groq"), "id") or text(response, "request_id"),
        http_status=status,
        attempts=1,
    )
    if error or status != OK:
        _take_error(call, error, body)
    else:
        _take_usage(call, body)
    return call


def _take_error(call: Call, error: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    code = code_of_body(error) or code_of_body(body)
    call.status = "error"
    call.error_code = code or (f"http_{call.http_status}" if call.http_status else UNKNOWN_ERROR)
    call.usage = Usage()


def _take_usage(call: Call, body: Mapping[str, Any]) -> None:
    reported = read_usage(body.get("usage"))
    if reported is None:
        raise RefusedError("The response has no usage.")
    if not reported.is_whole:
        raise RefusedError("The usage has no prompt_tokens and completion_tokens that can be.")
    if not call.model:
        raise RefusedError("The response names no model.")
    x_groq = _mapping(body, "x_groq")
    call.usage = with_cached_tokens(reported, read_cached_tokens(x_groq.get("usage"))).usage
    if parts := read_parts(body.get("usage_breakdown")):
        call.usage = replace(call.usage, parts=parts)
    call.service_tier = text(body, "service_tier")
    call.latency_ms = round(as_milliseconds(_mapping(body, "usage").get("total_time")) or 0)


def _mapping(line: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = line.get(name)
    return value if isinstance(value, Mapping) else {}
