"""A few threads that do the recorder's blocking work where the caller must not wait for it.

This is no :class:`~concurrent.futures.ThreadPoolExecutor`, because finalizers hand over work too. A finalizer may run
while its thread holds the lock that the pool's ``submit`` takes, and would wait for it for ever. ``SimpleQueue.put`` is
safe in a finalizer.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue

from groq_client import recorder
from groq_client.finalizers import DISPATCHER, at_end_of_child
from groq_client.recorder import note_failure

MAX_THREADS = 4
EXIT_SECONDS = 10.0

Work = Callable[[], None]


class Dispatcher:
    """A queue of work and the threads that do it. Threads start with the first work; a forked child begins empty."""

    def __init__(self) -> None:
        self._reset()
        self._lock = threading.Lock()

    def _reset(self) -> None:
        self._queue: SimpleQueue[tuple[Work, Future[None]]] = SimpleQueue()
        self._unfinished: set[Future[None]] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def after_fork(self) -> None:
        """Forgets, in a forked child, the work in the queue: the parent does it."""
        self._lock = threading.Lock()
        self._reset()

    def submit(self, work: Work) -> Future[None]:
        """Hands ``work`` to a thread. Finalizers must call :meth:`put` instead."""
        future = self.put(work)
        if not self._closed and len(self._unfinished) > len(self._threads):
            self._start_thread()
        return future

    def put(self, work: Work) -> Future[None]:
        """Hands ``work`` over without taking a lock or starting a thread: safe in a finalizer.

        Once the interpreter's exit has begun, the work is done at once in the calling thread.
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
        """Makes sure that there is a thread for the work that finalizers put."""
        if not self._threads and not self._closed:
            self._start_thread()

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until everything handed over so far is done; ``False`` if ``timeout`` seconds were not enough."""
        if self._unfinished:
            self.ready()
        return not wait(list(self._unfinished), timeout).not_done

    def close(self, timeout: float) -> bool:
        """Waits at most ``timeout`` seconds for the work in the queue; work that comes later is done at once."""
        done = self.flush(timeout)
        self._closed = True
        return done

    def _start_thread(self) -> None:
        if not self._lock.acquire(blocking=False):
            return  # Another caller is starting a thread, perhaps the code that this signal handler has interrupted.
        try:
            if len(self._threads) == MAX_THREADS:
                return
            thread = threading.Thread(target=self._work, name=f"groq_client-{len(self._threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # At the interpreter's exit no thread can start: the caller that waits does the work.
                self._drain_here()
                return
            self._threads.append(thread)
        finally:
            self._lock.release()

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
    """Registers ``work`` to be done when the interpreter exits, before the dispatcher is drained.

    Use it when the first call starts, not at import. Exit handlers run in reverse order, so ``work`` then runs *before*
    those of the connection pool and the embedded database, which the recorder has registered earlier.
    """
    global _exit_registered
    if work in _at_exit:
        return
    with _exit_lock:
        if work not in _at_exit:
            _at_exit.append(work)
            at_end_of_child(_exit, DISPATCHER)
        if not _exit_registered:
            _exit_registered = True
            atexit.register(_exit)


def flush(timeout: float | None = None) -> bool:
    """Waits until every ended call is with its recorder, and the default recorder, if it has a ``flush``, has written
    them. ``False`` if ``timeout`` seconds were not enough."""
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


def _after_fork() -> None:
    dispatcher.after_fork()
    _at_exit.clear()  # The first call of the child registers its work anew.


os.register_at_fork(after_in_child=_after_fork)
