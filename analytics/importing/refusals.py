"""The file of lines that were not imported: JSON Lines of number, reason and the line itself."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from analytics.importing.lines import Line

SHOWN_OF_TOO_LONG = 1_000


class RefusalFile:
    """Made when there is something to write. What an interrupted import wrote after ``size`` bytes is written anew."""

    def __init__(self, path: Path | None, size: int, complain: Callable[[str], object]) -> None:
        self.size = size
        self._path = path
        self._complain = complain
        self._file: IO[bytes] | None = None
        if path is not None and path.exists():
            if size:
                os.truncate(path, size)
            else:
                path.unlink()

    def write(self, refused: Iterable[tuple[Line, str]]) -> None:
        for line, reason in refused:
            entry = json.dumps({"line": line.number, "reason": reason, "content": _shown(line)}, ensure_ascii=False)
            if self._path is None:
                self._complain(entry)
                continue
            if self._file is None:  # the lines may be private: for the owner's eyes
                self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb")
            self.size += self._file.write(entry.encode("utf-8", "backslashreplace") + b"\n")
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _shown(line: Line) -> str:
    content = line.content[:SHOWN_OF_TOO_LONG] if line.is_too_long else line.content
    return content.decode(errors="backslashreplace").rstrip("\r\n")
