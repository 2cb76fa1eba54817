"""``POST /openai/v1/chat/completions``."""

import asyncio
from dataclasses import replace

from aiohttp import web

from groq_client.simulator import texts
from groq_client.simulator.answers import Answer, Asked, answer_chat, read_chat
from groq_client.simulator.exchange import FOREVER, Exchange
from groq_client.simulator.frames import stream_frames
from groq_client.simulator.outgoing import cut_connection, write_frames, write_split
from groq_client.simulator.payloads import Envelope, completion_json
from groq_client.simulator.wire import dumps

_INLINE_BYTES = 32_768
"""Prompts of at most this many bytes are counted in the event loop; a longer one would stall the other streams."""
_INLINE_CHUNKS = 10_000
_SLOW_CHUNK_GAP = 0.2


async def chat(exchange: Exchange) -> web.StreamResponse:
    """Answer a chat request, streamed or not."""
    asked = replace(
        read_chat(exchange.incoming.body, exchange.spec, exchange.model),
        chunks=exchange.incoming.controls.chunks,
        cached_tokens=exchange.incoming.controls.cached_tokens,
        tricky=exchange.fault.name == "split-utf8",
    )
    large = exchange.incoming.size > _INLINE_BYTES or _has_many_chunks(asked)
    answer = await asyncio.to_thread(answer_chat, asked) if large else answer_chat(asked)
    answer = _timed(exchange, asked, answer)
    exchange.count(answer.tokens.prompt + answer.tokens.completion)
    envelope = Envelope(exchange.groq_id, exchange.answered_model, exchange.fault.name)
    if asked.stream:
        return await _stream(exchange, asked, answer, envelope)
    return await _whole(exchange, asked, answer, envelope)


def _has_many_chunks(asked: Asked) -> bool:
    return (asked.chunks or 0) > _INLINE_CHUNKS


def _timed(exchange: Exchange, asked: Asked, answer: Answer) -> Answer:
    """The answer with its real times, at the simulator's speed and with the requested gap between chunks."""
    timing = exchange.pace.scaled(answer.timing)
    if asked.stream and (gap := _asked_gap(exchange)) is not None:
        words = sum(len(texts.pieces(choice.reasoning + choice.content)) for choice in answer.choices)
        timing = replace(timing, completion=gap * (asked.chunks or words or 1))
    return replace(answer, timing=timing)


def _asked_gap(exchange: Exchange) -> float | None:
    if exchange.incoming.controls.chunk_delay is not None:
        return exchange.incoming.controls.chunk_delay
    return _SLOW_CHUNK_GAP if exchange.fault.name == "slow-chunks" else None


async def _whole(exchange: Exchange, asked: Asked, answer: Answer, envelope: Envelope) -> web.StreamResponse:
    await exchange.pace.sleep(answer.timing.queue + answer.timing.total)
    return await exchange.send_json(dumps(completion_json(asked, answer, envelope)))


async def _stream(exchange: Exchange, asked: Asked, answer: Answer, envelope: Envelope) -> web.StreamResponse:
    parts = (asked, answer, envelope)
    frames = await asyncio.to_thread(stream_frames, *parts) if _has_many_chunks(asked) else stream_frames(*parts)
    await exchange.pace.sleep(answer.timing.until_first_token)
    gap = _asked_gap(exchange)
    if gap is None:
        gap = answer.timing.completion / len(frames) if exchange.pace.sleeps else 0
    response = web.StreamResponse(headers=exchange.headers({"content-type": "text/event-stream"}))
    response.headers["cache-control"] = "no-cache"
    await response.prepare(exchange.incoming.http)
    if exchange.fault.name == "split-utf8":
        await write_split(response, frames)
    else:
        await write_frames(response, frames, gap)
    if exchange.fault.name == "cut":
        await cut_connection(exchange.incoming.http)
    elif exchange.fault.name == "never-done":
        await asyncio.sleep(FOREVER)
    else:
        await response.write_eof()
    return response
