"""Reads an incoming request, records it for tests, and parses the parts that every endpoint needs."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from groq_client.simulator.errors import invalid
from groq_client.simulator.wire import Json


@dataclass(slots=True)
class ReceivedRequest:
    """A request as a test can inspect it. Header names are lower-case; ``attempt`` counts from 1.

    ``body`` is the JSON sent, ``fields`` the text parts of a form, ``files`` the names and sizes of its files.
    ``completed`` turns true when the whole answer was written; it stays false if the client left before.
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
    """The wishes in the ``x-sim-…`` headers; ``None`` and "" mean "not given"."""

    fault: str = ""
    chunks: int | None = None
    chunk_delay: float | None = None
    delay: float | None = None
    retry_after: str = ""
    cached_tokens: int | None = None

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "Controls":
        """Read the headers, which give delays in milliseconds. The delays are kept in seconds."""
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
    """The size of a JSON body in bytes."""


async def read(http: web.Request, records: "deque[ReceivedRequest]") -> Incoming:
    """Read a request and add it to ``records``, before any check can refuse it."""
    headers = {name.lower(): value for name, value in http.headers.items()}
    record = ReceivedRequest(http.method, http.path, headers, attempt=_retries(headers) + 1)
    records.append(record)
    incoming = Incoming(http, record, Controls.read(headers), {}, {})
    if http.content_type.startswith("multipart/"):
        await _read_form(incoming)
    elif http.can_read_body:
        try:
            raw = await http.read()
        except web.RequestPayloadError:
            raise invalid("The request body cannot be decoded.") from None
        incoming.size = len(raw)
        incoming.body = record.body = _parse(raw)
    return incoming


async def _read_form(incoming: Incoming) -> None:
    try:
        form = await incoming.http.post()
    except (ValueError, LookupError, RuntimeError, web.HTTPBadRequest, BadHttpMessage, web.RequestPayloadError):
        raise invalid("The request body is not a valid multipart form.") from None
    for name, value in form.items():
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
