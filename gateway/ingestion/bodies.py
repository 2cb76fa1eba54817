"""Reading the body of a request, which may be compressed. At most the allowed size is ever decompressed."""

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from django.http import HttpRequest

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

GZIP = 16 + zlib.MAX_WBITS
MAX_VALUES = 1_000_000
"""At most this many values are in a body. A value of two bytes can take fifty in memory once it is parsed, and nothing
else in the process goes on meanwhile."""
ZSTD_WINDOW_LOG = 23
"""A zstd body may need a window of at most 8 MiB, as on the web (RFC 9659)."""


class BodyRefusedError(Exception):
    """The body cannot be read; the message says what to do. ``status`` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Decompressor(Protocol):
    """What zlib and zstd have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def body_of(request: HttpRequest, limit: int) -> bytes:
    """The decompressed body. BodyRefusedError if it, or what was sent, has more than ``limit`` bytes."""
    sent = request.read(limit + 1)
    if len(sent) > limit:
        raise _too_large(limit)
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return sent
    new = _DECOMPRESSORS.get(encoding)
    if new is None:
        raise BodyRefusedError(415, "The Content-Encoding must be gzip, zstd or deflate, or be left out.")
    try:
        return _decompressed(sent, new, limit)
    except (zlib.error, ZstdError, EOFError):
        raise BodyRefusedError(400, f"The body is not complete and valid {encoding}.") from None


def refuse_many_values_of_json(body: bytes) -> None:
    """BodyRefusedError if the JSON has more than MAX_VALUES values, more or less, which is seen without parsing it: an
    object in a list has a comma and a brace. Those within texts are counted too, but no text of size has so many."""
    _refuse_many((body.count(b",") + body.count(b"[") + body.count(b"{")) // 2)


def refuse_many_messages_of_protobuf(body: bytes) -> None:
    """BodyRefusedError if the body has more than MAX_VALUES short messages within messages, counted without parsing it:
    a tag is followed by a short length. Lengths that are also blanks of a text are not counted (9, 10 and 13)."""
    _refuse_many(body.translate(_TAGS_AND_LENGTHS).count(b"TL"))


# The tag of a message or a text is the number of its field, up to 15, and 2 in its last three bits. A number that is
# written in more bytes than it needs has bytes of 128 and more before its last one.
_TAGS = {number << 3 | 2 for number in range(1, 16)} | set(range(128, 256))
_LENGTHS = set(range(16)) - {9, 10, 13}
_TAGS_AND_LENGTHS = bytes(ord("T" if byte in _TAGS else "L" if byte in _LENGTHS else " ") for byte in range(256))


def _refuse_many(values: int) -> None:
    if values > MAX_VALUES:
        raise BodyRefusedError(413, f"The body has more than {MAX_VALUES:,} values. Send it in parts.")


def _decompressed(sent: bytes, new: Callable[[], Decompressor], limit: int) -> bytes:
    """A body may consist of several compressed pieces, one after the other."""
    pieces, size = [], 0
    while sent:
        decompressor = new()
        piece = decompressor.decompress(sent, limit + 1 - size)
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        if not decompressor.eof:
            raise EOFError
        pieces.append(piece)
        sent = decompressor.unused_data
    return b"".join(pieces)


def _too_large(limit: int) -> BodyRefusedError:
    return BodyRefusedError(413, f"The body has more than {limit:,} bytes, decompressed or not. Send it in parts.")


_DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "gzip": lambda: zlib.decompressobj(GZIP),
    "deflate": zlib.decompressobj,
    "zstd": lambda: ZstdDecompressor(options={DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}),
}
