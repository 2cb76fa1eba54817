"""Brings what journals of ended processes hold into the ledger, once: calls that the database could not take, and calls
that were on their way when their process died."""

import fcntl
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from analytics.call_json import call_from_json
from analytics.journal import SUFFIX, Key, key_of
from analytics.recording import record
from analytics.settling import REFUSED, append_refused, settle
from groq_client.call import Call
from groq_client.errors import INTERRUPTED

logger = logging.getLogger("usage.journal")

BATCH_SIZE = 500
MAX_LATENCY_MS = 24 * 3600 * 1000


@dataclass(slots=True)
class Replayed:
    """What was found. ``ended`` and ``interrupted`` calls are in the ledger now; ``waiting`` files could not be."""

    files: int = 0
    ended: int = 0
    interrupted: int = 0
    torn: int = 0
    waiting: int = 0


def replay_journals(directory: Path | None = None, *, files: int = sys.maxsize) -> Replayed:
    """Replay files that no living process holds, at most so many, and remove them. Files stay while the database is
    away. Safe to be done by several processes at the same time, and again: a call is recorded once."""
    found = Replayed()
    for path in sorted((directory or settings.JOURNAL_DIR).glob(f"*{SUFFIX}")):
        with _taken(path) as file:
            if file is not None and not _replay_safely(path, file, found):
                break
        if found.files == files:
            break
    if found.ended or found.interrupted:
        logger.warning(
            "Replayed %s calls that had ended, and %s that were interrupted.", found.ended, found.interrupted
        )
    return found


def replay_refused(directory: Path | None = None) -> tuple[int, int]:
    """Try once more what was set aside. Returns how many calls are recorded now, and how many lines are set aside
    again."""
    directory = directory or settings.JOURNAL_DIR
    path, taken = directory / REFUSED, directory / f"{REFUSED}.retried"
    if not taken.exists():  # else a retry was cut short: it is gone through again
        if not path.exists():
            return 0, 0
        path.rename(taken)
    recorded = kept = 0
    for line in taken.read_text(errors="replace").splitlines():
        try:
            record([call_from_json(json.dumps(json.loads(line)["call"]))])
            recorded += 1
        except Exception as error:  # whatever is wrong with it, or with the database: it is kept
            logger.warning("It is set aside again: %s", error)
            append_refused(directory, line)
            kept += 1
    taken.unlink()
    return recorded, kept


@contextmanager
def _taken(path: Path) -> Iterator[BinaryIO | None]:
    """The file, held; None where its process lives, or somebody else replays it, or has done so."""
    try:
        file = path.open("rb")
    except OSError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_still_there = os.fstat(file.fileno()).st_nlink > 0
        except OSError:
            is_still_there = False
        yield file if is_still_there else None


def _replay_safely(path: Path, file: BinaryIO, found: Replayed) -> bool:
    """False if the database is away. A file that the disk does not give or let go holds up no other."""
    try:
        return _replay(path, file, found)
    except OSError as error:
        logger.error("%s cannot be replayed: %s", path, error)
        found.waiting += 1
        return True


def _replay(path: Path, file: BinaryIO, found: Replayed) -> bool:
    pending = _Pending()
    for line in file:
        if not pending.read(line):
            found.torn += 1
    last_seen = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    interrupted = [_interrupted(call, last_seen) for call in pending.open.values()]
    calls = iter([*pending.ended.values(), *interrupted])
    while batch := list(islice(calls, BATCH_SIZE)):
        if settle(batch) < len(batch):
            found.waiting += 1
            return False
    for text in pending.unreadable:
        append_refused(path.parent, json.dumps({"reason": "cannot be read", "line": text}))
    path.unlink(missing_ok=True)
    found.files += 1
    found.ended += len(pending.ended)
    found.interrupted += len(interrupted)
    return True


class _Pending:
    """What of a file's lines is not settled, as far as read."""

    def __init__(self) -> None:
        self.open: dict[Key, Call] = {}
        self.ended: dict[Key, Call] = {}
        self.unreadable: list[str] = []

    def read(self, line: bytes) -> bool:
        """Take the next line. False for one that is torn: its end never reached the file."""
        if not line.endswith(b"\n"):
            return False
        kind, text = line[:1], line[1:]
        try:
            if kind == b"C":
                self._settle(tuple(key) for key in json.loads(text))
            elif kind == b"S":
                call = call_from_json(text)
                if key_of(call) not in self.ended:  # lines that the disk refused once come again
                    self.open[key_of(call)] = call
            elif kind == b"E":
                call = call_from_json(text)
                self.open.pop(key_of(call), None)
                self.ended[key_of(call)] = call
            else:
                return False
        except (ValueError, TypeError):
            if kind == b"E" and text.rstrip().endswith(b"}"):
                self.unreadable.append(text.decode(errors="replace"))
            return False
        return True

    def _settle(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.open.pop(key, None)
            self.ended.pop(key, None)


def _interrupted(call: Call, last_seen: datetime) -> Call:
    """What is known of a call whose process died: that it was sent, and that the process lived until ``last_seen``."""
    elapsed = round((last_seen - call.started_at).total_seconds() * 1000)
    return replace(
        call,
        status="error",
        error_code=INTERRUPTED,
        error_message="The process ended while the call was on its way.",
        attempts=max(call.attempts, 1),
        latency_ms=min(max(elapsed, 0), MAX_LATENCY_MS),
        usage=call.sent,
    )
