"""The file of refused lines: JSON Lines with the number, the reason and the content of each line."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from ledger.importing.lines import Line

SHOWN_OF_TOO_LONG = 1_000


class RefusalFile:
    """The file of refused lines, which is created when the first line is written. Without a path, entries are passed to
    ``complain``. An existing file is cut to ``size`` bytes, its size at the checkpoint, because all later entries are
    written again.
    """

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
        """Write an entry for each refused line with its reason."""
        for line, reason in refused:
            entry = json.dumps({"line": line.number, "reason": reason, "content": _shown(line)}, ensure_ascii=False)
            if self._path is None:
                self._complain(entry)
                continue
            if self._file is None:  # only the owner may read the file, as lines may be private
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
