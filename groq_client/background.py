"""Threads of this process that work for as long as it lives, and are started by whoever first has work for them."""

import logging
import os
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("usage.recording")

RETRY_SECONDS = 1.0


class BackgroundThread:
    """A daemon thread that calls ``work`` again and again. If ``work`` raises, the thread logs the error and goes on
    after RETRY_SECONDS. A forked child has no thread until ``ensure`` is called in it."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name = name
        self._work = work
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._thread: threading.Thread | None = None
        self._running = threading.Lock()
        self._start_again_at = 0.0
        """Until this moment (``time.monotonic()``) the thread is being started, and no other caller starts it."""

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def ensure(self) -> None:
        """Start the thread if it does not run. If two callers each start one, the second waits until the first ends.

        There is no lock, because an exception in a signal handler could leave it locked for ever. A caller that starts
        the thread sets ``_start_again_at`` instead, so that no other caller starts it for a second.
        """
        now = time.monotonic()
        if now < self._start_again_at or self.is_running:
            return  # a signal handler must not wait for a start, since it may have interrupted the code that starts it
        self._start_again_at = now + RETRY_SECONDS
        try:
            self._thread = thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
        except RuntimeError:  # there are too many threads, or the interpreter is ending
            logger.info("The thread %s cannot be started now.", self._name)
            self._start_again_at = 0.0

    def _run(self) -> None:
        with self._running:  # two threads at once would take work from each other
            while True:
                try:
                    self._work()
                except Exception:
                    logger.exception("The thread %s failed, and goes on.", self._name)
                    time.sleep(RETRY_SECONDS)
