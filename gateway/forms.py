"""Reads a form while it passes: its fields, and the audio file, which is billed by its length."""

import logging
from tempfile import SpooledTemporaryFile
from typing import Any

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from groq_client.asked import Asked

logger = logging.getLogger("usage.gateway")

MAX_FIELDS = 100
MAX_FIELD = 64 * 1024
"""Bytes of a field that are read; the rest of it passes unread."""
IN_MEMORY = 512 * 1024
"""Bytes of a file that are kept in memory; a larger file is kept in an unnamed temporary file until the call ends."""
AUDIO = "file"


class Form:
    """A multipart form that passes. Fills the fields of ``asked``, and its audio at the end.

    A form that cannot be read passes all the same: Groq judges it, and the call is recorded by what was read so far.
    """

    def __init__(self, content_type: str, asked: Asked) -> None:
        self._fields: dict[str, Any] = {}
        asked.body = self._fields
        self.asked = asked
        self._file: SpooledTemporaryFile[bytes] | None = None
        self._header: list[bytes] = [b"", b""]
        self._name = ""
        self._is_file = False
        self._value = bytearray()
        self._parser = self._parser_of(content_type)

    def feed(self, chunk: bytes) -> None:
        if self._parser is None:
            return
        try:
            self._parser.write(chunk)
        except (FormParserError, ValueError) as error:
            self._give_up(error)

    def end(self) -> None:
        """Notes that the form has passed whole."""
        if self._parser is not None:
            self.asked.audio = self._file  # type: ignore[assignment]  # It reads and seeks like any binary file.
            self.asked.streams = self._fields.get("stream") == "true"

    def _give_up(self, error: Exception) -> None:
        logger.info("A form cannot be read: %s", type(error).__name__)
        self._parser = self._file = None

    def _parser_of(self, content_type: str) -> MultipartParser | None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            return None
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
            },
        )

    def _on_part_begin(self) -> None:
        self._name, self._is_file = "", False
        self._value.clear()
        self._header = [b"", b""]

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _on_header_end(self) -> None:
        name, value = self._header
        self._header = [b"", b""]
        if name.lower() == b"content-disposition":
            _, options = parse_options_header(value)
            self._name = options.get(b"name", b"").decode(errors="replace").removesuffix("[]")
            self._is_file = b"filename" in options
            if self._is_file and self._name == AUDIO and self._file is None:
                self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - open as long as the call

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._value += data[start : min(end, start + MAX_FIELD - len(self._value))]
        elif self._file is not None and self._name == AUDIO:
            self._file.write(data[start:end])

    def _on_part_end(self) -> None:
        if not self._is_file and self._name and len(self._fields) < MAX_FIELDS:
            self._fields[self._name] = self._value.decode(errors="replace")
