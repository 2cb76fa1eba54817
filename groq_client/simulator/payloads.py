"""Chat answers as Groq's JSON."""

import time
from dataclasses import dataclass, field

from groq_client.simulator.answers import Answer, Asked, Choice, Tokens, compound_parts
from groq_client.simulator.pace import Timing
from groq_client.simulator.wire import Json, new_completion_id

FINGERPRINT = "fp_simulator01"
_HUGE = 2**63


@dataclass(frozen=True, slots=True)
class Envelope:
    """The fields that all parts of one answer share."""

    groq_id: str
    model: str
    fault: str
    id: str = field(default_factory=new_completion_id)
    created: int = field(default_factory=lambda: int(time.time()))


def usage_json(counts: Tokens, timing: Timing, fault: str = "") -> Json:
    """The usage object, with wrong counts if a fault asks for them."""
    usage: Json = {
        "queue_time": round(timing.queue, 9),
        "prompt_tokens": counts.prompt,
        "prompt_time": round(timing.prompt, 9),
        "completion_tokens": counts.completion,
        "completion_time": round(timing.completion, 9),
        "total_tokens": counts.prompt + counts.completion,
        "total_time": round(timing.total, 9),
    }
    if counts.cached:
        usage["prompt_tokens_details"] = {"cached_tokens": counts.cached}
    if counts.reasoning:
        usage["completion_tokens_details"] = {"reasoning_tokens": counts.reasoning}
    return {**usage, **_BENT_USAGE.get(fault, {})}


ZERO_USAGE: Json = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}

_BENT_USAGE: dict[str, Json] = {
    "usage-zero": ZERO_USAGE,
    "usage-contradicts": {
        "prompt_tokens": None,
        "input_tokens": 80.0,
        "completion_tokens": 0,
        "output_tokens": 7.0,
        "total_tokens": 999,
        "prompt_tokens_details": {"cached_tokens": 900},
        "completion_tokens_details": {"reasoning_tokens": 900},
    },
    "usage-negative": {"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12},
    "usage-huge": {"prompt_tokens": _HUGE, "completion_tokens": _HUGE, "total_tokens": _HUGE * 2},
    "usage-nan": {"queue_time": float("nan"), "completion_time": float("inf"), "total_time": float("inf")},
}


def completion_json(asked: Asked, answer: Answer, envelope: Envelope) -> Json:
    """The JSON body of an answer that is not streamed."""
    fault = envelope.fault
    body: Json = {
        "id": envelope.id,
        "object": "chat.completion",
        "created": envelope.created,
        "model": envelope.model,
        "choices": [_choice_json(asked, index, choice) for index, choice in enumerate(answer.choices)],
        "usage": usage_json(answer.tokens, answer.timing, fault),
        "usage_breakdown": breakdown_json(answer, fault),
        "system_fingerprint": FINGERPRINT,
        "x_groq": {"id": envelope.groq_id},
        "service_tier": service_tier(asked.body),
    }
    if fault == "empty-choices":
        body["choices"] = []
    if fault == "no-usage":
        del body["usage"], body["usage_breakdown"]
    if fault == "usage-then-zero":
        body["x_groq"]["usage"], body["usage"] = body["usage"], ZERO_USAGE
    elif answer.tokens.cached:
        body["x_groq"]["usage"] = {"dram_cached_tokens": answer.tokens.cached}
    return body


def service_tier(body: Json) -> str:
    """The tier that serves the request; for ``auto`` the server decides."""
    asked = body.get("service_tier")
    return asked if asked in ("flex", "performance") else "on_demand"


def breakdown_json(answer: Answer, fault: str) -> Json | None:
    """The usage of each model of a compound system; ``None`` for other models."""
    parts = answer.parts or (compound_parts(answer.tokens) if fault == "compound" else ())
    if not parts:
        return None
    return {"models": [{"model": model, "usage": usage_json(counts, answer.timing)} for model, counts in parts]}


def _choice_json(asked: Asked, index: int, choice: Choice) -> Json:
    message: Json = {"role": "assistant", "content": None if choice.tool_calls else shown_content(asked, choice)}
    if reasoning := shown_reasoning(asked, choice):
        message["reasoning"] = reasoning
    if choice.tool_calls:
        message["tool_calls"] = list(choice.tool_calls)
    if choice.executed_tools:
        message["executed_tools"] = list(choice.executed_tools)
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


def shown_reasoning(asked: Asked, choice: Choice) -> str:
    """The reasoning to send beside the text. Hidden reasoning is counted but not sent; raw reasoning is in the text."""
    elsewhere = asked.body.get("include_reasoning") is False or asked.body.get("reasoning_format") in ("hidden", "raw")
    return "" if elsewhere else choice.reasoning


def shown_content(asked: Asked, choice: Choice) -> str:
    """The text to send, with the reasoning inside if the request asks for raw reasoning."""
    if asked.body.get("reasoning_format") == "raw" and choice.reasoning:
        return f"<think>\n{choice.reasoning}\n</think>\n\n{choice.content}"
    return choice.content
