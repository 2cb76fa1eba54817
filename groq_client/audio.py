"""How long an audio file is: what a transcription is billed by, and what Groq does not say.

A file object is read where it stands and left where it stood.
"""

import io
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import BinaryIO, cast

from groq_client.webm import MAGIC, webm_seconds

MILLISECOND = Decimal("0.001")
LONGEST_SECONDS = Decimal(1_000_000)


def audio_file(files: object) -> bytes | BinaryIO | None:
    """The content of the field ``file`` among an SDK request's ``files``: bytes or a seekable file object."""
    entries: Iterable[object] = files.items() if isinstance(files, Mapping) else _entries(files)
    for entry in entries:
        if isinstance(entry, tuple) and len(entry) == 2 and entry[0] == "file":
            return _content(entry[1])
    return None


def seconds_of(content: bytes | BinaryIO) -> Decimal | None:
    """The length of ``content`` to the millisecond, or ``None`` where it cannot be told."""
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        position = file.tell()
    except (OSError, ValueError):
        return None
    try:
        return _measured(file)
    except Exception:  # The parser meets whatever people upload.
        return None
    finally:
        file.seek(position)


def as_seconds(value: object) -> Decimal | None:
    """A duration out of JSON, as a number or as text; ``None`` if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        seconds = Decimal(str(value))
    except InvalidOperation:
        return None
    if not seconds.is_finite() or not 0 <= seconds < LONGEST_SECONDS:
        return None
    return seconds.quantize(MILLISECOND)


def _measured(file: BinaryIO) -> Decimal | None:
    from tinytag import TinyTag

    file.seek(0)
    if file.read(len(MAGIC)) == MAGIC:
        return as_seconds(webm_seconds(file))
    file.seek(0)
    tag = TinyTag.get(file_obj=file, tags=False)
    seconds = tag.duration
    if seconds and tag.bitrate:
        # A header may promise more than the file holds: streamed WAV files say 4 GiB.
        seconds = min(seconds, tag.filesize * 8 / (tag.bitrate * 1000))
    return as_seconds(seconds) if seconds else None


def _entries(files: object) -> Iterable[object]:
    return files if isinstance(files, list | tuple) else ()


def _content(file: object) -> bytes | BinaryIO | None:
    content = file[1] if isinstance(file, tuple) and len(file) > 1 else file
    if isinstance(content, bytes | bytearray):
        return bytes(content)
    file = cast("BinaryIO", content)
    try:
        return file if file.seekable() else None
    except Exception:  # No file, or one that is closed.
        return None
