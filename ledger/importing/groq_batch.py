"""Conversion of one line of a Groq batch's results to a call. A line has the form
``{id, custom_id, response: {status_code, request_id, body}, error}``.

Only numbers and names are kept. Answers and error messages are dropped, since they may quote the prompt. The text of an
answer only matters for one check: if there is text, a usage of zeros is not believed.

Answers to audio have a text and no choices. Groq names no model and no time in these answers, and names the length of
the audio only if the format is verbose.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from groq_client.answer import Answer
from groq_client.call import Attribution, Call, Usage
from groq_client.errors import code_of_body
from groq_client.names import identity
from groq_client.usage import as_milliseconds, consistent
from ledger.importing import RefusedError
from ledger.importing.columns import Defaults, StableId, canonical
from ledger.importing.values import Object, count, text, time

OK = 200
UNKNOWN_ERROR = "batch_error"


def call_of_result(line: Object, defaults: Defaults, now: datetime, stable_id: StableId) -> Call:
    """The call of one line. RefusedError if the usage, the model or the time is missing.

    Lines with errors or answers to audio have no time, and need ``defaults.at``. Answers to audio also need
    ``defaults.model``. ``latency_ms`` is the time that Groq worked on the request, since no caller waited for it.
    """
    response, error = _mapping(line, "response"), _mapping(line, "error")
    if not response and not error:
        raise RefusedError("The line has neither a response nor an error.")
    body, status = _mapping(response, "body"), count(response, "status_code", 999)
    started_at = time(body, "created", now) or defaults.at
    if started_at is None:
        raise RefusedError("The line tells no time: name one with --at.")
    model = identity(text(body, "model"))
    if not model and _is_of_audio(body):
        model = identity(defaults.model)
    call = Call(
        operation="batch",
        model_requested=model,
        model=model,
        attribution=Attribution(
            organization=defaults.organization,
            project=defaults.project,
            user=defaults.user,
            metadata={"custom_id": custom_id} if (custom_id := text(line, "custom_id")) else {},
        ),
        request_id=identity(text(line, "id") or text(response, "request_id")) or stable_id(started_at, canonical(line)),
        started_at=started_at,
        provider_request_id=identity(text(_mapping(body, "x_groq"), "id") or text(response, "request_id")),
        response_id=identity(text(body, "id")),
        http_status=status,
        attempts=1,
    )
    if error or status != OK:
        _take_error(call, error, body)
    elif _is_of_audio(body):
        _take_length(call, body)
    else:
        _take_usage(call, body)
    return call


def _is_of_audio(body: Mapping[str, Any]) -> bool:
    return isinstance(body.get("text"), str) and "choices" not in body


def _take_error(call: Call, error: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    code = code_of_body(error) or code_of_body(body)
    call.status = "error"
    call.error_code = code or (f"http_{call.http_status}" if call.http_status else UNKNOWN_ERROR)
    call.usage = Usage()


def _take_usage(call: Call, body: Mapping[str, Any]) -> None:
    answer = Answer("chat", "application/json")
    answer.read(body)
    reported = answer.believed()
    if reported is None:
        raise RefusedError("The response has no usage.")
    if not reported.is_whole:
        raise RefusedError("The usage has no prompt_tokens and completion_tokens that can be.")
    if not call.model:
        raise RefusedError("The response names no model.")
    call.usage = consistent(replace(reported.usage, parts=answer.parts, tools=answer.tools.uses()))
    call.service_tier = text(body, "service_tier")
    call.latency_ms = round(as_milliseconds(_mapping(body, "usage").get("total_time")) or 0)


def _take_length(call: Call, body: Mapping[str, Any]) -> None:
    """Take the length of the audio from the answer. An unknown length is marked as estimated, so that the cost stays
    unknown instead of 0."""
    answer = Answer("transcription", "application/json")
    answer.read(body)
    if not call.model:
        raise RefusedError("The response is of audio and names no model: name one with --model.")
    seconds = answer.audio_seconds
    call.usage = Usage(audio_seconds=seconds or Decimal(0), estimated=seconds is None)


def _mapping(line: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = line.get(name)
    return value if isinstance(value, Mapping) else {}
