"""``POST /openai/v1/embeddings``."""

import base64
import struct

from aiohttp import web

from groq_client.simulator import counting, texts
from groq_client.simulator.errors import invalid
from groq_client.simulator.exchange import Exchange
from groq_client.simulator.wire import Json, dumps

_DIMENSIONS = 768


async def embeddings(exchange: Exchange) -> web.StreamResponse:
    """Answer with vectors, always the same ones for the same text."""
    body = exchange.incoming.body
    given = body.get("input")
    inputs = given if isinstance(given, list) else [given]
    if not inputs or not all(isinstance(text, str) for text in inputs):
        raise invalid("'input' : must be a string or a list of strings", param="input")
    count = counting.input_tokens(body, exchange.spec.id)
    exchange.count(count)
    await exchange.pace.sleep(exchange.pace.scaled_seconds(0.005 + count / exchange.spec.prompt_speed))
    data = [_embedding(index, text, body) for index, text in enumerate(inputs)]
    answer: Json = {"object": "list", "data": data, "model": exchange.answered_model}
    if exchange.fault.name != "no-usage":
        answer["usage"] = {"prompt_tokens": count, "total_tokens": count}
    return await exchange.send_json(dumps(answer))


def _embedding(index: int, text: str, body: Json) -> Json:
    source = texts.seeded("embedding", text)
    vector: list[float] | str = [round(source.uniform(-0.1, 0.1), 6) for _ in range(_DIMENSIONS)]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack(f"<{_DIMENSIONS}f", *vector)).decode()
    return {"object": "embedding", "index": index, "embedding": vector}
