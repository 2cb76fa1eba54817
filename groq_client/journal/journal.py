"""The journal: a file in which this process keeps the calls that have not reached their destination yet.

Each process has its own file. Each line begins with a letter: ``S`` for a call that started, ``E`` for a call that
ended, with all its values, and ``C`` for the keys of calls that are settled or were copied to another file. The process
keeps its file locked until the process ends or is killed, so a file that can be locked is ready to be replayed
(``groq_client.journal.replay``). Written lines survive when the process is killed; after ``sync`` they also survive a
crash of the machine.

Errors of the disk never reach the caller of the SDK. The journal sets ``is_broken`` instead, and tries again later.
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

from groq_client.call import Call
from groq_client.journal.call_json import call_to_json

logger = logging.getLogger("usage.journal")

SUFFIX = ".journal"
ROTATE_BYTES = 8_000_000
RETRY_SECONDS = 5.0
"""The pause after an error of the disk before the journal tries to write again."""

Key = tuple[str, str]


def key_of(call: Call) -> Key:
    """The key of a call within the journal: the organization's name as the call gives it, and the request id."""
    return call.attribution.organization, call.request_id


class Journal:
    """The journal of this process. The first call creates its file, and a forked child begins a file of its own."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self.directory = directory
        self._limit = limit_bytes
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # reentrant, since a signal handler may make a call while this thread writes
        self._file: _File | None = None
        self._open: dict[Key, bytes] = {}
        self._unsettled: dict[Key, bytes] = {}
        self.holds_more = False
        """True if the file holds calls that found no room in memory, so that it must be handed over to a replay, and
        not be replaced."""
        self._retry_at = 0.0
        self._bytes_of_others = 0
        self.is_broken = False
        """True if the disk takes no lines, so that calls are only in memory."""

    def after_fork(self) -> None:
        """Forget the inherited file, because the file and its calls belong to the parent."""
        inherited = self._file
        self._begin()
        if inherited is not None:
            inherited.close_copy()

    def started(self, call: Call) -> None:
        """Note that a call begins. If the process dies during the call, a replay records the call as interrupted."""
        line = _line("S", call_to_json(call))
        with self._lock:
            self._open[key_of(call)] = line
            self._write(line)

    def estimating(self, call: Call) -> None:
        """Note that a call has ended, but that its usage is still being estimated. The call stays open until ``ended``
        writes its complete usage. If the process dies before that, a replay records the call with the values that it
        has now."""
        line = _line("E", call_to_json(call))
        with self._lock:
            self._open[key_of(call)] = line
            self._write(line)

    def ended(self, call: Call, *, is_in_memory: bool = True) -> bool:
        """Note that a call has ended and has to be recorded. Returns False if the line could not be written to the
        file. A call for which memory has no room either is lost then; if the file has its start, a replay records the
        call as interrupted."""
        line = _line("E", call_to_json(call))
        key = key_of(call)
        with self._lock:
            self._open.pop(key, None)
            if is_in_memory:
                self._unsettled[key] = line
                return self._write(line)
            is_on_disk = self._write(line)
            self.holds_more = self.holds_more or is_on_disk
            return is_on_disk

    def settled(self, calls: Iterable[Call]) -> None:
        """Note that these calls are settled: they have arrived, or were set aside."""
        keys = [key_of(call) for call in calls]
        with self._lock:
            for key in keys:
                self._unsettled.pop(key, None)
            self._write(_settled_line(keys))

    def sync(self) -> None:
        """Sync the file to the disk. While the destination is away, this file is the only copy of the calls."""
        file = self._file
        if file is not None:
            try:
                file.sync()
            except OSError as error:
                self._fail(error)

    def rotate_if_large(self) -> None:
        """If the file is larger than ROTATE_BYTES, replace it by a new one with only the calls that are not settled."""
        file = self._file
        if file is not None and file.size > ROTATE_BYTES:
            with self._lock:
                if self.holds_more:
                    return
                old = self._turn([*self._open.values(), *self._unsettled.values()])
            if old is not None:
                old.remove()

    def hand_over(self) -> set[Key] | None:
        """Unlock the present file, so that a replay records all ended calls in it, and go on in a new file. Returns the
        keys of the calls that need not stay in memory, because they are in the old file; None if the disk fails.

        If the journals have reached their limit, or the disk failed, the old file may lack calls that are in memory.
        Only the calls that are nowhere else are handed over then: they would never leave the file otherwise. The others
        stay in memory, and are in the new file too, which may therefore exceed the limit by their lines."""
        with self._lock:
            is_complete = not self.is_broken or self._write(b"")
            if not (is_complete or self.holds_more):
                return None
            kept = {} if is_complete else self._unsettled
            old = self._turn([*self._open.values(), *kept.values()])
            if old is None:
                return None
            handed_over = self._unsettled.keys() - kept.keys()
            self._unsettled, self.holds_more = kept, False
        with suppress(OSError):
            old.sync()
        old.let_go()
        return handed_over

    def close(self) -> None:
        """End the journal when the process ends. The file stays for the next replay if it has unsettled calls."""
        with self._lock:
            file, self._file = self._file, None
            if file is None:
                return
            if self._open or self._unsettled or self.holds_more:
                with suppress(OSError):
                    file.sync()
                file.let_go()
            else:
                file.remove()

    def _turn(self, carried: list[bytes]) -> "_File | None":
        """Go on in a new file that begins with the lines ``carried``. Returns the old file, in which open calls are now
        marked as settled; None if there is no old file, or if no new one can be made."""
        old = self._file
        if old is None:
            return None
        try:
            new = _File(self.directory)
            try:
                new.write(b"".join(carried))
                old.write(_settled_line(self._open))  # otherwise a replay would record open calls as interrupted
            except OSError:
                new.remove()
                raise
        except OSError as error:
            self._fail(error)
            return None
        self._file = new
        self._bytes_of_others = self._bytes_of_all() - new.size
        return old

    def _write(self, line: bytes) -> bool:
        if self.is_broken:
            if time.monotonic() < self._retry_at:
                return False
            line = b"".join([*self._open.values(), *self._unsettled.values(), line])  # all lines that the disk may lack
        try:
            if self._file is None:
                self._file = _File(self.directory)
                self._bytes_of_others = self._bytes_of_all()
            elif self.is_broken:  # other processes may have made room meanwhile
                self._bytes_of_others = self._bytes_of_all() - self._file.size
            if self._bytes_of_others + self._file.size > self._limit:
                raise OSError(f"the journals in {self.directory} have more than {self._limit:,} bytes, the limit")
            self._file.write(line)
        except OSError as error:
            self._fail(error)
            return False
        self.is_broken = False
        return True

    def _fail(self, error: OSError) -> None:
        """Note an error of the disk. The file stays locked, because otherwise a replay would record its open calls as
        interrupted."""
        if not self.is_broken:
            logger.error("The journal cannot be written, calls are only kept in memory: %s", error)
        self.is_broken = True
        self._retry_at = time.monotonic() + RETRY_SECONDS

    def _bytes_of_all(self) -> int:
        with suppress(OSError):
            return sum(path.stat().st_size for path in self.directory.glob(f"*{SUFFIX}"))
        return 0


class _File:
    """An open and locked file. It gets its final name once it is locked, so that no process replays it too soon."""

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
        """Append whole lines. OSError if the disk took only a part; the next write then begins with a line feed."""
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
        """Unlock and close the file. The lock ends even if a forked child still has the file open."""
        with suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.close_copy()

    def close_copy(self) -> None:
        """Close the file without unlocking it. In a forked child, this leaves the lock with the parent."""
        with suppress(OSError):
            os.close(self._fd)

    def remove(self) -> None:
        """Delete the file, then unlock and close it."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.let_go()


def _line(kind: str, text: str) -> bytes:
    return f"{kind}{text}\n".encode("ascii")


def _settled_line(keys: Iterable[Key]) -> bytes:
    return _line("C", json.dumps(list(keys), separators=(",", ":")))
