"""What the client tells about its calls: a thread in each process brings them into the ledger.

``LedgerRecorder`` never raises into the caller and waits for the database no longer than ``RECORDING_TIMEOUT_MS``.
"""

import atexit
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice, takewhile

from django.conf import settings

from analytics.recording import MAY_PASS, record
from groq_client.call import Call

logger = logging.getLogger("usage.recording")

MEMORY = 10_000
"""Calls that may wait in memory for the database."""
BATCH_SIZE = 500
RETRY_SECONDS = 1.0
DRAIN_SECONDS = 5.0


class LedgerRecorder:
    """Records calls as they end: the ``groq_client.call.Recorder`` that the ledger plugs in.

    The row is there when ``finish`` returns, unless the database is away or slow: then the call waits in memory, and
    until the database takes calls again nobody waits for it. (A journal on disk will take the place of the memory, and
    nobody will wait at all.)
    """

    start_is_blocking = False

    def __init__(self, memory: int = MEMORY) -> None:
        self._writer = Writer(memory)

    def start(self, call: Call) -> None:
        """Nothing yet: budgets will refuse calls here."""

    def finish(self, call: Call) -> None:
        """Write the call; returns within ``RECORDING_TIMEOUT_MS`` and never raises."""
        self._writer.write(call, settings.RECORDING_TIMEOUT_MS / 1000)

    def flush(self, timeout: float) -> bool:
        """Wait until everything in memory is written; False if it was not within ``timeout`` seconds."""
        return self._writer.flush(timeout)


class Writer:
    """One thread that brings calls into the ledger. What ends while it writes goes into its next transaction.

    A call that the ledger can never take, and one that there is no room to keep, is logged whole and counted.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._is_closing = False
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # the calls and the thread are the parent's
        atexit.register(self._close)

    def _begin(self) -> None:
        self._calls: deque[Call] = deque()
        self._added = self._settled = 0
        self._is_late = False
        """The last attempt failed or took too long: no caller waits until one succeeds."""
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._work, self._done = threading.Condition(self._lock), threading.Condition(self._lock)

    def write(self, call: Call, timeout: float) -> None:
        """Hand over a call, and wait up to ``timeout`` seconds until it is settled."""
        with self._lock:
            if len(self._calls) >= self._memory:
                report_lost(call, "is lost: the database is away and there is no room to let more calls wait")
                return
            self._calls.append(call)
            self._added += 1
            number = self._added
            self._ensure_thread()
            self._work.notify()
            if not self._is_late and not self._done.wait_for(lambda: self._settled >= number or self._is_late, timeout):
                logger.warning("The database is slow: calls wait in memory.")
                self._is_late = True
            if self._is_closing and self._settled < number:
                self._give_up()

    def flush(self, timeout: float) -> bool:
        with self._lock:
            return self._done.wait_for(lambda: not self._calls, timeout)

    def _ensure_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(target=self._run, name="usage-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending
            self._give_up()
        else:
            self._thread = thread

    def _run(self) -> None:
        while True:
            with self._lock:
                self._work.wait_for(lambda: self._calls)
                batch = list(islice(self._calls, BATCH_SIZE))
            settled = settle(batch)
            with self._lock:
                for _ in range(min(settled, len(self._calls))):
                    self._calls.popleft()
                self._settled += settled
                self._is_late = settled < len(batch)
                self._done.notify_all()
            if settled < len(batch):
                time.sleep(RETRY_SECONDS)

    def _close(self) -> None:
        """At exit. Calls that end later still (open streams are ended at exit too) are not kept waiting either."""
        with self._lock:
            self._is_closing = True
            self._done.wait_for(lambda: not self._calls, DRAIN_SECONDS)
            self._give_up()

    def _give_up(self) -> None:
        while self._calls:
            self._settled += 1
            report_lost(self._calls.popleft(), "is lost: the process ends and the database is away")


def settle(calls: Sequence[Call]) -> int:
    """Write calls, and tell how many from the first on are done with: all, unless the database is away.

    If the ledger refuses a batch for what is in it, its calls are written one by one, to lose no more than must be.
    """
    try:
        recorded = record(calls)
    except MAY_PASS as error:
        logger.warning("The database takes no calls now, they wait in memory: %s", error)
        return 0
    except Exception:
        if len(calls) == 1:
            report_lost(calls[0], "could not be recorded")
            return 1
        return sum(takewhile(bool, (settle([call]) for call in calls)))
    if recorded.duplicates:
        logger.warning("%s calls were recorded before under their request ids and are not again.", recorded.duplicates)
    for call in calls:
        logger.info("recorded %s", _Described(call))
    return len(calls)


lost_calls = 0
"""Calls that could not be recorded since the process began. Health and metrics tell it."""


def report_lost(call: Call, why: str) -> None:
    """Count a call that will not be in the ledger, and log all of it, so that it can still be entered."""
    global lost_calls
    lost_calls += 1
    logger.error("A call %s: %s", why, _Described(call), exc_info=sys.exc_info()[0] is not None)


class _Described:
    """A call as one line of JSON, made only if the line is really logged. A call holds neither prompts nor keys."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __str__(self) -> str:
        return json.dumps(asdict(self.call), default=str)
