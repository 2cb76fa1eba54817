"""Chat answers as Groq's JSON, and as the frames of an event stream."""

import time
from dataclasses import dataclass, field

from groq_client.simulator import texts
from groq_client.simulator.answers import Answer, Asked, Choice, Tokens, compound_parts
from groq_client.simulator.errors import midstream
from groq_client.simulator.pace import Timing
from groq_client.simulator.wire import Json, dumps, new_completion_id

FINGERPRINT = "fp_simulator01"
DONE = b"data: [DONE]\n\n"
_HUGE = 2**63


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every part of one answer shares."""

    groq_id: str
    model: str
    fault: str
    id: str = field(default_factory=new_completion_id)
    created: int = field(default_factory=lambda: int(time.time()))


def usage_json(counts: Tokens, timing: Timing, fault: str = "") -> Json:
    """The usage object, bent where a fault asks for it."""
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


_BENT_USAGE: dict[str, Json] = {
    "usage-negative": {"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12},
    "usage-huge": {"prompt_tokens": _HUGE, "completion_tokens": _HUGE, "total_tokens": _HUGE * 2},
    "usage-nan": {"queue_time": float("nan"), "completion_time": float("inf"), "total_time": float("inf")},
}


def completion_json(asked: Asked, answer: Answer, envelope: Envelope) -> Json:
    """The body of an answer that is not streamed."""
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
    if answer.tokens.cached:
        body["x_groq"]["usage"] = {"dram_cached_tokens": answer.tokens.cached}
    return body


def service_tier(body: Json) -> str:
    """The tier that served the request: ``auto`` is decided by the server."""
    asked = body.get("service_tier")
    return asked if asked in ("flex", "performance") else "on_demand"


def breakdown_json(answer: Answer, fault: str) -> Json | None:
    """The shares of a compound system's models."""
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
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


def shown_reasoning(asked: Asked, choice: Choice) -> str:
    """The reasoning that is sent along: hidden reasoning is counted, but not shown; raw reasoning is in the text."""
    elsewhere = asked.body.get("include_reasoning") is False or asked.body.get("reasoning_format") in ("hidden", "raw")
    return "" if elsewhere else choice.reasoning


def shown_content(asked: Asked, choice: Choice) -> str:
    """The text that is sent, with the reasoning inside where it was asked for raw."""
    if asked.body.get("reasoning_format") == "raw" and choice.reasoning:
        return f"<think>\n{choice.reasoning}\n</think>\n\n{choice.content}"
    return choice.content


def stream_frames(asked: Asked, answer: Answer, envelope: Envelope) -> list[bytes]:
    """All frames of a stream, faults included. The last one is ``[DONE]`` unless a fault ends it otherwise."""
    chunks = _Chunks(asked, envelope)
    frames = [frame for number, choice in enumerate(answer.choices) for frame in chunks.of_choice(number, choice)]
    opening = chunks.opening(len(answer.choices))
    endings = chunks.endings(answer)
    return _FAULTY.get(envelope.fault, _faultless)(chunks, opening, frames, endings)


class _Chunks:
    """Writes the chunks of one stream. What all chunks share is serialised once."""

    def __init__(self, asked: Asked, envelope: Envelope) -> None:
        self._asked = asked
        self._envelope = envelope
        shared = {
            "id": envelope.id,
            "object": "chat.completion.chunk",
            "created": envelope.created,
            "model": envelope.model,
            "system_fingerprint": FINGERPRINT,
        }
        self._head = b"data: " + dumps(shared)[:-1] + b","

    def _frame(self, rest: Json) -> bytes:
        return self._head + dumps(rest)[1:] + b"\n\n"

    def _deltas(self, index: int, name: str, parts: list[str]) -> list[bytes]:
        before = self._head + b'"choices":[{"index":%d,"delta":{"%s":' % (index, name.encode())
        after = b'},"logprobs":null,"finish_reason":null}]}\n\n'
        return [before + dumps(part) + after for part in parts]

    def _delta(self, index: int, delta: Json, finish_reason: str | None = None) -> Json:
        return {"choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}

    def opening(self, choices: int) -> list[bytes]:
        """A chunk with the role for every choice; the first one carries Groq's id."""
        role = {"role": "assistant", "content": ""}
        first = {**self._delta(0, role), "x_groq": {"id": self._envelope.groq_id}}
        return [self._frame(first), *(self._frame(self._delta(number, role)) for number in range(1, choices))]

    def empty(self) -> bytes:
        """A chunk without any choice."""
        return self._frame({"choices": []})

    def of_choice(self, index: int, choice: Choice) -> list[bytes]:
        """Reasoning, then text, then tool calls in fragments."""
        count, content = self._asked.chunks, shown_content(self._asked, choice)
        cut_short = choice.finish_reason == "length"
        split = texts.in_chunks(content, count) if count and not cut_short else texts.pieces(content)
        return [
            *self._deltas(index, "reasoning", texts.pieces(shown_reasoning(self._asked, choice))),
            *self._deltas(index, "content", split),
            *(frame for number, call in enumerate(choice.tool_calls) for frame in self._of_tool(index, number, call)),
        ]

    def _of_tool(self, index: int, number: int, call: Json) -> list[bytes]:
        arguments = call["function"]["arguments"]
        opened = {**call, "index": number, "function": {"name": call["function"]["name"], "arguments": ""}}
        pieces = (arguments[start : start + 8] for start in range(0, len(arguments), 8))
        fragments = ({"index": number, "function": {"arguments": piece}} for piece in pieces)
        return [self._frame(self._delta(index, {"tool_calls": [part]})) for part in (opened, *fragments)]

    def endings(self, answer: Answer) -> list[bytes]:
        """The finish reasons; the last one carries the usage, and a chunk of its own where it was asked for."""
        *others, last = (self._delta(number, {}, choice.finish_reason) for number, choice in enumerate(answer.choices))
        fault = self._envelope.fault
        usage = usage_json(answer.tokens, answer.timing, fault)
        x_groq: Json = {"id": self._envelope.groq_id}
        if fault != "no-usage":
            x_groq["usage"] = usage
            if breakdown := breakdown_json(answer, fault):
                x_groq["usage_breakdown"] = breakdown
        if fault == "x-groq-error":
            x_groq["error"] = "over_capacity: the stream was stopped early"
        frames = [*map(self._frame, others), self._frame({**last, "x_groq": x_groq})]
        if fault == "usage-twice" or (self._asked.include_usage and fault != "no-usage"):
            frames.append(self._frame({"choices": [], "usage": usage}))
        return [*frames, DONE]


def _faultless(_: _Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return opening + frames + endings


def _half(opening: list[bytes], frames: list[bytes]) -> list[bytes]:
    return opening + frames[: max(len(frames) // 2, 1)]


def _cut(_: _Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return _half(opening, frames)


def _error_event(_: _Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return [*_half(opening, frames), b"event: error\ndata: " + dumps(midstream().body()) + b"\n\n"]


def _error_data(_: _Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return [*_half(opening, frames), b"data: " + dumps(midstream().body()) + b"\n\n"]


def _stopped_early(_: _Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return [*_half(opening, frames), *endings]


def _broken_chunk(_: _Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return [*_half(opening, frames), frames[-1][: len(frames[-1]) // 2] + b"\n\n", *endings]


def _without_done(_: _Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    return opening + frames + endings[:-1]


def _with_empty(chunks: _Chunks, opening: list[bytes], frames: list[bytes], endings: list[bytes]) -> list[bytes]:
    middle = len(frames) // 2
    return [chunks.empty(), *opening, *frames[:middle], chunks.empty(), *frames[middle:], *endings]


_FAULTY = {
    "cut": _cut,
    "error-midstream": _error_event,
    "error-midstream-data": _error_data,
    "x-groq-error": _stopped_early,
    "truncated-json": _broken_chunk,
    "no-done": _without_done,
    "empty-choices": _with_empty,
}
