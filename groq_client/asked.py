"""Reads what a call asks for from the request that is about to be sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from groq_client.audio import audio_file
from groq_client.call import Operation, Usage

Json = Mapping[str, Any]

# The last parts of the paths of everything that Groq bills. Models, files and the management of batches cost nothing.
_OPERATIONS: dict[tuple[str, str], Operation] = {
    ("chat", "completions"): "chat",
    ("v1", "completions"): "chat",
    ("v1", "responses"): "chat",
    ("audio", "transcriptions"): "transcription",
    ("audio", "translations"): "translation",
    ("audio", "speech"): "speech",
    ("v1", "embeddings"): "embedding",
}
MAX_RAW_BODY = 32 * 1024 * 1024
BYTES_OF_A_TOKEN = 4


@dataclass(slots=True)
class Asked:
    """One request: its operation, its JSON or form fields, and its audio. It is dropped when the call ends."""

    operation: Operation
    body: Json = field(default_factory=dict)
    audio: bytes | BinaryIO | None = None
    streams: bool = False

    @property
    def model(self) -> str:
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    @property
    def characters(self) -> int:
        """The length of the text that a speech call reads aloud, by which the call is billed."""
        text = self.body.get("input")
        return len(text) if self.operation == "speech" and isinstance(text, str) else 0

    def roughly(self) -> Usage:
        """A quick, rough estimate of what is sent, for a call that gets no answer or whose process dies."""
        if self.operation == "chat":
            size = _size(self.body.get("messages")) + _size(self.body.get("prompt")) + _size(self.body.get("input"))
        elif self.operation == "embedding":
            size = _size(self.body.get("input"))
        else:
            return Usage(characters=self.characters, estimated=True)
        tokens = -(-size // BYTES_OF_A_TOKEN)
        return Usage(input_tokens=tokens, total_tokens=tokens, estimated=True)


def operation_of(method: str, url: str) -> Operation | None:
    """The billed operation behind a request, or ``None`` if it costs nothing."""
    if method.upper() != "POST":
        return None
    parts = url.partition("?")[0].rstrip("/").split("/")
    return _OPERATIONS.get((parts[-2], parts[-1])) if len(parts) > 1 else None


def asked_of(
    operation: Operation,
    *,
    json_data: object = None,
    extra_json: object = None,
    content: object = None,
    files: object = None,
    stream: bool = False,
) -> Asked:
    """Reads a request in the forms in which the SDK holds it. A part that cannot be read counts as empty."""
    body = json_data if json_data is not None else content
    if isinstance(body, bytes | bytearray | str):
        body = _parsed(body)
    read = dict(body) if isinstance(body, Mapping) else {}
    if isinstance(extra_json, Mapping):
        read.update(extra_json)
    return Asked(
        operation=operation,
        body=read,
        audio=audio_file(files) if operation in ("transcription", "translation") else None,
        streams=stream or read.get("stream") is True,
    )


def _parsed(body: bytes | bytearray | str) -> object:
    if len(body) > MAX_RAW_BODY:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _size(value: object, depth: int = 3) -> int:
    """Bytes of the texts in messages, their parts or a list of inputs; pictures and other parts count as 0."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    if not depth:
        return 0
    if isinstance(value, list | tuple):
        return sum(_size(item, depth - 1) for item in value)
    if isinstance(value, Mapping):
        return _size(value.get("content", value.get("text")), depth)
    return 0
