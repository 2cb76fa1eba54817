"""The journal: what this process knows of calls that are not in the ledger yet, on disk.

A file for each process, of lines that each begin with a letter: ``S`` a call that started, ``E`` one that ended, whole,
``C`` the keys of those that the ledger has (or that stand in another file). The process holds a lock on its file for as
long as it lives, however it ends; a file that can be locked is one to be replayed (``analytics.replay``). Lines go to
the operating system, which keeps them when the process is killed; ``sync`` brings them to the disk itself.

A call is never harmed: nothing here raises for what the disk does, it is told by ``is_broken`` and tried again.
"""

import fcntl
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from analytics.call_json import call_to_json
from groq_client.call import Call

logger = logging.getLogger("usage.journal")

SUFFIX = ".journal"
ROTATE_BYTES = 8_000_000
RETRY_SECONDS = 5.0
"""After the disk refused, so long until it is tried again."""

Key = tuple[str, str]


def key_of(call: Call) -> Key:
    """A call within the journal: the organization as it was named, and the request id."""
    return call.attribution.organization, call.request_id


class Journal:
    """The file of this process. Made when the first call starts, given up and made anew in a forked child."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self.directory = directory
        self._limit = limit_bytes
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may make a call in the middle of another's line
        self._file: _File | None = None
        self._open: dict[Key, bytes] = {}
        self._unsettled: dict[Key, bytes] = {}
        self._retry_at = 0.0
        self.is_broken = False
        """The disk takes no lines: calls are only in memory."""

    def after_fork(self) -> None:
        """The file and all that is in it is the parent's."""
        inherited = self._file
        self._begin()
        if inherited is not None:
            inherited.close_copy()

    def started(self, call: Call) -> None:
        """A call begins: if the process dies before its end, this line tells of it."""
        line = _line("S", call_to_json(call))
        with self._lock:
            self._open[key_of(call)] = line
            self._write(line)

    def ended(self, call: Call) -> bool:
        """A call has ended and is to be recorded. False if it is not in the file."""
        line = _line("E", call_to_json(call))
        key = key_of(call)
        with self._lock:
            self._open.pop(key, None)
            self._unsettled[key] = line
            return self._write(line)

    def settled(self, calls: Iterable[Call]) -> None:
        """The ledger has these calls, or has refused them for good."""
        keys = [key_of(call) for call in calls]
        with self._lock:
            for key in keys:
                self._unsettled.pop(key, None)
            self._write(_settled_line(keys))

    def sync(self) -> None:
        """Bring what was written to the disk: while the database is away, these lines are all there is."""
        file = self._file
        if file is not None:
            try:
                file.sync()
            except OSError as error:
                self._fail(error)

    def rotate_if_large(self) -> None:
        """Go on in a new file when this one has grown: with what is open or waits. The old one is done with."""
        file = self._file
        if file is not None and file.size > ROTATE_BYTES:
            with self._lock:
                old = self._turn([*self._open.values(), *self._unsettled.values()])
            if old is not None:
                old.remove()

    def hand_over(self) -> set[Key] | None:
        """Leave all calls that wait to whoever replays: in a file of their own, no longer held. Returns their keys;
        None if the disk or the limit does not allow it."""
        if self.is_broken or self._bytes_of_all() > self._limit:
            return None
        with self._lock:
            old = self._turn(list(self._open.values()))
            if old is None:
                return None
            waiting, self._unsettled = set(self._unsettled), {}
        with suppress(OSError):
            old.sync()
        old.let_go()
        return waiting

    def close(self) -> None:
        """At the process's end: what is not settled stays for the next replay."""
        with self._lock:
            file, self._file = self._file, None
            if file is None:
                return
            if self._open or self._unsettled:
                with suppress(OSError):
                    file.sync()
                file.let_go()
            else:
                file.remove()

    def _turn(self, carried: list[bytes]) -> "_File | None":
        """Go on in a new file that begins with these lines. Returns the old one, in which what is open is settled; None
        if there is none, or no new one can be made."""
        old = self._file
        if old is None:
            return None
        try:
            new = _File(self.directory)
            try:
                new.write(b"".join(carried))
                old.write(_settled_line(self._open))  # or a replay would take what is open for interrupted
            except OSError:
                new.remove()
                raise
        except OSError as error:
            self._fail(error)
            return None
        self._file = new
        return old

    def _write(self, line: bytes) -> bool:
        if self.is_broken:
            if time.monotonic() < self._retry_at:
                return False
            line = b"".join([*self._open.values(), *self._unsettled.values()])  # what the disk did not take meanwhile
        try:
            if self._file is None:
                self._file = _File(self.directory)
            if self._file.size > self._limit:
                raise OSError(f"the file has more than {self._limit} bytes, the limit")
            self._file.write(line)
        except OSError as error:
            self._fail(error)
            return False
        self.is_broken = False
        return True

    def _fail(self, error: OSError) -> None:
        """The file stays held: who could replay it would take open calls for interrupted ones."""
        if not self.is_broken:
            logger.error("The journal cannot be written, calls are only kept in memory: %s", error)
        self.is_broken = True
        self._retry_at = time.monotonic() + RETRY_SECONDS

    def _bytes_of_all(self) -> int:
        with suppress(OSError):
            return sum(path.stat().st_size for path in self.directory.glob(f"*{SUFFIX}"))
        return 0


class _File:
    """An open file, locked. It appears under its name only when it is locked, so that nobody replays it too soon."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.time_ns():x}-{os.getpid()}-{secrets.token_hex(4)}"
        self.path = directory / f"{name}{SUFFIX}"
        unfinished = directory / f".{name}"
        self._fd = os.open(unfinished, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unfinished.rename(self.path)
        except OSError:
            os.close(self._fd)
            unfinished.unlink(missing_ok=True)
            raise
        self.size = 0
        self._is_torn = False

    def write(self, line: bytes) -> None:
        """Append whole lines. OSError if the disk took none or only a part, which is then told apart from the next."""
        if self._is_torn:
            line = b"\n" + line
        written = os.write(self._fd, line)
        self.size += written
        self._is_torn = written < len(line)
        if self._is_torn:
            raise OSError(f"the disk took {written} of {len(line)} bytes")

    def sync(self) -> None:
        os.fsync(self._fd)

    def let_go(self) -> None:
        """Give up the lock, even if a forked child has a copy of the file open."""
        with suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.close_copy()

    def close_copy(self) -> None:
        """In a forked child: the parent keeps the lock."""
        with suppress(OSError):
            os.close(self._fd)

    def remove(self) -> None:
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.let_go()


def _line(kind: str, text: str) -> bytes:
    return f"{kind}{text}\n".encode("ascii")


def _settled_line(keys: Iterable[Key]) -> bytes:
    return _line("C", json.dumps(list(keys), separators=(",", ":")))
