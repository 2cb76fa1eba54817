"""The place that calls are brought to, as the writer and the replay of journals see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from groq_client.call import Call


@dataclass(frozen=True, slots=True)
class Outcome:
    """The calls of a batch that could not be settled. All other calls of the batch are settled."""

    late: Sequence[Call] = ()
    """Calls of organizations whose events the destination cannot take now."""
    left: Sequence[Call] = ()
    """The last calls of the batch, which were not tried because the destination is away."""


class Destination(Protocol):
    """Takes calls. A call is settled when it has arrived, or when it was set aside because it never can."""

    @property
    def linger_seconds(self) -> float:
        """The pause after the first call of a group, so that calls that end at about the same time go together."""

    @property
    def look_seconds(self) -> float | None:
        """The time between two looks for the journals of processes that have ended; None if one look, when a process
        begins, is enough."""

    @property
    def is_away(self) -> bool:
        """True if the destination is known to take no calls now, so that reading files for it would be in vain."""

    def settle(self, calls: Sequence[Call]) -> Outcome:
        """Bring calls to the destination. The same call may be brought again."""

    def set_aside(self, line: str) -> None:
        """Keep a line of JSON about a call that cannot be read, so that somebody can examine it. OSError if the disk
        has no room."""

    def lose(self, call: Call, why: str) -> None:
        """Count and log a call for which there is room neither in memory nor on the disk."""

    def replayed(self, number: int) -> None:
        """Count calls of ended processes that a replay has settled."""
