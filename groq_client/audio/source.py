"""The parts that the readers of all containers share: bytes at an offset, and a length with its certainty.

The length in a header may be wrong. Each reader counts the samples, frames, packets or pages in the file, and calls a
length certain only if that count is complete or agrees with a second source.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import BinaryIO

MILLISECOND = Decimal("0.001")
LONGEST_SECONDS = Decimal(1_000_000)
TOLERANCE = 0.01
"""Two lengths agree if they differ by at most this share of the larger one."""
WINDOW = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Length:
    """The length of some audio, to the millisecond; if it is not certain, it is the best guess."""

    seconds: Decimal
    is_certain: bool


class Source:
    """A seekable file whose bytes can be read at any offset."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0, 2)  # Its result is not used, because not every file-like object returns the offset.
        self.size = file.tell()

    def read(self, at: int, size: int) -> bytes:
        """The ``size`` bytes from the offset ``at``; fewer where the file ends."""
        if at >= self.size or size <= 0:
            return b""
        self._file.seek(at)
        return self._file.read(size)

    def find(self, pattern: bytes, start: int) -> int:
        """The offset of the first ``pattern`` from ``start`` on, or -1."""
        for at in range(start, self.size, WINDOW):
            found = self.read(at, WINDOW + len(pattern) - 1).find(pattern)
            if found >= 0:
                return at + found
        return -1


def length(seconds: float | None, *, is_certain: bool) -> Length | None:
    """A :class:`Length` of ``seconds``; ``None`` if there is no sound."""
    told = as_seconds(seconds)
    return Length(told, is_certain) if told else None


def agree(one: float, other: float, slack: float = 0.0) -> bool:
    """Whether two lengths differ by at most ``TOLERANCE`` or by at most ``slack`` seconds."""
    return abs(one - other) <= max(TOLERANCE * max(one, other), slack)


def as_seconds(value: object) -> Decimal | None:
    """A duration in JSON, given as a number or as text; ``None`` if the value is no duration."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        seconds = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    if not seconds.is_finite() or not 0 <= seconds < LONGEST_SECONDS:
        return None
    return seconds.quantize(MILLISECOND)
