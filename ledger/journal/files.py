"""The state of the journals of this machine, as their files tell it."""

import fcntl
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from groq_client.journal.journal import SUFFIX


@dataclass(frozen=True, slots=True)
class Journals:
    """The size of all journals, and the journals of ended processes, which wait to be replayed."""

    bytes: int
    limit_bytes: int
    waiting: int
    oldest_seconds: float
    """The time since a process last wrote to the oldest of the waiting journals; 0 if none waits."""


def journals_now() -> Journals:
    size, left = 0, []
    for path in settings.JOURNAL_DIR.glob(f"*{SUFFIX}"):
        with suppress(OSError), path.open("rb") as file:
            size += path.stat().st_size
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # the process that writes this journal still runs
            left.append(time.time() - path.stat().st_mtime)
    return Journals(size, settings.JOURNAL_LIMIT_MB * 1_000_000, len(left), max(left, default=0.0))


def number_of_lines(path: Path) -> int:
    """The number of lines of a file; 0 if the file does not exist."""
    with suppress(OSError), path.open("rb") as file:
        return sum(1 for _ in file)
    return 0
