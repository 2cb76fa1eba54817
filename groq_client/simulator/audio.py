"""``POST /openai/v1/audio/…``: speech to text and text to speech."""

import asyncio
import io
import math
import struct
import wave
from functools import lru_cache
from typing import BinaryIO, cast

from aiohttp import web

from groq_client.audio import length_of
from groq_client.simulator import texts
from groq_client.simulator.errors import invalid
from groq_client.simulator.exchange import Exchange
from groq_client.simulator.incoming import Upload
from groq_client.simulator.wire import Json, dumps

_WORDS_PER_SECOND = 2.5
_MOST_SENTENCES = 200
_UNKNOWN_SECONDS = 10.0
"""The length in seconds assumed for audio that cannot be read; Groq bills at least this length."""
_CHARACTERS_PER_SECOND = 15
_LONGEST_SPEECH = 2.0
_SAMPLE_RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)


async def transcription(exchange: Exchange) -> web.StreamResponse:
    """Answer a transcription or a translation in the requested format."""
    body, uploads = exchange.incoming.body, exchange.incoming.uploads
    form = body.get("response_format") or "json"
    if form not in ("json", "text", "verbose_json"):
        raise invalid("'response_format' : must be one of json, text, verbose_json", param="response_format")
    if "file" not in uploads and not body.get("url"):
        raise invalid("one of `file` or `url` must be provided", param="file")
    seconds = await asyncio.to_thread(_duration, uploads["file"]) if "file" in uploads else _UNKNOWN_SECONDS
    exchange.count(0)
    await exchange.pace.sleep(exchange.pace.scaled_seconds(0.05 + seconds / exchange.spec.completion_speed))
    text = _transcript(uploads["file"].name if "file" in uploads else "url", seconds)
    if form == "text":
        return await exchange.send(text.encode(), "text/plain; charset=utf-8")
    return await exchange.send_json(dumps(_transcript_json(exchange, form, text, seconds)))


def _transcript_json(exchange: Exchange, form: str, text: str, seconds: float) -> Json:
    answer: Json = {"text": text, "x_groq": {"id": exchange.groq_id}}
    if form == "json":
        return answer
    task = "translate" if exchange.incoming.http.path.endswith("translations") else "transcribe"
    segment = {"id": 0, "seek": 0, "start": 0, "end": seconds, "text": text, "tokens": [], "temperature": 0}
    return {"task": task, "language": "English", "duration": seconds, "segments": [segment], **answer}


def _duration(upload: Upload) -> float:
    found = length_of(cast("BinaryIO", upload.content))
    return float(found.seconds) if found is not None else _UNKNOWN_SECONDS


def _transcript(name: str, seconds: float) -> str:
    count = min(max(round(seconds * _WORDS_PER_SECOND / 12), 1), _MOST_SENTENCES)
    return texts.sentences(texts.seeded("audio", name, seconds), texts.SENTENCES, count)


async def speech(exchange: Exchange) -> web.StreamResponse:
    """Answer with a small WAV file: a quiet tone, shorter than the words would take."""
    body = exchange.incoming.body
    text, rate = body.get("input"), body.get("sample_rate") or 8000
    if not isinstance(text, str) or not text:
        raise invalid("'input' : minimum length is 1", param="input")
    if not body.get("voice"):
        raise invalid("'voice' : property 'voice' is missing", param="voice")
    if rate not in _SAMPLE_RATES:
        raise invalid(f"'sample_rate' : must be one of {_SAMPLE_RATES}", param="sample_rate")
    exchange.count(0)
    seconds = len(text) / _CHARACTERS_PER_SECOND
    await exchange.pace.sleep(exchange.pace.scaled_seconds(0.1 + seconds / 20))
    return await exchange.send(_tone(round(min(seconds, _LONGEST_SPEECH), 1), rate), "audio/wav")


@lru_cache(maxsize=64)
def _tone(seconds: float, rate: int) -> bytes:
    """A WAV file with a tone of 220 Hz."""
    samples = (round(2000 * math.sin(2 * math.pi * 220 * i / rate)) for i in range(max(int(seconds * rate), 1)))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return out.getvalue()
