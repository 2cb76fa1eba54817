"""The queue of ended calls that wait in memory for the writer's thread, in the order in which they ended."""

import threading
import time
from collections import deque
from collections.abc import Container, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue

from groq_client.call import Call
from groq_client.journal.journal import Key, key_of


class WaitingCalls:
    """A queue to which callers add at the right end, and from which only the writer's thread takes, at the left end.

    Adding never waits, and takes no lock, so that a signal handler may add too. The queue may also contain
    ``threading.Event`` objects: each is set when all calls before it are settled.
    """

    def __init__(self) -> None:
        self._items: deque[Call | threading.Event] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()

    def __iter__(self) -> Iterator[Call]:
        """The calls that are in the queue at this moment, without the events."""
        return iter([item for item in [*self._items] if isinstance(item, Call)])

    def __len__(self) -> int:
        """The number of calls and events."""
        return len(self._items)

    def add(self, item: Call | threading.Event) -> None:
        """Add a call or an event, and wake the writer's thread."""
        self._items.append(item)
        self._wake.put(None)

    # The methods below are for the writer's thread alone.

    def wait_for_one(self, timeout: float | None, linger: float) -> None:
        """Wait at most ``timeout`` seconds until something is added. If it is a call, wait ``linger`` seconds more, so
        that calls that end at about the same time are written together."""
        with suppress(Empty):
            self._wake.get(timeout=timeout)
            if linger and self._items and isinstance(self._items[-1], Call):
                time.sleep(linger)
            while True:
                self._wake.get_nowait()

    def first(self, number: int) -> list[Call]:
        """The calls among the first ``number`` items of the queue."""
        items = [self._items[n] for n in range(min(len(self._items), number))]  # other threads may append meanwhile
        return [item for item in items if isinstance(item, Call)]

    def take_off(self, settled: int) -> None:
        """Remove the first ``settled`` calls, and set and remove the events among and directly after them. An event is
        set before it is removed, because a thread may wait for it without a time limit."""
        while self._items and (settled or isinstance(self._items[0], threading.Event)):
            item = self._items[0]
            if isinstance(item, threading.Event):
                item.set()
            else:
                settled -= 1
            self._items.popleft()

    def leave_to_files(self, handed_over: Container[Key]) -> None:
        """Remove the calls with these keys, because a file that will be replayed has them. All events are set and
        removed too; a thread that waits for one then goes on to wait for the files."""
        kept: list[Call] = []
        for _ in range(len(self._items)):
            item = self._items.popleft()
            if isinstance(item, threading.Event):
                item.set()
            elif key_of(item) not in handed_over:
                kept.append(item)
        self._items.extendleft(reversed(kept))
