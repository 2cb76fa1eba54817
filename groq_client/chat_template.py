"""The tokens of a chat request beyond its text, which the model's chat template writes around it.

The constants are measured from real Groq responses. Those with the comment "about" are read off the published template.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from groq_client.harmony_tools import render_comment, render_tools
from groq_client.images import image_tokens

Count = Callable[[str], int]
Json = Mapping[str, object]

_THINK_TAG = re.compile(r"</?think>")
_AFTER_THINKING = "</think>"
_PAST_TOOL_CALL = 10  # about: the JSON or the tags around the name and the arguments


@dataclass(frozen=True, slots=True)
class Template:
    """Tokens per request (``base``), per message, with or without a system message, and for the rarer parts."""

    name: str
    base: int
    message: int
    message_of: Mapping[str, int] = field(default_factory=dict)
    """Tokens per message of a role where they differ from ``message``."""
    with_system: int = 0
    without_system: int = 0
    tools: int = 50
    json_object: int = 0
    json_schema: int = 35  # about, where it was not measured
    completion: int = 1
    thinking: int = 4  # about: the tags around the reasoning, where it is delivered apart from the text


LLAMA30 = Template("llama 3.0", 5, 5, tools=110)
LLAMA31 = Template("llama 3.1", 5, 5, with_system=20, without_system=25, tools=110)
LLAMA4 = Template("llama 4", 5, 5, tools=654)
QWEN = Template("qwen", 3, 5, tools=103)
HARMONY = Template("harmony", 67, 4, with_system=3, tools=27, json_object=24, json_schema=55, completion=10, thinking=0)
KIMI = Template("kimi", 3, 4, without_system=9, tools=5, json_schema=23)
# One token begins the prompt and a last <｜Assistant｜> ends it. A system message takes no token of its own, a user's
# message one (<｜User｜>) before it, and an answer one before it and one after it.
DEEPSEEK = Template("deepseek", 2, 1, message_of={"system": 0, "developer": 0, "assistant": 2})
OTHER = Template("other", 3, 4)
THINKERS = (QWEN, DEEPSEEK)
"""Templates of models that write their reasoning between ``<think>`` and ``</think>``, which are one token each."""


def prompt_tokens(body: Json, template: Template, count: Count) -> int:
    """Tokens in the prompt of a chat request: text, images, tools and everything that the template adds."""
    messages = [message for message in _items(body.get("messages")) if isinstance(message, Mapping)]
    system = any(message.get("role") in ("system", "developer") for message in messages)
    return (
        template.base
        + sum(template.message_of.get(str(message.get("role")), template.message) for message in messages)
        + (template.with_system if system else template.without_system)
        + sum(_message_tokens(message, template, count) for message in messages)
        + _tools_tokens(body, template, count)
        + _format_tokens(body.get("response_format"), template, count)
        + (4 if template is QWEN and body.get("reasoning_effort") == "none" else 0)
    )


def completion_tokens(text: str, reasoning: str, calls: Sequence[str], template: Template, count: Count) -> int:
    """Tokens that a model wrote to deliver this answer; 0 for an empty answer."""
    written = _thinking_text_tokens(text, template, count) + count(reasoning) + sum(count(call) for call in calls)
    if not written:
        return 0
    return written + template.completion + (template.thinking if reasoning else 0)


def _thinking_text_tokens(text: str, template: Template, count: Count) -> int:
    """The tokens of an answer that may hold its reasoning (``reasoning_format="raw"``): each tag is one token."""
    if template not in THINKERS:
        return count(text)
    pieces = _THINK_TAG.split(text)
    return sum(map(count, pieces)) + len(pieces) - 1


def _message_tokens(message: Json, template: Template, count: Count) -> int:
    is_past_answer = message.get("role") == "assistant"
    tokens = 0
    for part in _items(message.get("content")):
        if (url := _image_url(part)) is not None:
            tokens += image_tokens(url)
            continue
        for text in strings(part["text"] if isinstance(part, Mapping) and "text" in part else part):
            tokens += count(_without_thinking(text, template) if is_past_answer else text)
    for call in _items(message.get("tool_calls")):
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            tokens += _PAST_TOOL_CALL + sum(count(text) for text in strings(function))
    return tokens


def _without_thinking(text: str, template: Template) -> str:
    """A past answer as the prompt repeats it: the templates of models that think leave out the reasoning."""
    if template not in THINKERS:
        return text
    answer = text.rpartition(_AFTER_THINKING)[2]
    return answer.lstrip("\n") if template is QWEN else answer


def _tools_tokens(body: Json, template: Template, count: Count) -> int:
    tools = _items(body.get("tools")) or [
        {"type": "function", "function": function} for function in _items(body.get("functions"))
    ]
    if not tools:
        return 0
    return template.tools + _choice_tokens(body.get("tool_choice"), template) + count(_tools_text(tools, template))


def _choice_tokens(choice: object, template: Template) -> int:
    if template is not LLAMA4:
        return 0
    return 13 if choice == "required" else 7 if isinstance(choice, Mapping) else 0


def _tools_text(tools: Sequence[object], template: Template) -> str:
    if template is HARMONY:
        return render_tools(tools)
    if template in (LLAMA30, LLAMA31):
        return "\n\n".join(json.dumps(tool, ensure_ascii=False, indent=4, default=str) for tool in tools)
    if template is QWEN:
        return "\n".join(json.dumps(tool, ensure_ascii=False, default=str) for tool in tools)
    return _compact(tools)


def _format_tokens(wanted: object, template: Template, count: Count) -> int:
    if not isinstance(wanted, Mapping):
        return 0
    if wanted.get("type") == "json_object":
        return template.json_object
    schema = wanted.get("json_schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, Mapping):
        return 0
    return template.json_schema + count(_schema_text(schema, template))


def _schema_text(wanted: Json, template: Template) -> str:
    """The JSON schema of the answer as the model reads it. Harmony writes its name and description above the schema."""
    schema = wanted.get("schema", wanted)
    if template is not HARMONY:
        return json.dumps(schema, ensure_ascii=False, default=str)
    return f"## {wanted.get('name', '')}\n\n{render_comment(wanted)}{_compact(schema)}"


def _image_url(part: object) -> str | None:
    """The URL of an image part; "" if the part has an unknown shape, so that it still counts as an image."""
    if not isinstance(part, Mapping) or part.get("type") not in ("image_url", "input_image", "image"):
        return None
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    return url if isinstance(url, str) else ""


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _items(value: object) -> Sequence[object]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def strings(value: object, limit: int = 100_000) -> Iterator[str]:
    """Every string in a JSON-like value at any depth. At most ``limit`` values are visited, which ends loops too."""
    waiting = [value]
    while waiting and limit > 0:
        limit -= 1
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            waiting.extend(reversed(list(item.values())))
        elif isinstance(item, list | tuple):
            waiting.extend(reversed(item))
