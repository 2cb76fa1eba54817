"""A few threads that do the recorder's blocking work where the caller must not wait for it.

Not a :class:`~concurrent.futures.ThreadPoolExecutor`, because work is handed over by finalizers, too, and those may run
in the middle of anything: the pool's ``submit`` takes a lock, which a finalizer could wait for for ever.
``SimpleQueue.put`` may be called from a finalizer.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue

from groq_client import recorder
from groq_client.recorder import note_failure

MAX_THREADS = 4
EXIT_SECONDS = 10.0

Work = Callable[[], None]


class Dispatcher:
    """Threads are started when work comes, never before a fork; a forked child starts afresh with nothing to do."""

    def __init__(self) -> None:
        self._reset()
        self._lock = threading.Lock()

    def _reset(self) -> None:
        self._queue: SimpleQueue[tuple[Work, Future[None]]] = SimpleQueue()
        self._unfinished: set[Future[None]] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def after_fork(self) -> None:
        """What the parent had queued is the parent's to do."""
        self._lock = threading.Lock()
        self._reset()

    def submit(self, work: Work) -> Future[None]:
        """Hands ``work`` to a thread. Not for finalizers."""
        future = self.put(work)
        if not self._closed and len(self._unfinished) > len(self._threads):
            self._start_thread()
        return future

    def put(self, work: Work) -> Future[None]:
        """Hands ``work`` over without taking a lock or starting a thread: safe in a finalizer.

        After the interpreter's exit has begun, it is done at once.
        """
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # From now on a cancelled waiter cannot cancel the work.
        if self._closed:
            _run(work, future)
        else:
            self._unfinished.add(future)
            self._queue.put((work, future))
        return future

    def ready(self) -> None:
        """Makes sure that there is a thread for what finalizers may put."""
        if not self._threads and not self._closed:
            self._start_thread()

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until everything handed over so far is done; ``False`` if ``timeout`` seconds were not enough."""
        if self._unfinished:
            self.ready()
        return not wait(list(self._unfinished), timeout).not_done

    def close(self, timeout: float) -> bool:
        """Lets no more work wait, and waits for what there is."""
        done = self.flush(timeout)
        self._closed = True
        return done

    def _start_thread(self) -> None:
        with self._lock:
            if len(self._threads) == MAX_THREADS:
                return
            thread = threading.Thread(target=self._work, name=f"groq_client-{len(self._threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # No threads at the interpreter's exit: whoever waits does the work himself.
                self._drain_here()
                return
            self._threads.append(thread)

    def _work(self) -> None:
        queue, unfinished = self._queue, self._unfinished
        while True:
            work, future = queue.get()
            _run(work, future)
            unfinished.discard(future)
            del work, future  # An idle thread must not keep the last call alive.

    def _drain_here(self) -> None:
        while not self._queue.empty():
            work, future = self._queue.get()
            _run(work, future)
            self._unfinished.discard(future)


def _run(work: Work, future: "Future[None]") -> None:
    try:
        work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(None)


dispatcher = Dispatcher()
_exit_lock = threading.Lock()
_at_exit: list[Work] = []
_exit_registered = False


def finish_at_exit(work: Work) -> None:
    """Has ``work`` done when the interpreter exits, before the dispatcher is drained.

    Registered when the first call starts rather than at import, so that it runs *before* the exit handlers of
    what the recorder needs (a connection pool, an embedded database), which were there by then.
    """
    global _exit_registered
    if work in _at_exit:
        return
    with _exit_lock:
        if work not in _at_exit:
            _at_exit.append(work)
        if not _exit_registered:
            _exit_registered = True
            atexit.register(_exit)


def flush(timeout: float | None = None) -> bool:
    """Waits until every call that has ended is with its recorder, and until the default recorder, if it can tell, has
    written what it was given; ``False`` if ``timeout`` seconds were not enough."""
    deadline = None if timeout is None else time.monotonic() + timeout
    if not dispatcher.flush(timeout):
        return False
    return recorder.flush(None if deadline is None else max(0.0, deadline - time.monotonic()))


def _exit() -> None:
    for work in _at_exit:
        try:
            work()
        except Exception:
            note_failure("recording at the interpreter's exit")
    dispatcher.close(EXIT_SECONDS)


os.register_at_fork(after_in_child=dispatcher.after_fork)
