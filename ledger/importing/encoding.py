"""Conversion of a file to UTF-8 with line feeds. Excel saves "Unicode text" as UTF-16, and on a Mac it ends lines with
carriage returns.

Bytes that are not valid text stay invalid in the result, so that only the line that contains them is refused.
"""

import codecs
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK = 64 * 1024
MARKS = {codecs.BOM_UTF8: None, codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""The byte order marks with their encodings. None stands for UTF-8, which is also the encoding of files without one."""


class Utf8(io.RawIOBase):
    """A stream of ``source`` as UTF-8, without its byte order mark.

    The first line end decides about all others: if it is a single carriage return, each carriage return is replaced by
    a line feed. This changes the position of no byte.
    """

    def __init__(self, source: io.BufferedIOBase) -> None:
        self._source = source
        self._rest: bytes | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._has_returns = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        if self._rest is None:
            self._rest = self._beginning()
        while not self._rest and (chunk := self._source.read1(CHUNK)):
            self._rest = self._recoded(chunk)
        if not self._rest:
            self._rest = self._recoded(b"")
        taken, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(taken)] = taken.replace(b"\r", b"\n") if self._has_returns else taken
        return len(taken)

    def _beginning(self) -> bytes:
        """Read the first line, or CHUNK bytes of a longer one, and find the encoding and the line ends of the file."""
        head = b""
        while b"\n" not in head and len(head) < CHUNK and (chunk := self._source.read1(CHUNK)):
            head += chunk
        for mark, encoding in MARKS.items():
            if head.startswith(mark):
                head = head.removeprefix(mark)
                self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass") if encoding else None
        beginning = self._recoded(head)
        first = beginning.find(b"\r")
        self._has_returns = first >= 0 and b"\n" not in beginning[: first + 2]
        return beginning

    def _recoded(self, chunk: bytes) -> bytes:
        """The chunk as UTF-8. An empty chunk ends the file, and gives the bytes that are left in the decoder."""
        if self._decoder is None:
            return chunk
        try:
            return self._decoder.decode(chunk, final=not chunk).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError:  # the file ends within a character, which becomes an invalid byte
            self._decoder = None
            return b"\xff"
