"""A file as lines, however large: plain or gzipped, on disk or on standard input, a bounded piece at a time."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

MAX_LINE = 1 << 20
"""Bytes of a line; a longer one is refused, and only its beginning is kept. An inflated bomb is cut here as well."""
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class DamagedFileError(Exception):
    """The compressed file ends too early or is not what it seems."""


@dataclass(frozen=True, slots=True)
class Line:
    """``number`` counts from 1; ``end`` is where the next line begins, in bytes of the uncompressed file."""

    number: int
    content: bytes
    end: int
    is_too_long: bool = False


class Source:
    """An open file. ``done`` and ``size`` are bytes as they lie on disk, 0 where there is no telling."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw = raw
        self.size = size
        buffered = io.BufferedReader(cast("io.RawIOBase", raw))
        self.is_compressed = buffered.peek(2)[:2] == GZIP_MAGIC
        self._bytes: BinaryIO = cast("BinaryIO", gzip.GzipFile(fileobj=buffered)) if self.is_compressed else buffered

    @property
    def done(self) -> int:
        return self._raw.tell() if self.size else 0

    def lines(self, number: int = 0, offset: int = 0) -> Iterator[Line]:
        """The lines after line ``number``, which ended at ``offset``."""
        try:
            if offset:
                self._bytes.seek(offset)
            yield from self._lines(number, offset)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DamagedFileError(str(error)) from error

    def _lines(self, number: int, end: int) -> Iterator[Line]:
        while content := self._bytes.readline(MAX_LINE + 1):
            number, end = number + 1, end + len(content)
            is_too_long = len(content) > MAX_LINE and not content.endswith(b"\n")
            if is_too_long:
                while rest := self._bytes.readline(MAX_LINE):
                    end += len(rest)
                    if rest.endswith(b"\n"):
                        break
            if number == 1:
                content = content.removeprefix(BYTE_ORDER_MARK)
            yield Line(number, content, end, is_too_long)


@contextmanager
def opened(path: Path | None) -> Iterator[Source]:
    """The file, or standard input for None. OSError if it cannot be read."""
    if path is None:
        yield Source(sys.stdin.buffer, 0)
        return
    with path.open("rb", buffering=0) as raw:
        yield Source(cast("BinaryIO", raw), path.stat().st_size)
