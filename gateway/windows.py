"""Counts what each key has used within the last minute, for all processes of a machine together."""

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MINUTE = 60.0
SLOTS = 8_192
PROBES = 8
SLOT = struct.Struct("=qddd")


class Window:
    """The uses in the present minute, and those in the one before, which count by the share that is still recent.

    Times are those of the monotonic clock, which all processes of a machine share.
    """

    __slots__ = ("began", "latest", "previous")

    def __init__(self, began: float, previous: float = 0.0, latest: float = 0.0) -> None:
        self.began, self.previous, self.latest = began, previous, latest

    def add(self, amount: float, now: float) -> None:
        self._turn(now)
        self.latest += amount

    def wait(self, limit: float, now: float) -> float:
        """The seconds until there is room for another request; 0 if there is room now."""
        self._turn(now)
        passed = (now - self.began) / MINUTE
        if self.previous * (1 - passed) + self.latest < limit:
            return 0.0
        if self.latest < limit:
            return MINUTE * (1 - (limit - self.latest) / self.previous - passed)
        return MINUTE * (1 - passed) + MINUTE * (1 - limit / self.latest)

    def _turn(self, now: float) -> None:
        minutes = (now - self.began) // MINUTE
        if minutes < 0:  # The machine was started anew.
            self.began, self.previous, self.latest = now, 0.0, 0.0
        elif minutes >= 1:
            self.previous = self.latest if minutes == 1 else 0.0
            self.latest = 0.0
            self.began += minutes * MINUTE


class SharedWindows:
    """The windows in a file that is mapped into the memory of each process. Its content may be lost at any time.

    The lock on the file keeps processes apart, and a second lock the threads of a process, which share the first.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._fd, SLOTS * SLOT.size)
        self._memory = mmap.mmap(self._fd, SLOTS * SLOT.size)
        self._lock = threading.Lock()

    @contextmanager
    def of(self, owner: int, now: float) -> Iterator[Window]:
        """The window of an owner (a number greater than 0), to be looked at and changed. Others wait meanwhile."""
        with self._lock:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                place, window = self._find(owner, now)
                yield window
                SLOT.pack_into(self._memory, place, owner, window.began, window.previous, window.latest)
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _find(self, owner: int, now: float) -> tuple[int, Window]:
        """The owner's place, or the one that has been left for the longest time among those it may take."""
        oldest, place = float("inf"), 0
        for probe in range(PROBES):
            at = (owner + probe * 31) % SLOTS * SLOT.size
            there, began, previous, latest = SLOT.unpack_from(self._memory, at)
            if there == owner:
                return at, Window(began, previous, latest)
            if began < oldest:
                oldest, place = began, at
        return place, Window(now)
