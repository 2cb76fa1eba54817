"""The chunks of a streamed answer, as frames of an event stream."""

from groq_client.simulator import texts
from groq_client.simulator.answers import Answer, Asked, Choice
from groq_client.simulator.built_in_tools import begun
from groq_client.simulator.payloads import (
    FINGERPRINT,
    ZERO_USAGE,
    Envelope,
    breakdown_json,
    shown_content,
    shown_reasoning,
    usage_json,
)
from groq_client.simulator.wire import Json, dumps

DONE = b"data: [DONE]\n\n"


class Chunks:
    """Makes the chunks of one stream. The fields that all chunks share are serialised once."""

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
        """A chunk with the role for every choice; the first chunk has Groq's request id."""
        role = {"role": "assistant", "content": ""}
        first = {**self._delta(0, role), "x_groq": {"id": self._envelope.groq_id}}
        return [self._frame(first), *(self._frame(self._delta(number, role)) for number in range(1, choices))]

    def empty(self) -> bytes:
        """A chunk without any choice."""
        return self._frame({"choices": []})

    def of_choice(self, index: int, choice: Choice) -> list[bytes]:
        """Reasoning, then the tools that ran, then text, then tool calls in fragments."""
        count, content = self._asked.chunks, shown_content(self._asked, choice)
        if choice.tool_calls or choice.finish_reason == "length":
            count = None
        split = texts.in_chunks(content, count) if count else texts.pieces(content)
        return [
            *self._deltas(index, "reasoning", texts.pieces(shown_reasoning(self._asked, choice))),
            *(frame for tool in choice.executed_tools for frame in self._of_executed(index, tool)),
            *self._deltas(index, "content", split),
            *(frame for number, call in enumerate(choice.tool_calls) for frame in self._of_tool(index, number, call)),
        ]

    def _of_executed(self, index: int, tool: Json) -> list[bytes]:
        """The chunks at the start and at the end of a tool that runs."""
        return [self._frame(self._delta(index, {"executed_tools": [told]})) for told in (begun(tool), tool)]

    def _of_tool(self, index: int, number: int, call: Json) -> list[bytes]:
        arguments = call["function"]["arguments"]
        opened = {**call, "index": number, "function": {"name": call["function"]["name"], "arguments": ""}}
        pieces = (arguments[start : start + 8] for start in range(0, len(arguments), 8))
        fragments = ({"index": number, "function": {"arguments": piece}} for piece in pieces)
        return [self._frame(self._delta(index, {"tool_calls": [part]})) for part in (opened, *fragments)]

    def endings(self, answer: Answer) -> list[bytes]:
        """The chunks with the finish reasons. The last has the usage, which a further chunk repeats on request."""
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
        if fault == "usage-then-zero":
            x_groq = {"id": self._envelope.groq_id, "usage": ZERO_USAGE}
            frames.append(self._frame({"choices": [], "usage": ZERO_USAGE, "x_groq": x_groq}))
        return [*frames, DONE]
