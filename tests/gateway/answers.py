"""What a client was answered, and whether the event of the call says the same."""

import json
from typing import Any

from ledger.models import UsageEvent
from tests.gateway.relay import Passed


def check_event(event: UsageEvent, use: str, answer: Passed) -> None:
    """The event says of a call what its answer says. ``use`` is "whole", "stream", "tools", "transcription", "error"
    or "responses", or another word and "stream"."""
    assert (event.http_status, event.attempts, event.stream) == (answer.status, 1, use.endswith("stream"))
    assert event.operation == ("transcription" if use == "transcription" else "chat")
    if use == "error":
        assert (event.status, event.error_code) == ("error", "model_not_found")
        return
    assert (event.status, event.tokens_estimated) == ("success", False)
    if use == "transcription":
        assert event.audio_seconds > 0
    else:
        first = documents(answer)[0]
        assert event.model == first.get("response", first)["model"]
        assert (event.input_tokens, event.output_tokens) == figures(answer)


def documents(answer: Passed) -> list[Any]:
    """The JSON of an answer: one document, or those of a stream."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return [json.loads(answer.body)]
    lines = [line.removeprefix("data: ") for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def figures(answer: Passed) -> tuple[int, int]:
    """The tokens of input and output that an answer tells."""
    last = documents(answer)[-1]
    usage = (last if "usage" in last else last.get("x_groq") or last["response"])["usage"]
    names = ("input_tokens", "output_tokens") if "input_tokens" in usage else ("prompt_tokens", "completion_tokens")
    return usage[names[0]], usage[names[1]]


def text_of(answer: Passed) -> str:
    """What an answer has for its reader: its text, the city for a tool, or the message of an error."""
    return "".join(map(_piece, documents(answer)))


def _piece(document: Any) -> str:
    match document:
        case {"error": {"message": message}}:
            return str(message)
        case {"choices": [{"message": {"tool_calls": [{"function": {"arguments": arguments}}, *_]}}]}:
            return str(json.loads(arguments)["city"])
        case {"choices": [{"message": {"content": content}}]} | {"choices": [{"delta": {"content": content}}]}:
            return str(content or "")
        case {"text": text, **others} if "type" not in others:
            return str(text)
        case {"type": "response.output_text.delta", "delta": delta}:
            return str(delta)
        case {"object": "response", "output": output}:
            return "".join(part["text"] for item in output for part in item.get("content") or [] if "text" in part)
    return ""
