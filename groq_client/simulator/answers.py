"""Makes the answer to a chat request: its texts, its tokens and its times. Other modules write it to the wire."""

import json
import random
from dataclasses import dataclass, field, replace

from groq_client.simulator import counting, texts
from groq_client.simulator.built_in_tools import executed_tools
from groq_client.simulator.catalogue import COMPOUND_PARTS, ModelSpec
from groq_client.simulator.errors import invalid
from groq_client.simulator.pace import Timing, timing_for
from groq_client.simulator.wire import Json, new_call_id

_CACHE_BLOCK = 128
"""Groq caches prompts in blocks of this many tokens."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat request, checked and reduced to the fields that decide the answer."""

    body: Json
    spec: ModelSpec
    model: str
    """The name of the model in the answer."""
    prompt: str
    choices: int = 1
    limit: int | None = None
    stream: bool = False
    include_usage: bool = False
    chunks: int | None = None
    cached_tokens: int | None = None
    tricky: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the requested choices."""

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[Json, ...] = ()
    executed_tools: tuple[Json, ...] = ()
    finish_reason: str = "stop"
    tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token counts of one answer with all its choices."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer to send."""

    choices: tuple[Choice, ...]
    tokens: Tokens
    timing: Timing
    parts: tuple[tuple[str, Tokens], ...] = field(default=())
    """The models of a compound system, each with its token counts."""


def read_chat(body: Json, spec: ModelSpec, model: str) -> Asked:
    """Check a chat body as Groq does and parse it. Raises :class:`GroqError` for a bad body."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("'messages' : minimum number of items is 1", param="messages")
    if not all(isinstance(message, dict) and isinstance(message.get("role"), str) for message in messages):
        raise invalid("'messages.0' : for 'role' the property 'role' is missing", param="messages")
    options = body.get("stream_options")
    return Asked(
        body=body,
        spec=spec,
        model=model,
        prompt=_last_text(messages),
        choices=_whole_number(body, "n", most=16) or 1,
        limit=_whole_number(body, "max_completion_tokens") or _whole_number(body, "max_tokens"),
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def answer_chat(asked: Asked) -> Answer:
    """Make the answer. Equal requests get equal answers, apart from identifiers."""
    prompt_tokens = counting.prompt_tokens(asked.body, asked.spec.id)
    choices = tuple(_choice(asked, number) for number in range(asked.choices))
    counts = Tokens(
        prompt=prompt_tokens,
        completion=sum(choice.tokens for choice in choices),
        cached=_cached(asked, prompt_tokens),
        reasoning=sum(choice.reasoning_tokens for choice in choices),
    )
    queue = texts.seeded(asked.prompt, "queue").uniform(0.002, 0.02)
    timing = timing_for(asked.spec, counts.prompt, counts.completion // asked.choices, counts.cached, queue)
    return Answer(choices, counts, timing, compound_parts(counts) if asked.spec.compound else ())


def compound_parts(counts: Tokens) -> tuple[tuple[str, Tokens], ...]:
    """The counts divided between the two models of a compound system; they add up to ``counts``."""
    first = Tokens(counts.prompt // 3, counts.completion // 4)
    second = Tokens(counts.prompt - first.prompt, counts.completion - first.completion)
    return tuple(zip(COMPOUND_PARTS, (first, second), strict=True))


def _choice(asked: Asked, number: int) -> Choice:
    source = texts.seeded(asked.model, asked.prompt, asked.body.get("seed"), number)
    reasoning = _reasoning(asked, source)
    choice = _tool_choice(asked, source) or Choice(content=_content(asked, source))
    calls = tuple(call["function"]["name"] + call["function"]["arguments"] for call in choice.tool_calls)
    choice = replace(
        choice,
        reasoning=reasoning,
        executed_tools=executed_tools(asked.body, asked.spec, asked.prompt),
        tokens=counting.completion_tokens(choice.content, reasoning, calls, asked.spec.id),
        reasoning_tokens=counting.text_tokens(reasoning, asked.spec.id),
    )
    if asked.limit is not None and choice.tokens > asked.limit:
        choice = _cut_to(asked.limit, choice, asked.spec.id)
    return choice


def _cut_to(limit: int, choice: Choice, model: str) -> Choice:
    """The choice of a model that runs out of tokens at ``limit``: reasoning comes first, and no tool call is cut."""
    thought = min(choice.reasoning_tokens, limit)
    return replace(
        choice,
        reasoning=counting.shorten(choice.reasoning, thought, model),
        content=counting.shorten(choice.content, limit - thought, model),
        tool_calls=(),
        finish_reason="length",
        tokens=limit,
        reasoning_tokens=thought,
    )


def _content(asked: Asked, source: random.Random) -> str:
    if asked.tricky:
        return texts.TRICKY * 3
    text = texts.compose(source, asked.prompt)
    form = asked.body.get("response_format")
    if isinstance(form, dict) and form.get("type") in ("json_object", "json_schema"):
        return json.dumps(_structured(form, text, source), ensure_ascii=False)
    return "".join(texts.in_chunks(text, asked.chunks)) if asked.chunks else text


def _structured(form: Json, text: str, source: random.Random) -> object:
    named = form.get("json_schema")
    if isinstance(named, dict) and "schema" in named:
        return texts.instance_of(named["schema"], source)
    return {"answer": text, "confidence": 0.87}


def _reasoning(asked: Asked, source: random.Random) -> str:
    if not asked.spec.reasoning or asked.chunks:
        return ""
    return texts.think(source, str(asked.body.get("reasoning_effort") or "medium"))


def _tool_choice(asked: Asked, source: random.Random) -> Choice | None:
    """A tool call, if the request offers tools and its last message is no tool result; otherwise ``None``."""
    offered, wanted = asked.body.get("tools"), asked.body.get("tool_choice")
    if not isinstance(offered, list) or wanted == "none" or asked.body["messages"][-1]["role"] == "tool":
        return None
    described = (tool.get("function") for tool in offered if isinstance(tool, dict))
    functions = [function for function in described if isinstance(function, dict)]
    if isinstance(wanted, dict) and isinstance(wanted.get("function"), dict):
        functions = [f for f in functions if f.get("name") == wanted["function"].get("name")]
    if not functions:
        return None
    arguments = texts.instance_of(functions[0].get("parameters"), source) or {}
    function = {"name": str(functions[0].get("name")), "arguments": json.dumps(arguments)}
    call: Json = {"id": new_call_id(), "type": "function", "function": function}
    return Choice(tool_calls=(call,), finish_reason="tool_calls")


def _cached(asked: Asked, prompt_tokens: int) -> int:
    """The cached tokens: all turns of a conversation except the last, in whole blocks."""
    if asked.cached_tokens is not None:
        return min(asked.cached_tokens, prompt_tokens)
    messages = asked.body["messages"]
    if not asked.spec.caches_prompts or not any(message["role"] == "assistant" for message in messages[:-1]):
        return 0
    before = counting.prompt_tokens({**asked.body, "messages": messages[:-1]}, asked.spec.id)
    return min(before, prompt_tokens) // _CACHE_BLOCK * _CACHE_BLOCK


def _last_text(messages: list[Json]) -> str:
    content = messages[-1].get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _whole_number(body: Json, name: str, most: int = 1_000_000) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise invalid(f"'{name}' : must be a whole number between 1 and {most}", param=name)
    return value
