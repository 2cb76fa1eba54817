"""The calls of the invented history, with plausible numbers for a scenario and a model."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from groq_client.call import Attribution, Call, RateLimit, Usage, UsagePart
from usage_dashboard.demo.scenarios import SPEEDS, Scenario, Speed

COMPOUND_PARTS = ("openai/gpt-oss-120b", "openai/gpt-oss-20b")
CACHE_BLOCK = 128
"""Prompts are cached in blocks of this many tokens."""
NETWORK_MS = 45
RETRY_MS = 2_000


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind of failure, and its relative frequency."""

    code: str
    http_status: int | None
    message: str
    weight: float
    attempts: int = 1
    seconds: float = 0.0
    """The duration of the call in seconds; 0 means the short time of a refusal."""


RATE_LIMIT = Failure("rate_limit_exceeded", 429, "Rate limit reached for model `{}` on tokens per minute.", 45, 3, 4.0)
OVER_CAPACITY = Failure("over_capacity", 503, "{} is currently over capacity. Please try again.", 14, 3, 2.5)
SWITCHED_OFF = Failure("model_decommissioned", 400, "The model `{}` has been decommissioned.", 0)
FAILURES = (
    RATE_LIMIT,
    OVER_CAPACITY,
    Failure("timeout", None, "Request timed out. (ReadTimeout)", 11, 1, 60.0),
    Failure("tool_use_failed", 400, "Failed to call a function. Please adjust your prompt.", 10, 1, 1.2),
    Failure("connection_error", None, "Connection error. (ConnectError)", 8, 3, 3.0),
    Failure("internal_server_error", 500, "Internal server error.", 6, 3, 2.0),
    Failure("context_length_exceeded", 400, "Please reduce the length of the messages or completion.", 4),
    Failure("invalid_api_key", 401, "Invalid API Key", 2),
)
FAILURE_WEIGHTS = [failure.weight for failure in FAILURES]


@dataclass(frozen=True, slots=True)
class Conversation:
    """The facts that the calls of one session share."""

    random: Random
    scenario: Scenario
    model: str
    attribution: Attribution
    failure: Failure | None
    """The failure of every call of the session, if there is one."""
    error_rate: float


def calls_of(conversation: Conversation, start: datetime) -> Iterator[Call]:
    """The calls of a session, message by message. Each prompt includes the earlier messages."""
    random, scenario = conversation.random, conversation.scenario
    said, cached, at = 0, 0, start
    for _ in range(random.randint(1, scenario.messages)):
        call = _call(conversation, at, said, cached)
        yield call
        usage = call.usage
        cached = usage.input_tokens // CACHE_BLOCK * CACHE_BLOCK
        said += usage.output_tokens - usage.reasoning_tokens + random.randint(10, 120)
        at += timedelta(milliseconds=call.latency_ms, seconds=random.lognormvariate(3.6, 0.7))


def _call(conversation: Conversation, at: datetime, said: int, cached: int) -> Call:
    random, scenario = conversation.random, conversation.scenario
    call = Call(
        operation=scenario.operation,
        model_requested=conversation.model,
        stream=scenario.is_streamed,
        attribution=conversation.attribution,
        request_id="",
        started_at=at,
        started_ns=0,
    )
    failure = conversation.failure
    if failure is None and random.random() < conversation.error_rate:
        (failure,) = random.choices(FAILURES, FAILURE_WEIGHTS)
    if failure is not None:
        return _failed(call, failure, random)
    return _succeeded(call, scenario, random, said, cached)


def _failed(call: Call, failure: Failure, random: Random) -> Call:
    seconds = failure.seconds * random.lognormvariate(0, 0.25) if failure.seconds != 60 else 60.0
    call.status = "error"
    call.error_code, call.http_status = failure.code, failure.http_status
    call.error_message = failure.message.format(call.model_requested)
    call.attempts = failure.attempts
    call.latency_ms = round(NETWORK_MS * random.lognormvariate(0, 0.4) + seconds * 1000)
    if failure.http_status is not None:
        call.provider_request_id = _groq_id(random)
    return call


def _succeeded(call: Call, scenario: Scenario, random: Random, said: int, cached: int) -> Call:
    speed = SPEEDS[call.model_requested]
    call.model = call.model_requested
    call.http_status, call.attempts = 200, 1 if random.random() < 0.985 else 2
    call.provider_request_id = _groq_id(random)
    if call.operation == "chat":
        call.usage = _chat_usage(call.model, speed, scenario, random, said, cached)
        call.service_tier = "on_demand"
        call.rate_limit = RateLimit(14_400, random.randint(3_000, 14_000), 250_000, random.randint(20_000, 248_000))
        reading = (call.usage.queue_ms or 0) + (call.usage.prompt_ms or 0)
        working = reading + (call.usage.completion_ms or 0)
    else:
        call.usage, working = _audio_usage(call, speed, random)
        reading = working
    waiting = NETWORK_MS * random.lognormvariate(0, 0.4) + RETRY_MS * (call.attempts - 1)
    call.latency_ms = round(waiting + working)
    if call.stream:
        call.ttft_ms = round(waiting + reading)
    return call


def _chat_usage(model: str, speed: Speed, scenario: Scenario, random: Random, said: int, cached: int) -> Usage:
    read = said + max(20, round(scenario.reads * random.lognormvariate(0, 0.45)))
    wrote = max(2, round(scenario.writes * random.lognormvariate(0, 0.6)))
    thought = round(wrote * random.uniform(0.2, 0.9)) if speed.reasons else 0
    from_cache = min(cached, read) if speed.caches and random.random() < 0.7 else 0
    written = wrote + thought
    usage = Usage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=read + written,
        cached_tokens=from_cache,
        reasoning_tokens=thought,
        queue_ms=round(random.lognormvariate(2.5, 1.0), 3),
        prompt_ms=round((read - from_cache) / speed.reads * 1000 * random.lognormvariate(0, 0.2), 3),
        completion_ms=round(written / speed.writes * 1000 * random.lognormvariate(0, 0.2), 3),
    )
    return replace(usage, parts=_parts(usage)) if model == "groq/compound" else usage


def _parts(usage: Usage) -> tuple[UsagePart, ...]:
    """The usage of a compound call, divided among the system's models."""
    first, second = COMPOUND_PARTS
    read, written = usage.input_tokens * 2 // 3, usage.output_tokens * 3 // 4
    rest_read, rest_written = usage.input_tokens - read, usage.output_tokens - written
    return (
        UsagePart(first, Usage(read, written, read + written)),
        UsagePart(second, Usage(rest_read, rest_written, rest_read + rest_written)),
    )


def _audio_usage(call: Call, speed: Speed, random: Random) -> tuple[Usage, float]:
    """The usage of an audio call, and the milliseconds of work on it."""
    if call.operation == "speech":
        characters = round(220 * random.lognormvariate(0, 0.5))
        return Usage(characters=characters), 250 + characters / speed.writes * 250
    seconds = round(random.lognormvariate(math.log(420), 1.0), 3)
    return Usage(audio_seconds=Decimal(str(seconds))), 150 + seconds / speed.writes * 1000


def _groq_id(random: Random) -> str:
    return f"req_01{random.getrandbits(96):024x}"
