"""The folder: the thread of this process that moves its events from the tail into the sums, soon after they are
recorded. ``record`` tells it what it wrote, and never waits for it.

The thread ends with the process. A fold that is cut off is rolled back, and the next one, of any process, moves the
rows.
"""

import logging
import os
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

from psycopg import OperationalError

from groq_client.background import BackgroundThread
from ledger.recording.folding import fold_tail
from ledger.recording.pool import discard_lost

logger = logging.getLogger("usage.recording")

AGE_SECONDS = 1.0
"""The tail is folded when the oldest event that this process wrote to it is of this age."""
MANY = 5_000
"""The tail is folded earlier if this process has written this number of events."""
POLL_SECONDS = 0.1
"""The pause between two looks at the number of events. Nobody looks while nothing is written."""
LONGEST_PAUSE_SECONDS = 10.0
"""Each pause while folds fail is twice as long as the one before, up to this one, which is well below the age of the
tail that health warns of."""


class Folder:
    """Folds the tail in a thread of its own while this process records. The thread sleeps while nothing is written."""

    def __init__(self) -> None:
        self._thread = BackgroundThread("usage-folder", self._work)
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._wake: SimpleQueue[None] = SimpleQueue()
        """Has an item if this process has written events since the last fold began."""
        self._events = 0
        """About how many these are."""
        self._failure: type[Exception] | None = None
        """The kind of error that the last folds failed with."""

    def wrote(self, events: int) -> None:
        """Take notice of new rows of the tail, which are committed. This neither waits nor raises."""
        self._events += events  # two threads at once may lose a number, which only makes MANY inexact
        if self._wake.empty():
            self._wake.put(None)
        self._thread.ensure()

    # The methods below run in the folder's thread.

    def _work(self) -> None:
        self._wake.get()
        try:
            self._let_events_gather()
            pause = AGE_SECONDS
            while not self._fold():
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS) if self._failure else AGE_SECONDS
        except Exception:
            self._wake.put(None)  # the events are still to be folded
            raise

    def _let_events_gather(self) -> None:
        until = time.monotonic() + AGE_SECONDS
        while self._events < MANY and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, POLL_SECONDS))

    def _fold(self) -> bool:
        """Fold the tail. Returns False if events of this process may still be in it, because another transaction
        changes sums now, or because the database is away."""
        with suppress(Empty):  # events that are written from now on are told anew
            while True:
                self._wake.get_nowait()
        self._events = 0
        try:
            folded = fold_tail()
        except Exception as error:
            self._tell(error)
            discard_lost()
            return False
        self._failure = None
        return folded.is_whole

    def _tell(self, error: Exception) -> None:
        """Log an error, unless the last fold failed with one of the same kind."""
        if type(error) is not self._failure:
            logger.warning(
                "The tail cannot be folded now. It is tried again; pages are right meanwhile, but slower: %s",
                error,
                exc_info=not isinstance(error, OperationalError),
            )
        self._failure = type(error)


folder = Folder()
"""The folder of this process."""
