"""Replay of the journals of ended processes. A replay settles the calls that did not reach their destination before,
and the calls that were running when their process died."""

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

from groq_client.call import Call
from groq_client.errors import INTERRUPTED
from groq_client.journal.call_json import call_from_json
from groq_client.journal.destination import Destination
from groq_client.journal.journal import SUFFIX, Key, key_of

logger = logging.getLogger("usage.journal")

BATCH_SIZE = 500
MAX_LATENCY_MS = 24 * 3600 * 1000


@dataclass(slots=True)
class Replayed:
    """The result of a replay: ``ended`` and ``interrupted`` calls are settled now, and ``waiting`` files have to be
    replayed again. ``torn`` lines were incomplete or unreadable."""

    files: int = 0
    ended: int = 0
    interrupted: int = 0
    torn: int = 0
    waiting: int = 0


def replay(directory: Path, destination: Destination, *, files: int = sys.maxsize) -> Replayed:
    """Replay and remove at most ``files`` files that no running process has locked. Files stay while the destination is
    away. Several processes may do this at the same time or repeatedly: the destination takes the same call again."""
    found = Replayed()
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        with taken(path) as file:
            if file is not None and not _replay_safely(path, file, destination, found):
                break
        if found.files == files:
            break
    if found.ended or found.interrupted:
        logger.info("Replayed %s calls that had ended, and %s that were interrupted.", found.ended, found.interrupted)
        destination.replayed(found.ended + found.interrupted)
    return found


@contextmanager
def taken(path: Path) -> Iterator[BinaryIO | None]:
    """The opened and locked file; None if the process that wrote it still runs, or if another process is replaying or
    has replayed it."""
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


def _replay_safely(path: Path, file: BinaryIO, destination: Destination, found: Replayed) -> bool:
    """Replay one file. Returns False if the destination is away. An error of the disk is logged, and the other files
    are still replayed."""
    try:
        return _replay(path, file, destination, found)
    except OSError as error:
        logger.error("%s cannot be replayed: %s", path, error)
        found.waiting += 1
        return True


def _replay(path: Path, file: BinaryIO, destination: Destination, found: Replayed) -> bool:
    pending = _Pending()
    for line in file:
        if not pending.read(line):
            found.torn += 1
    last_seen = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    interrupted = [_interrupted(call, last_seen) for call in pending.open.values()]
    calls = iter([*pending.ended.values(), *interrupted])
    are_late = False
    while batch := list(islice(calls, BATCH_SIZE)):
        outcome = destination.settle(batch)
        if outcome.left:
            found.waiting += 1
            return False
        are_late = are_late or bool(outcome.late)
    if are_late:  # the file stays for another replay, which does not record a call twice
        found.waiting += 1
        return True
    for text in pending.unreadable:
        destination.set_aside(json.dumps({"reason": "cannot be read", "line": text}))
    path.unlink(missing_ok=True)
    found.files += 1
    found.ended += len(pending.ended)
    found.interrupted += len(interrupted)
    return True


class _Pending:
    """The calls in the lines read so far that are not settled."""

    def __init__(self) -> None:
        self.open: dict[Key, Call] = {}
        self.ended: dict[Key, Call] = {}
        self.unreadable: list[str] = []

    def read(self, line: bytes) -> bool:
        """Take the next line. False if the line is incomplete or unreadable."""
        if not line.endswith(b"\n"):
            return False
        kind, text = line[:1], line[1:]
        try:
            if kind == b"C":
                self._settle(tuple(key) for key in json.loads(text))
            elif kind == b"S":
                call = call_from_json(text)
                if key_of(call) not in self.ended:  # after an error of the disk, lines are written again
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
    """The call as it is recorded if its process died while the call was running. The process last wrote to its journal
    at ``last_seen``."""
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
