"""Late calls: calls of an organization whose events the ledger cannot take now, because the organization is locked or
its node of a cluster is away. Late calls wait here, so that calls of other organizations can be written."""

import time
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from groq_client.call import Call
from groq_client.journal.journal import Key, key_of

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0


@dataclass(slots=True)
class _Queue:
    calls: list[Call] = field(default_factory=list)
    pause: float = FIRST_PAUSE_SECONDS
    retry_at: float = 0.0


class LateCalls:
    """Queues of late calls, one for each organization name that calls give. Only the writer's thread changes them;
    other threads count and list the calls."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.calls) for queue in list(self._queues.values()))

    def __iter__(self) -> Iterator[Call]:
        return (call for queue in list(self._queues.values()) for call in [*queue.calls])

    def knows(self, call: Call) -> bool:
        """Whether the call's organization already has late calls, so that this call has to wait as well."""
        return call.attribution.organization in self._queues

    def add(self, call: Call) -> None:
        """Add a call. The first call of an organization begins the pause before its calls are tried again."""
        queue = self._queues.setdefault(call.attribution.organization, _Queue())
        if not queue.calls:
            queue.retry_at = time.monotonic() + queue.pause
        queue.calls.append(call)

    def due(self, number: int) -> list[Call]:
        """At most ``number`` calls of one organization whose pause is over; empty if there is no such organization."""
        now = time.monotonic()
        return next((queue.calls[:number] for queue in self._queues.values() if queue.retry_at <= now), [])

    def still_late(self, tried: list[Call]) -> None:
        """Note that the calls of an organization failed again. Its next pause is twice as long."""
        queue = self._queues[tried[0].attribution.organization]
        queue.pause = min(2 * queue.pause, LONGEST_PAUSE_SECONDS)
        queue.retry_at = time.monotonic() + queue.pause

    def remove(self, calls: list[Call]) -> None:
        """Remove calls that are settled."""
        self.leave_to_files({key_of(call) for call in calls})

    def leave_to_files(self, handed_over: Container[Key]) -> None:
        """Remove the calls with these keys, because a file that will be replayed has them."""
        for name, queue in list(self._queues.items()):
            queue.calls = [call for call in queue.calls if key_of(call) not in handed_over]
            if not queue.calls:
                del self._queues[name]
