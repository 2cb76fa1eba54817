"""A request as it came in: read, recorded, and understood as far as every endpoint needs it."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from aiohttp import web

from groq_client.simulator.errors import invalid
from groq_client.simulator.wire import Json


@dataclass(slots=True)
class ReceivedRequest:
    """What a test may ask about a request. Header names are lower-case; ``attempt`` counts from 1.

    ``body`` is the JSON sent, ``fields`` the text parts of a form, ``files`` the name and size of its files.
    ``completed`` turns true when the whole answer was written: it stays false where the client went away.
    """

    method: str
    path: str
    headers: dict[str, str]
    attempt: int
    body: Json | None = None
    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    completed: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form, open for reading."""

    name: str
    size: int
    content: IO[bytes]


@dataclass(frozen=True, slots=True)
class Controls:
    """What the ``x-sim-…`` headers ask for; ``None`` and the empty string mean "not said"."""

    fault: str = ""
    chunks: int | None = None
    chunk_delay: float | None = None
    delay: float | None = None
    retry_after: str = ""
    cached_tokens: int | None = None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "Controls":
        """Read the headers; delays are given in milliseconds and kept in seconds."""
        return cls(
            fault=headers.get("x-sim-fault", ""),
            chunks=_number(headers, "x-sim-chunks", most=1_000_000),
            chunk_delay=_seconds(headers, "x-sim-chunk-delay-ms"),
            delay=_seconds(headers, "x-sim-delay-ms"),
            retry_after=headers.get("x-sim-retry-after", ""),
            cached_tokens=_number(headers, "x-sim-cached-tokens", most=10_000_000),
        )


@dataclass(slots=True)
class Incoming:
    """A request's content: a JSON body or the fields of a form, and the files."""

    http: web.Request
    record: ReceivedRequest
    controls: Controls
    body: Json
    uploads: dict[str, Upload]
    size: int = 0
    """Bytes of a JSON body."""


async def read(http: web.Request, records: "deque[ReceivedRequest]") -> Incoming:
    """Read a request and put it on record before anything can be refused."""
    headers = {name.lower(): value for name, value in http.headers.items()}
    record = ReceivedRequest(http.method, http.path, headers, attempt=_retries(headers) + 1)
    records.append(record)
    incoming = Incoming(http, record, Controls.read(headers), {}, {})
    if http.content_type.startswith("multipart/"):
        await _read_form(incoming)
    elif http.can_read_body:
        raw = await http.read()
        incoming.size = len(raw)
        incoming.body = record.body = _parse(raw)
    return incoming


async def _read_form(incoming: Incoming) -> None:
    for name, value in (await incoming.http.post()).items():
        if isinstance(value, web.FileField):
            size = value.file.seek(0, 2)
            value.file.seek(0)
            incoming.uploads[name] = Upload(value.filename, size, value.file)
            incoming.record.files[name] = (value.filename, size)
        else:
            incoming.record.fields[name] = str(value)
    incoming.body = dict(incoming.record.fields)


def _parse(raw: bytes) -> Json:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise invalid("The request body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise invalid("The request body must be a JSON object.")
    return value


def _retries(headers: Mapping[str, str]) -> int:
    text = headers.get("x-stainless-retry-count", "")
    return int(text) if text.isdecimal() else 0


def _number(headers: Mapping[str, str], name: str, *, most: int) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) > most:
        raise invalid(f"The header {name} takes a whole number up to {most}.")
    return int(text)


def _seconds(headers: Mapping[str, str], name: str) -> float | None:
    milliseconds = _number(headers, name, most=3_600_000)
    return None if milliseconds is None else milliseconds / 1000
