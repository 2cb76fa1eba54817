"""``POST /openai/v1/responses``: OpenAI's Responses API in the part that Groq has of it, for text."""

import asyncio
import time
from typing import Any

from aiohttp import web

from groq_client.simulator import texts
from groq_client.simulator.answers import Answer, Asked, answer_chat, read_chat
from groq_client.simulator.errors import invalid
from groq_client.simulator.exchange import Exchange
from groq_client.simulator.outgoing import write_frames
from groq_client.simulator.wire import Json, dumps, new_completion_id


async def responses(exchange: Exchange) -> web.StreamResponse:
    """Answer a request, streamed or not. The text is that of the same question in a chat."""
    asked = read_chat(_as_chat(exchange.incoming.body), exchange.spec, exchange.model)
    answer = await asyncio.to_thread(answer_chat, asked)
    exchange.count(answer.tokens.prompt + answer.tokens.completion)
    body = _whole(exchange, asked, answer)
    if not asked.stream:
        return await exchange.send_json(dumps(body))
    response = web.StreamResponse(headers=exchange.headers({"content-type": "text/event-stream"}))
    await response.prepare(exchange.incoming.http)
    await write_frames(response, _frames(body, answer), exchange.incoming.controls.chunk_delay or 0)
    await response.write_eof()
    return response


def _as_chat(body: Json) -> Json:
    """The body of a chat with the same question."""
    asked = body.get("input")
    if isinstance(asked, str):
        messages: list[Any] = [{"role": "user", "content": asked}]
    elif isinstance(asked, list):
        messages = [{"role": item.get("role"), "content": _text(item)} for item in asked if isinstance(item, dict)]
    else:
        raise invalid("'input' : property 'input' is missing", param="input")
    if isinstance(instructions := body.get("instructions"), str):
        messages.insert(0, {"role": "system", "content": instructions})
    limit = {"max_tokens": body["max_output_tokens"]} if "max_output_tokens" in body else {}
    return {"messages": messages, "stream": body.get("stream"), **limit}


def _text(item: Json) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _whole(exchange: Exchange, asked: Asked, answer: Answer) -> Json:
    counts = answer.tokens
    return {
        "id": new_completion_id().replace("chatcmpl-", "resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": exchange.answered_model,
        "output": [_message(answer.choices[0].content)],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "service_tier": "default",
        "usage": {
            "input_tokens": counts.prompt,
            "input_tokens_details": {"cached_tokens": counts.cached},
            "output_tokens": counts.completion,
            "output_tokens_details": {"reasoning_tokens": counts.reasoning},
            "total_tokens": counts.prompt + counts.completion,
        },
    }


def _message(text: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}


def _frames(body: Json, answer: Answer) -> list[bytes]:
    begun = {**body, "status": "in_progress", "output": [], "usage": None}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    text = answer.choices[0].content
    item = {**_message(""), "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
        *({"type": "response.output_text.delta", **place, "delta": piece} for piece in texts.pieces(text)),
        {"type": "response.output_text.done", **place, "text": text},
        {"type": "response.content_part.done", **place, "part": {**part, "text": text}},
        {"type": "response.output_item.done", "output_index": 0, "item": body["output"][0]},
        {"type": "response.completed", "response": body},
    ]
    return [
        b"event: " + str(event["type"]).encode() + b"\ndata: " + dumps({**event, "sequence_number": number}) + b"\n\n"
        for number, event in enumerate(events)
    ]
