"""What an answer tells, seen while its bytes pass by.

:class:`Answer` is fed the body of a response as it arrives, and never changes it. Of a long stream it reads only the
events that matter (the first ones until there is content, and those with ``usage``, ``x_groq`` or ``error``); the
others are put by unread, for the case that Groq reports no usage and it has to be estimated from the text.
"""

import json
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import httpx

from groq_client.audio import as_seconds
from groq_client.call import Operation, UsagePart
from groq_client.usage import ReportedUsage, read_cached_tokens, read_parts, read_usage, with_cached_tokens

Json = Mapping[str, Any]

MAX_KEPT_EVENTS = 1024 * 1024
"""Bytes of a stream that are put by; text beyond them is estimated in proportion."""
MAX_KEPT_DOCUMENT = 32 * 1024 * 1024
"""Bytes of a JSON body that are put by; the usage of a larger one is estimated."""

_DONE = (b"data: [DONE]", b"data:[DONE]")
_MATTERS = re.compile(rb'"(?:usage|x_groq|error|response\.)')
"""Marks of the events that are read. Inside a text their quotation marks would be escaped."""
_LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_TEXT_IN_PART_OF_JSON = re.compile(r'"(content|reasoning|arguments)"\s*:\s*"((?:[^"\\]|\\.)*)')


class Texts:
    """What a model wrote, for an estimate of its tokens."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self._calls: dict[object, list[str]] = {}

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
                # A call arrives in pieces, which have its index; a whole message's calls have only their position.
                pieces = self._calls.setdefault(call.get("index", position), [])
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
        """Events in an encoding (Brotli, Zstandard) that is only decoded when all of it is there."""
        self._rest = b""
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._passed_bytes = 0
        self._document: Json | None = None

        self.model = ""
        self.groq_id = ""
        self.service_tier = ""
        self.reported: ReportedUsage | None = None
        self.parts: tuple[UsagePart, ...] = ()
        self.audio_seconds: Decimal | None = None
        self.error: Json | None = None
        """An error event in mid-stream: the SDK raises it."""
        self.stopped = ""
        """Why Groq stopped a stream early: the SDK only hands it on."""
        self.is_complete = False
        """The end mark of a stream, or the whole of another body, has passed."""
        self.is_broken = False
        """Something that should have been JSON was none."""
        self.first_content_ns: int | None = None
        self.last_ns: int | None = None

    @property
    def is_counted(self) -> bool:
        """Groq has reported all that was used: nothing has to be estimated."""
        return self.reported is not None and self.reported.is_whole

    @property
    def is_foreign(self) -> bool:
        """The body is neither JSON nor events: not Groq's, but a page of some proxy on the way."""
        return not (self.is_events or self._is_json) and self._operation in ("chat", "embedding")

    def feed(self, chunk: bytes) -> bool:
        """Takes in the next bytes as they came over the wire. True once the SDK will raise for what has passed."""
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
        """The body has passed to its last byte."""
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
        """The whole of a body, decoded."""
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
                self._document = data
                self._take(data)

    def texts(self) -> tuple[Texts, float]:
        """What the model wrote as far as it was seen, and by how much it must be scaled to what was delivered."""
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
        # What is no whole JSON is read as well: the SDK will raise when it comes to it.
        if not self._has_begun or not line.endswith(b"}") or _MATTERS.search(line):
            self._read_event(line)
        self._keep(line)

    @property
    def _has_begun(self) -> bool:
        """The first events have told what only they tell."""
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
        if isinstance(tier := data.get("service_tier"), str):
            self.service_tier = tier
        if self._operation in ("transcription", "translation"):
            self.audio_seconds = as_seconds(data.get("duration"))
        x_groq = data.get("x_groq")
        if not isinstance(x_groq, Mapping):
            x_groq = {}
        if isinstance(groq_id := x_groq.get("id"), str) and groq_id:
            self.groq_id = groq_id
        if isinstance(stopped := x_groq.get("error"), str):
            self.stopped = stopped
        self._take_usage(data, x_groq)

    def _take_usage(self, data: Json, x_groq: Json) -> None:
        """The same usage may come twice, in ``x_groq`` and in ``usage``: the last one stands, nothing is added."""
        for raw in (x_groq.get("usage"), data.get("usage")):
            reported = read_usage(raw, has_output=self._operation != "embedding")
            if reported is not None and (reported.is_whole or not self.is_counted):
                self.reported = with_cached_tokens(reported, read_cached_tokens(x_groq.get("usage")))
        for breakdown in (x_groq.get("usage_breakdown"), data.get("usage_breakdown")):
            self.parts = read_parts(breakdown) or self.parts

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
        """Events that could only be read when the stream was over: their times are those of its bytes."""
        self._kept.clear()
        self._kept_bytes = self._passed_bytes = 0
        self._is_opaque = False
        for line in body.splitlines():
            if line.startswith(b"data:"):
                self._pass_event(line)

    def _decoded(self) -> bytes:
        body = b"".join(self._kept)
        if not self._encoding:
            return body
        try:
            # A response of our own, because httpx decodes what it was asked to accept and shares no decoder.
            return httpx.Response(200, headers={"content-encoding": self._encoding}, content=body).content
        except httpx.HTTPError:
            return b""


def _is_plain(chunk: bytes) -> bool:
    """Whether ``chunk`` is made of whole events of JSON, none of which matters: nearly all of a long stream is."""
    whole = chunk.count(b"}\n\n")
    return whole > 0 and chunk.endswith(b"}\n\n") and whole == chunk.count(b"\n\n") and _MATTERS.search(chunk) is None


def _inflater(encoding: str) -> Any:
    """Decodes gzip and deflate piece by piece."""
    if encoding.strip().lower() in ("gzip", "deflate"):
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
    return None


def _add_choices(texts: Texts, data: Json) -> None:
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, Mapping):
            texts.add(choice.get("delta") or choice.get("message"))
    if isinstance(text := data.get("delta"), str):  # The events of the Responses API.
        texts.content.append(text)


def _add_part_of_document(texts: Texts, body: bytes) -> None:
    """The texts in JSON that was cut off."""
    for name, text in _TEXT_IN_PART_OF_JSON.findall(body.decode(errors="replace")):
        (texts.reasoning if name == "reasoning" else texts.content).append(text)
