"""The writer: the thread that brings the calls of this process to their destination."""

import atexit
import logging
import os
import threading
import time

from groq_client.background import BackgroundThread
from groq_client.call import Call
from groq_client.finalizers import WRITER, at_end_of_child
from groq_client.journal.destination import Destination, Outcome
from groq_client.journal.journal import Journal, key_of
from groq_client.journal.late import LateCalls
from groq_client.journal.replay import replay
from groq_client.journal.waiting import WaitingCalls

logger = logging.getLogger("usage.recording")

BATCH_SIZE = 500
RETRY_SECONDS = 1.0
DRAIN_SECONDS = 5.0
POLL_SECONDS = 0.05


class Writer:
    """Brings calls to their destination in a thread of its own. Calls that end while the thread writes go together with
    its next batch. Callers wait for the thread only in ``wait`` and ``flush``. At most ``memory`` calls wait in memory;
    further calls wait only in files of the journal.

    The writer installs no signal handlers. If a signal ends the process, the next replay of the journal records the
    remaining calls.
    """

    def __init__(self, destination: Destination, journal: Journal, memory: int) -> None:
        self._destination = destination
        self._journal = journal
        self._memory = memory
        self._thread = BackgroundThread("usage-writer", self._work)
        self._begin()
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self.close)

    def _begin(self) -> None:
        self._waiting = WaitingCalls()
        self._late = LateCalls()
        self._has_begun = False
        self._is_closed = False
        self._is_handed_over = False
        """True if calls of this process may be in files that wait to be replayed."""
        self._is_slow = False
        """True if the destination is away or slow. ``wait`` then returns at once until calls arrive there again."""
        self._looked_at = time.monotonic()
        self._has_backlog = True
        """True if there may be files to replay, from earlier processes or handed over by this one."""

    def _after_fork(self) -> None:
        """Begin anew in a forked child, because the calls and the thread belong to the parent."""
        self._begin()
        self._journal.after_fork()

    def begin(self, call: Call) -> None:
        """Note in the journal that a call begins."""
        if not self._has_begun:
            self._has_begun = True
            at_end_of_child(self.close, WRITER)
        self._journal.started(call)

    def note_end(self, call: Call) -> None:
        """Note in the journal that a call has ended. ``put`` follows with its complete usage."""
        self._journal.estimating(call)

    def put(self, call: Call) -> None:
        """Take a call that has ended. When this returns, the call is in the journal, or only in memory if the disk
        fails. If memory is full as well, the call is lost."""
        has_room = self._has_room and not self._is_closed
        is_on_disk = False
        try:
            is_on_disk = self._journal.ended(call, is_in_memory=has_room)
        finally:
            if has_room:
                self._add(call)
            elif not is_on_disk:
                self._destination.lose(call, "is lost: there is neither room in memory to wait, nor a journal")

    @property
    def _has_room(self) -> bool:
        return len(self._waiting) + len(self._late) < self._memory

    def _add(self, item: Call | threading.Event) -> None:
        self._waiting.add(item)
        self._ensure_thread()

    def wait(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds until the thread has tried to write all calls that were put. This returns at
        once if the destination is known to be away or slow."""
        if not self._is_slow and not self._reach(time.monotonic() + timeout):
            logger.warning("The ledger is slow: calls wait in the journal.")
            self._is_slow = True

    def flush(self, timeout: float | None) -> bool:
        """Wait until all calls that were put are settled; False if they were not within ``timeout`` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        if not self._reach(until):
            return False
        while self._late or self._journal.holds_more or self._is_handed_over:
            if until is not None and time.monotonic() > until:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _reach(self, until: float | None) -> bool:
        """Wait until the thread has tried to write all calls that were put; False if ``until`` comes first."""
        if not self._waiting:
            return True
        reached = threading.Event()
        self._add(reached)
        while not reached.wait(RETRY_SECONDS if until is None else min(RETRY_SECONDS, until - time.monotonic())):
            if until is not None and time.monotonic() >= until:
                return False
            self._ensure_thread()  # ``put`` may have failed to start the thread
        return True

    def close(self) -> None:
        """Write the remaining calls when the process exits, and those that earlier processes left, as far as
        DRAIN_SECONDS suffice. The rest stays in the journal for the next replay."""
        until = time.monotonic() + DRAIN_SECONDS
        is_drained = self.flush(DRAIN_SECONDS)
        while is_drained and self._is_replaying and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        self._is_closed = True
        if not is_drained and self._journal.is_broken:
            for call in [*self._late, *self._waiting]:
                self._destination.lose(call, "is lost: the process ends, the ledger is away, and there is no journal")
        self._journal.close()

    @property
    def _is_replaying(self) -> bool:
        return self._has_backlog and self._thread.is_running and not self._destination.is_away

    def _ensure_thread(self) -> None:
        if not self._is_closed:
            self._thread.ensure()

    # The methods below run in the writer's thread.

    def _work(self) -> None:
        if not self._waiting:  # after a failure some calls are still waiting
            is_busy = self._has_backlog or self._journal.holds_more or self._late
            timeout = RETRY_SECONDS if is_busy else self._destination.look_seconds
            self._waiting.wait_for_one(timeout, self._destination.linger_seconds)
        while self._waiting:
            self._write()
        self._write_late()
        if self._journal.holds_more:  # memory became full after the last write, or the disk failed then
            self._hand_over()
        self._look_again()
        if self._has_backlog and not self._is_closed and not self._destination.is_away:
            self._replay()

    def _write(self) -> None:
        """Write the first waiting calls, and set the ``threading.Event`` objects directly after them."""
        batch = self._waiting.first(BATCH_SIZE)
        outcome = self._destination.settle([call for call in batch if not self._late.knows(call)])
        tried = batch[: batch.index(outcome.left[0])] if outcome.left else batch
        settled, late = self._parted(tried, outcome)
        if settled:
            self._journal.settled(settled)
        if late:
            self._journal.sync()  # the journal is the only safe copy of late calls
        for call in late:
            self._late.add(call)
        self._waiting.take_off(len(tried))
        if outcome.left:
            self._wait_for_the_destination()
        else:
            self._is_slow = False
            self._journal.rotate_if_large()
            if self._journal.holds_more:
                self._hand_over()

    def _parted(self, tried: list[Call], outcome: Outcome) -> tuple[list[Call], list[Call]]:
        """The tried calls in two lists: those that are settled, and those that are late."""
        keys = {key_of(call) for call in outcome.late}
        late = [call for call in tried if key_of(call) in keys or self._late.knows(call)]
        keys |= {key_of(call) for call in late}
        return [call for call in tried if key_of(call) not in keys], late

    def _write_late(self) -> None:
        """Try the late calls again, as long as no other call waits."""
        while not (self._is_closed or self._waiting) and (batch := self._late.due(BATCH_SIZE)):
            outcome = self._destination.settle(batch)
            unsettled = {key_of(call) for call in (*outcome.late, *outcome.left)}
            if unsettled:
                self._late.still_late(batch)
            settled = [call for call in batch if key_of(call) not in unsettled]
            if settled:
                self._journal.settled(settled)
                self._late.remove(settled)

    def _wait_for_the_destination(self) -> None:
        self._is_slow = True
        self._journal.sync()
        if self._journal.holds_more or not self._has_room:
            self._hand_over()
        time.sleep(RETRY_SECONDS)

    def _hand_over(self) -> None:
        """Make room in memory: leave the waiting calls to a file of the journal, which is replayed later."""
        # This is noted first, so that ``flush`` sees at every moment that calls are still to come.
        self._has_backlog = self._is_handed_over = True
        handed_over = self._journal.hand_over()
        if handed_over is not None:
            self._waiting.leave_to_files(handed_over)
            self._late.leave_to_files(handed_over)

    def _look_again(self) -> None:
        """Look for the files of processes that have ended meanwhile, if it is time."""
        pause = self._destination.look_seconds
        if pause is not None and time.monotonic() >= self._looked_at + pause:
            self._looked_at = time.monotonic()
            self._has_backlog = True

    def _replay(self) -> None:
        """Replay one file after another, as long as no call of this process waits and the writer is not closed."""
        while not (self._waiting or self._is_closed):
            found = replay(self._journal.directory, self._destination, files=1)
            if not found.files:
                self._has_backlog = found.waiting > 0
                self._is_handed_over = self._is_handed_over and self._has_backlog
                return
