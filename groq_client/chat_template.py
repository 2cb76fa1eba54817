"""How many tokens a chat request has beyond its text: what the model's chat template writes around it.

The constants are measured from real Groq responses unless a comment says "about": those are read off the published
template.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from groq_client.harmony_tools import render_tools
from groq_client.images import image_tokens

Count = Callable[[str], int]
Json = Mapping[str, object]

_THINKING = re.compile(r"<think>.*?</think>\s*", re.DOTALL)
_PAST_TOOL_CALL = 10  # about: the JSON or the tags around the name and the arguments


@dataclass(frozen=True, slots=True)
class Template:
    """Tokens per request (``base``), per message, with or without a system message, and for the rarer parts."""

    name: str
    base: int
    message: int
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
HARMONY = Template("harmony", 67, 4, with_system=3, tools=27, json_object=24, json_schema=56, completion=10, thinking=0)
KIMI = Template("kimi", 3, 4, without_system=9, tools=5, json_schema=23)
DEEPSEEK = Template("deepseek", 4, 1)  # about: <bos>, <Assistant>, "<think>\n"; one token opens each message
OTHER = Template("other", 3, 4)


def prompt_tokens(body: Json, template: Template, count: Count) -> int:
    """The prompt of a chat completion request: text, images, tools and everything that the template adds."""
    messages = [message for message in _items(body.get("messages")) if isinstance(message, Mapping)]
    system = any(message.get("role") in ("system", "developer") for message in messages)
    return (
        template.base
        + template.message * len(messages)
        + (template.with_system if system else template.without_system)
        + sum(_message_tokens(message, template, count) for message in messages)
        + _tools_tokens(body, template, count)
        + _format_tokens(body.get("response_format"), template, count)
        + (4 if template is QWEN and body.get("reasoning_effort") == "none" else 0)
    )


def completion_tokens(text: str, reasoning: str, calls: Sequence[str], template: Template, count: Count) -> int:
    """What a model wrote to deliver this; nothing delivered is nothing written."""
    written = count(text) + count(reasoning) + sum(count(call) for call in calls)
    if not written:
        return 0
    return written + template.completion + (template.thinking if reasoning else 0)


def _message_tokens(message: Json, template: Template, count: Count) -> int:
    past = template is QWEN and message.get("role") == "assistant"
    tokens = 0
    for part in _items(message.get("content")):
        if (url := _image_url(part)) is not None:
            tokens += image_tokens(url)
            continue
        for text in strings(part["text"] if isinstance(part, Mapping) and "text" in part else part):
            tokens += count(_THINKING.sub("", text) if past else text)
    for call in _items(message.get("tool_calls")):
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            tokens += _PAST_TOOL_CALL + sum(count(text) for text in strings(function))
    return tokens


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
    return template.json_schema + count(_compact(schema.get("schema", schema)))


def _image_url(part: object) -> str | None:
    """The URL of an image part; an empty one where the part has an odd shape, so that it still counts as an image."""
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
    """Every string in a JSON-like value, however deep, without recursion. A loop ends after ``limit`` values."""
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
