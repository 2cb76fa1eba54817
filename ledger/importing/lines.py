"""Reading a file as lines of UTF-8. The file may be plain or gzipped, on disk or on standard input, and of any size,
because only a limited piece is in memory at a time."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ledger.importing.encoding import CHUNK, Utf8

MAX_LINE = 1 << 20
"""The largest size of a line in bytes. Longer lines are refused, and only their beginning is kept, so that a gzip bomb
cannot fill the memory."""
GZIP_MAGIC = b"\x1f\x8b"


class DamagedFileError(Exception):
    """The compressed file ends too early, or is not valid gzip."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file. ``number`` counts from 1. ``end`` is the next line's position in bytes of the UTF-8 text."""

    number: int
    content: bytes
    end: int
    is_too_long: bool = False


class Source:
    """An open file. ``done`` is the number of bytes that are read, and ``size`` the number of all bytes. Both count the
    bytes on disk, before they are decompressed, and are 0 for standard input."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw = raw
        self.size = size
        buffered = io.BufferedReader(cast("io.RawIOBase", raw))
        self.is_compressed = buffered.peek(2)[:2] == GZIP_MAGIC
        plain: io.BufferedIOBase = gzip.GzipFile(fileobj=buffered) if self.is_compressed else buffered
        self._bytes = io.BufferedReader(Utf8(plain), CHUNK)
        self._position = 0

    @property
    def done(self) -> int:
        return self._raw.tell() if self.size else 0

    def lines(self, number: int = 0, offset: int = 0) -> Iterator[Line]:
        """The lines after line ``number``, which ended at byte ``offset``. Nothing beyond ``offset`` may have been read
        before. DamagedFileError if the compressed file is damaged."""
        try:
            while missing := max(0, offset - self._position):
                skipped = len(self._bytes.read(min(missing, CHUNK)))
                self._position += skipped or missing
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
            self._position = end
            yield Line(number, content, end, is_too_long)


@contextmanager
def opened(path: Path | None) -> Iterator[Source]:
    """The opened file, or standard input if ``path`` is None. OSError if the file cannot be read."""
    if path is None:
        yield Source(sys.stdin.buffer, 0)
        return
    with path.open("rb", buffering=0) as raw:
        yield Source(cast("BinaryIO", raw), path.stat().st_size)
