"""The length of an audio file, by which a transcription is billed and which Groq seldom reports.

A file object keeps its position. Each family of containers has a small reader here, because no library was fit for it:
libraries that read only headers repeat wrong claims of the headers (`tests/data/audio/README.md` has the figures), and
those that decode would bring many megabytes of native code into the caller's program.
"""

import io
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import BinaryIO, cast

from groq_client.audio.flac import flac_length
from groq_client.audio.frames import after_tags, frames_length
from groq_client.audio.mp4 import mp4_length
from groq_client.audio.ogg import ogg_length
from groq_client.audio.program_stream import program_stream_length
from groq_client.audio.source import Length, Source, as_seconds
from groq_client.audio.wav import wav_length
from groq_client.audio.webm import webm_length

__all__ = ["Length", "audio_file", "length_of", "seconds_told"]

LARGEST_FILE = 256 * 1024 * 1024
"""Bytes; larger files are not read, and their length is unknown. Groq takes at most 100 MB."""


def audio_file(files: object) -> bytes | BinaryIO | None:
    """The content of the field ``file`` among an SDK request's ``files``: bytes or a seekable file object."""
    entries: Iterable[object] = files.items() if isinstance(files, Mapping) else _entries(files)
    for entry in entries:
        if isinstance(entry, tuple) and len(entry) == 2 and entry[0] == "file":
            return _content(entry[1])
    return None


def length_of(content: bytes | BinaryIO) -> Length | None:
    """The length of ``content``, or ``None`` if the length is unknown."""
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        position = file.tell()
    except (OSError, ValueError):
        return None
    try:
        return _measured(Source(file))
    except Exception:  # An upload may hold any bytes, also such as a reader does not expect.
        return None
    finally:
        file.seek(position)


def seconds_told(answer: Mapping[str, object]) -> Decimal | None:
    """The length in seconds in an answer's JSON, from its most exact field; ``None`` if it has none or only zeros."""
    x_groq = answer.get("x_groq")
    usages = (place.get("usage") for place in (answer, x_groq) if isinstance(place, Mapping))
    for place in (answer, x_groq, *usages):
        for name in ("duration", "seconds"):
            if isinstance(place, Mapping) and (seconds := as_seconds(place.get(name))):
                return seconds
    return None


def _measured(source: Source) -> Length | None:
    if source.size > LARGEST_FILE:
        return None
    start = after_tags(source)
    head = source.read(start, 12)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] == b"WAVE":
        return wav_length(source, start)
    if head.startswith(b"fLaC"):
        return flac_length(source, start)
    if head.startswith(b"OggS"):
        return ogg_length(source, start)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return webm_length(source)
    if head.startswith(b"\x00\x00\x01\xba"):
        return program_stream_length(source)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp"):
        return mp4_length(source)
    return frames_length(source, start)


def _entries(files: object) -> Iterable[object]:
    return files if isinstance(files, list | tuple) else ()


def _content(file: object) -> bytes | BinaryIO | None:
    content = file[1] if isinstance(file, tuple) and len(file) > 1 else file
    if isinstance(content, bytes | bytearray):
        return bytes(content)
    file = cast("BinaryIO", content)
    try:
        return file if file.seekable() else None
    except Exception:  # The object is no file, or the file is closed.
        return None
