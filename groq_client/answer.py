"""The facts of an answer, read from its bytes while they pass by.

:class:`Answer` is fed the body of a response as it arrives, and never changes it. Of a long stream it reads only the
events that matter (the first ones until there is content, and those with ``usage``, ``x_groq``, ``executed_tools``,
``error`` or a reason to finish). The other events are kept unread: if Groq reports no usage, it is estimated from their
text.
"""

import json
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx

from groq_client.audio import seconds_told
from groq_client.call import Operation, UsagePart
from groq_client.executed_tools import ExecutedTools
from groq_client.usage import (
    ReportedUsage,
    later_parts,
    read_cached_tokens,
    read_parts,
    read_usage,
    sum_of,
    with_cached_tokens,
)

Json = Mapping[str, Any]

MAX_KEPT_EVENTS = 1024 * 1024
"""At most this many bytes of a stream are kept; the usage of the text beyond them is estimated in proportion."""
MAX_KEPT_DOCUMENT = 32 * 1024 * 1024
"""At most this many bytes of a JSON body are kept; the usage of a larger body is estimated."""

_DONE = (b"data: [DONE]", b"data:[DONE]")
_MATTERS = re.compile(rb'"(?:usage|x_groq|error|executed_tools|response\.|finish_reason"\s*:\s*")')
"""Matches the events that must be read. It never matches inside a text, where quotation marks are escaped."""
_LAST_EVENTS = ("response.completed", "response.incomplete", "response.failed")
_TEXT_IN_PART_OF_JSON = re.compile(r'"(content|reasoning|arguments)"\s*:\s*"((?:[^"\\]|\\.)*)')


class Texts:
    """The texts that a model wrote, kept to estimate their tokens."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self._calls: dict[int, list[str]] = {}

    def add(self, message: object) -> None:
        """Adds a message of a completion, or the delta of a chunk."""
        if not isinstance(message, Mapping):
            return
        if isinstance(content := message.get("content"), str):
            self.content.append(content)
        if isinstance(reasoning := message.get("reasoning"), str):
            self.reasoning.append(reasoning)
        calls = message.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, Mapping) and isinstance(function := call.get("function"), Mapping):
                # The pieces of a call in a stream name its index; in a whole message the position is the index.
                index = call.get("index")
                pieces = self._calls.setdefault(index if isinstance(index, int) else position, [])
                pieces += [text for name in ("name", "arguments") if isinstance(text := function.get(name), str)]

    def tool_calls(self) -> list[str]:
        """The name and the arguments of each call."""
        return ["".join(pieces) for pieces in self._calls.values()]

    def __bool__(self) -> bool:
        return any(self.content) or any(self.reasoning) or bool(self._calls)


class Answer:
    """The facts of one answer's body. Times are monotonic nanoseconds."""

    def __init__(self, operation: Operation, content_type: str = "", content_encoding: str = "") -> None:
        self._operation = operation
        kind = content_type.partition(";")[0].strip().lower()
        self.is_events = kind == "text/event-stream"
        self._is_json = kind.endswith("json")
        self._encoding = content_encoding if content_encoding != "identity" else ""
        self._inflate = _inflater(self._encoding)
        self._is_opaque = self.is_events and bool(self._encoding) and self._inflate is None
        """The body is a stream in an encoding (Brotli, Zstandard) that can be decoded only when all bytes are there."""
        self._rest = b""
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._passed_bytes = 0
        self._document: Json | None = None

        self.model = ""
        self.groq_id = ""
        self.response_id = ""
        self.service_tier = ""
        self.reported: ReportedUsage | None = None
        self.parts: tuple[UsagePart, ...] = ()
        self.tools = ExecutedTools()
        self.audio_seconds: Decimal | None = None
        self.error: Json | None = None
        """The error event in the middle of the stream, which the SDK raises."""
        self.stopped = ""
        """The reason for which Groq stopped a stream early; the SDK raises nothing for it."""
        self.is_complete = False
        """The end mark of a stream, or the last byte of a body that is no stream, has passed."""
        self.is_broken = False
        """A part of the body that should have been JSON could not be parsed."""
        self.has_finished = False
        """The model has given its reason to finish, so that the stream's text is complete."""
        self.first_content_ns: int | None = None
        self.last_ns = time.monotonic_ns()
        """The time at which the last bytes came; until the body begins, the time at which the headers came."""

    @property
    def is_counted(self) -> bool:
        """Groq has reported the whole usage, and no zero in it that the rest of the answer could contradict."""
        reported = self.reported
        return reported is not None and bool(
            reported.input_tokens and (reported.output_tokens or self._operation == "embedding")
        )

    @property
    def is_whole(self) -> bool:
        """No part of the answer is missing, even if a stream's end mark has not passed."""
        is_told = self.reported is not None and self.reported.is_whole
        return self.is_complete or (self.has_finished and is_told)

    @property
    def is_foreign(self) -> bool:
        """The body is neither JSON nor events, so that it comes from a proxy on the way and not from Groq."""
        return not (self.is_events or self._is_json) and self._operation in ("chat", "embedding")

    def feed(self, chunk: bytes) -> bool:
        """Takes in the next bytes as they came over the wire. True if the SDK will raise an error for these bytes."""
        self.last_ns = time.monotonic_ns()
        if self._is_opaque or not self.is_events:
            self._keep_document(chunk)
            return False
        if self._inflate is not None:
            chunk = self._inflate(chunk)
        if self._rest:
            chunk = self._rest + chunk
            self._rest = b""
        if self._has_begun and _is_plain(chunk):
            self._keep(chunk)
            return False
        lines = chunk.splitlines()
        if lines and chunk[-1:] not in (b"\n", b"\r"):
            self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                self._pass_event(line)
        return self.error is not None or self.is_broken

    def end(self) -> None:
        """Notes that the last byte of the body has passed."""
        if self._is_opaque:
            self._pass_decoded(self._decoded())
        elif self.is_events:
            if self._rest.startswith(b"data:"):
                self._pass_event(self._rest)
        elif self._is_json and self._passed_bytes <= MAX_KEPT_DOCUMENT:
            self.take_document(self._decoded())
            self._kept.clear()
        else:
            self.is_complete = True

    def take_document(self, body: bytes) -> None:
        """Takes in a whole decoded body."""
        self.is_complete = True
        if self.is_events:
            self._pass_decoded(body)
        elif self._is_json:
            try:
                data = json.loads(body)
            except (ValueError, RecursionError):
                self.is_broken = True
                return
            if isinstance(data, Mapping):
                self.read(data)

    def read(self, document: Json) -> None:
        """Takes in a whole body that is parsed already."""
        self.is_complete = True
        self._document = document
        self._take(document)

    def texts(self) -> tuple[Texts, float]:
        """The texts that were kept, and the factor from their length to the length of all that was delivered."""
        if self._is_opaque:
            self._pass_decoded(self._decoded())
        texts = Texts()
        if self._document is not None:
            _add_choices(texts, self._document)
            return texts, 1.0
        if not self.is_events:
            _add_part_of_document(texts, self._decoded() if self._kept else b"")
            return texts, 1.0
        for data in self._kept_events():
            _add_choices(texts, data)
        return texts, self._passed_bytes / self._kept_bytes if self._kept_bytes else 1.0

    def believed(self) -> ReportedUsage | None:
        """The usage that Groq reported, without counts that the answer contradicts. Call it before :meth:`forget`."""
        reported = self.reported
        if self.parts:
            told = sum_of(self.parts)
            reported = reported.after(told) if reported is not None else told
        if reported is None or self.is_counted:
            return reported
        if self._operation == "embedding":
            return replace(reported, input_tokens=reported.input_tokens or None)
        return reported.believed(text_came=bool(self.texts()[0]))

    def forget(self) -> None:
        """Drops everything that is content."""
        self._kept.clear()
        self._rest = b""
        self._document = None

    def _keep_document(self, chunk: bytes) -> None:
        if self._is_opaque and self.first_content_ns is None:
            self.first_content_ns = self.last_ns
        if (self._is_json or self._is_opaque) and self._passed_bytes <= MAX_KEPT_DOCUMENT:
            self._kept.append(chunk)
        self._passed_bytes += len(chunk)

    def _pass_event(self, line: bytes) -> None:
        if line.startswith(_DONE):
            self.is_complete = True
            return
        # An event that is not whole JSON has to be read too, because the SDK raises an error for it.
        if not self._has_begun or not line.endswith(b"}") or _MATTERS.search(line):
            self._read_event(line)
        self._keep(line)

    @property
    def _has_begun(self) -> bool:
        """The first events, which alone tell the ids and the model, have been read."""
        return self.first_content_ns is not None and self.model != ""

    def _keep(self, events: bytes) -> None:
        if self.is_counted:
            return
        self._passed_bytes += len(events)
        if self._kept_bytes < MAX_KEPT_EVENTS:
            self._kept.append(events)
            self._kept_bytes += len(events)

    def _read_event(self, line: bytes) -> None:
        try:
            data = json.loads(line[5:])
        except (ValueError, RecursionError):
            self.is_broken = True
            return
        if not isinstance(data, Mapping):
            return
        self._take(data)
        if self.is_counted:
            self._kept.clear()
        if self.first_content_ns is None:
            texts = Texts()
            _add_choices(texts, data)
            if texts:
                self.first_content_ns = self.last_ns

    def _take(self, data: Json) -> None:
        """Reads a chunk, or the whole of a non-streaming answer."""
        if self.is_events and isinstance(error := data.get("error"), Mapping | str) and error:
            self.error = error if isinstance(error, Mapping) else {"message": error}
        if data.get("type") in _LAST_EVENTS and isinstance(response := data.get("response"), Mapping):
            self.is_complete = True
            data = response
        if isinstance(model := data.get("model"), str) and model:
            self.model = model
        if isinstance(response_id := data.get("id"), str) and response_id:
            self.response_id = response_id
        if isinstance(tier := data.get("service_tier"), str):
            self.service_tier = tier
        if self._operation in ("transcription", "translation"):
            self.audio_seconds = seconds_told(data) or self.audio_seconds
        x_groq = data.get("x_groq")
        if not isinstance(x_groq, Mapping):
            x_groq = {}
        if isinstance(groq_id := x_groq.get("id"), str) and groq_id:
            self.groq_id = groq_id
        if isinstance(stopped := x_groq.get("error"), str):
            self.stopped = stopped
        self._take_usage(data, x_groq)
        self.has_finished = self.has_finished or _has_finished(data)
        self.tools.take(data)

    def _take_usage(self, data: Json, x_groq: Json) -> None:
        """Keeps the usage of this chunk. Groq may send it twice, in ``x_groq`` and ``usage``: the last one counts.

        A zero never replaces an earlier count, because some chunks and some proxies bring an empty usage at the end.
        """
        for raw in (x_groq.get("usage"), data.get("usage")):
            if raw is None:
                continue
            reported = read_usage(raw, has_output=self._operation != "embedding")
            if reported is not None:
                reported = with_cached_tokens(reported, read_cached_tokens(x_groq.get("usage")))
                self.reported = reported.after(self.reported)
        for breakdown in (x_groq.get("usage_breakdown"), data.get("usage_breakdown")):
            if breakdown is not None:
                self.parts = later_parts(read_parts(breakdown), self.parts)

    def _kept_events(self) -> Iterator[Json]:
        for line in b"\n".join(self._kept).splitlines():
            if not line.startswith(b"data:"):
                continue
            try:
                data = json.loads(line[5:])
            except (ValueError, RecursionError):
                self.is_broken = True
                continue
            if isinstance(data, Mapping):
                yield data

    def _pass_decoded(self, body: bytes) -> None:
        """Reads events that were decoded when the stream was over; their times are those at which the bytes came."""
        self._kept.clear()
        self._kept_bytes = self._passed_bytes = 0
        self._is_opaque = False
        for line in body.splitlines():
            if line.startswith(b"data:"):
                self._pass_event(line)

    def _decoded(self) -> bytes:
        return decoded(b"".join(self._kept), self._encoding)


def decoded(body: bytes, encoding: str) -> bytes:
    """``body`` without its content encoding; empty if it is not in that encoding."""
    if not encoding:
        return body
    try:
        # A response is made only to decode the body, because httpx has no public decoder.
        return httpx.Response(200, headers={"content-encoding": encoding}, content=body).content
    except httpx.HTTPError:
        return b""


def _is_plain(chunk: bytes) -> bool:
    """Whether ``chunk`` consists of whole JSON events that need not be read. Nearly all chunks of a stream do."""
    whole = chunk.count(b"}\n\n")
    return whole > 0 and chunk.endswith(b"}\n\n") and whole == chunk.count(b"\n\n") and _MATTERS.search(chunk) is None


def _inflater(encoding: str) -> Any:
    """A decoder of gzip or deflate that takes a body piece by piece; ``None`` for other encodings."""
    if encoding.strip().lower() in ("gzip", "deflate"):
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
    return None


def _has_finished(data: Json) -> bool:
    choices = data.get("choices")
    return any(
        isinstance(choice, Mapping) and isinstance(choice.get("finish_reason"), str)
        for choice in (choices if isinstance(choices, list) else ())
    )


def _add_choices(texts: Texts, data: Json) -> None:
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, Mapping):
            texts.add(choice.get("delta") or choice.get("message"))
    if isinstance(text := data.get("delta"), str):  # The events of the Responses API.
        texts.content.append(text)


def _add_part_of_document(texts: Texts, body: bytes) -> None:
    """Adds the texts that can be read from a JSON body that was cut off."""
    for name, text in _TEXT_IN_PART_OF_JSON.findall(body.decode(errors="replace")):
        (texts.reasoning if name == "reasoning" else texts.content).append(text)
