"""What the client tells about its calls: they are put into the journal, and a thread brings them into the ledger."""

import atexit
import logging
import os
import signal
import threading
import time
from _thread import start_new_thread
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType

from django.conf import settings

from analytics.journal import Journal, key_of
from analytics.replay import replay_journals
from analytics.settling import set_aside, settle
from groq_client.call import Call

logger = logging.getLogger("usage.recording")

MEMORY = 10_000
"""Calls that may wait in memory for the database; further ones wait in files of the journal alone."""
BATCH_SIZE = 500
LINGER_SECONDS = 0.02
"""After the first call of a group, so that what ends at about the same time is written together."""
RETRY_SECONDS = 1.0
DRAIN_SECONDS = 5.0
POLL_SECONDS = 0.05


class LedgerRecorder:
    """Records calls as they end: the ``groq_client.call.Recorder`` that the ledger plugs in.

    ``start`` and ``finish`` append a line to the journal and return. The row is in the ledger a moment later; if the
    database is away, when it is back, by this process or by another (``analytics.replay``). With
    ``RECORDING_SYNCHRONOUS`` the caller waits for the row, up to ``RECORDING_TIMEOUT_MS``, unless the database is known
    to be away or slow.
    """

    start_is_blocking = False

    def __init__(self, memory: int = MEMORY) -> None:
        self._writer = Writer(memory)

    @property
    def finish_is_blocking(self) -> bool:
        return bool(settings.RECORDING_SYNCHRONOUS)

    def start(self, call: Call) -> None:
        """Budgets will refuse calls here."""
        self._writer.begin(call)

    def finish(self, call: Call) -> None:
        self._writer.put(call)
        if settings.RECORDING_SYNCHRONOUS:
            self._writer.wait(settings.RECORDING_TIMEOUT_MS / 1000)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all calls that have ended are in the ledger; False if they were not within ``timeout`` seconds."""
        return self._writer.flush(timeout)


class Writer:
    """One thread that brings calls into the ledger. What ends while it writes goes into its next transaction.

    Callers never wait for it, and take no lock that a signal's handler could wait for: ``_waiting`` grows at its right
    end, the thread takes from the left, and ``_wake`` tells it to. A ``threading.Event`` among the calls is set when
    all calls before it are settled.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._journal = Journal(settings.JOURNAL_DIR, settings.JOURNAL_LIMIT_MB * 1_000_000)
        self._begin()
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self.close)

    def _begin(self) -> None:
        self._waiting: deque[Call | threading.Event] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._writing = threading.Lock()
        self._start_again_at = 0.0
        """Until then, somebody is starting the thread."""
        self._handles_sigterm = False
        self._is_closed = False
        self._is_full = False
        """Calls that found no room in memory are in the journal's file alone, which must be handed over."""
        self._is_handed_over = False
        """Calls of this process are in files that wait to be replayed."""
        self._is_late = False
        """The database is away or slow: no caller waits until it takes calls again."""
        self._has_backlog = True
        """There may be files to replay: from earlier processes, or handed over by this one."""

    def _after_fork(self) -> None:
        """The calls and the thread are the parent's."""
        self._begin()
        self._journal.after_fork()

    def begin(self, call: Call) -> None:
        if not self._handles_sigterm and threading.current_thread() is threading.main_thread():
            self._handle_sigterm()
        self._journal.started(call)

    def put(self, call: Call) -> None:
        """Hand over a call that has ended; it is in the journal when this returns, or, if the disk does not take it, in
        memory alone."""
        is_on_disk = False
        try:
            is_on_disk = self._journal.ended(call)
        finally:
            if not self._is_closed and len(self._waiting) < self._memory:
                self._add(call)
            elif is_on_disk:
                self._is_full = True
            else:
                set_aside(call, "is lost: there is neither room in memory to wait for the database, nor a journal")

    def _add(self, item: Call | threading.Event) -> None:
        self._waiting.append(item)
        self._wake.put(None)
        self._ensure_thread()

    def wait(self, timeout: float) -> None:
        """Until what was put is settled, but not for a database that is known to be away."""
        if not self._is_late and not self.flush(timeout):
            logger.warning("The database is slow: calls wait in the journal.")
            self._is_late = True

    def flush(self, timeout: float | None) -> bool:
        until = None if timeout is None else time.monotonic() + timeout
        if self._waiting:
            reached = threading.Event()
            self._add(reached)
            while not reached.wait(RETRY_SECONDS if until is None else min(RETRY_SECONDS, until - time.monotonic())):
                if until is not None and time.monotonic() >= until:
                    return False
                self._ensure_thread()  # whoever put the last call may have failed to
        while self._is_full or self._is_handed_over:
            if until is not None and time.monotonic() > until:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def close(self) -> None:
        """At exit: what the database does not take in time stays in the journal for the next replay."""
        is_drained = self.flush(DRAIN_SECONDS)
        self._is_closed = True
        if not is_drained and self._journal.is_broken:
            for item in [*self._waiting]:
                if isinstance(item, Call):
                    set_aside(item, "is lost: the process ends, the database is away, and there is no journal")
        self._journal.close()

    def _ensure_thread(self) -> None:
        """Takes no lock, which an exception (out of a signal's handler, say) could leave taken for ever: whoever starts
        the thread says so for a second. Should two start one each, the second waits until the first has ended."""
        now = time.monotonic()
        if self._is_closed or now < self._start_again_at or (self._thread is not None and self._thread.is_alive()):
            return  # perhaps it is the code that a signal's handler has interrupted to come here that starts it
        self._start_again_at = now + RETRY_SECONDS
        try:
            self._thread = thread = threading.Thread(target=self._run, name="usage-writer", daemon=True)
            thread.start()
        except RuntimeError:  # too many threads, or the interpreter is ending: the journal has the calls
            logger.info("No thread can be started: calls wait in the journal.")
            self._start_again_at = 0.0

    # In the thread

    def _run(self) -> None:
        with self._writing:  # two would take calls from each other
            while True:
                try:
                    self._work()
                except Exception:
                    logger.exception("The writer of calls failed, and goes on.")
                    time.sleep(RETRY_SECONDS)

    def _work(self) -> None:
        if not self._waiting:  # something does after a failure
            self._wait_for_work()
        while self._waiting:
            self._write()
        if self._is_full:  # since the last call that waited, or the disk did not allow it then
            self._hand_over()
        if self._has_backlog:
            self._replay()

    def _wait_for_work(self) -> None:
        with suppress(Empty):
            self._wake.get(timeout=RETRY_SECONDS if self._has_backlog or self._is_full else None)
            if not settings.RECORDING_SYNCHRONOUS and self._waiting and isinstance(self._waiting[-1], Call):
                time.sleep(LINGER_SECONDS)
            while True:
                self._wake.get_nowait()

    def _write(self) -> None:
        """Write the first calls that wait, and set the events that then come first."""
        first = [self._waiting[n] for n in range(min(len(self._waiting), BATCH_SIZE))]  # others append meanwhile
        batch = [item for item in first if isinstance(item, Call)]
        settled = settle(batch)
        if settled:
            self._journal.settled(batch[:settled])
        self._take_off(settled)
        if settled < len(batch):
            self._wait_for_the_database()
        else:
            self._is_late = False
            self._journal.rotate_if_large()
            if self._is_full:
                self._hand_over()

    def _take_off(self, settled: int) -> None:
        """An event goes only when it is set: somebody waits for it, perhaps without end."""
        while self._waiting and (settled or isinstance(self._waiting[0], threading.Event)):
            item = self._waiting[0]
            if isinstance(item, threading.Event):
                item.set()
            else:
                settled -= 1
            self._waiting.popleft()

    def _wait_for_the_database(self) -> None:
        self._is_late = True
        self._journal.sync()
        if self._is_full or len(self._waiting) >= self._memory:
            self._hand_over()
        time.sleep(RETRY_SECONDS)

    def _hand_over(self) -> None:
        """Memory is full: leave what waits to the journal alone, to be replayed when the database is back."""
        was_full, self._is_full = self._is_full, False  # before: what finds no room from here on is in the next file
        handed = self._journal.hand_over()
        if handed is None:
            if was_full:
                self._is_full = True
            return
        self._has_backlog = self._is_handed_over = True
        kept: list[Call] = []
        for _ in range(len(self._waiting)):
            item = self._waiting.popleft()
            if isinstance(item, threading.Event):
                item.set()  # who waits goes on to wait for the files
            elif key_of(item) not in handed:
                kept.append(item)
        self._waiting.extendleft(reversed(kept))

    def _replay(self) -> None:
        """File by file, as long as no call of this process waits."""
        while not self._waiting:
            found = replay_journals(files=1)
            if not found.files:
                self._has_backlog = found.waiting > 0
                self._is_handed_over = self._is_handed_over and self._has_backlog
                return

    # When the process is asked to end

    def _handle_sigterm(self) -> None:
        """Only where nobody else handles it: the process ends by the signal as before, after the writer is done."""
        self._handles_sigterm = True
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        """Does not wait itself: what it has interrupted may hold the journal's lock, or a log's, which the writer
        needs. For the same reason it starts no ``threading.Thread``. Asked again, the process ends at once."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            start_new_thread(self._end_by_sigterm, ())
        except RuntimeError:
            os.kill(os.getpid(), signal.SIGTERM)

    def _end_by_sigterm(self) -> None:
        try:
            self.flush(DRAIN_SECONDS)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
