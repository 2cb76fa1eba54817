"""What a report answers with.

Sums are not frozen: a page has thousands, which take several times as long to make when they are.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any


@dataclass(slots=True)
class Summary:
    """The sums that a table shows.

    ``cost_usd`` is None where the viewer may not see cost, and the sum of what is priced otherwise: ``unpriced`` tells
    how many events are missing from it. Latency is in milliseconds; averages and rates are None without requests.
    """

    requests: int = 0
    errors: int = 0
    unpriced: int = 0
    total_tokens: int = 0
    cost_usd: Decimal | None = None
    latency_ms_sum: int = 0

    @property
    def avg_latency_ms(self) -> float | None:
        return self.latency_ms_sum / self.requests if self.requests else None

    @property
    def error_rate(self) -> float | None:
        """Share of requests that ended in an error, 0 to 1."""
        return self.errors / self.requests if self.requests else None


@dataclass(slots=True)
class Totals(Summary):
    """All sums. Cached tokens are part of the input, reasoning tokens part of the output."""

    estimated: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0
    latency_ms_min: int | None = None
    latency_ms_max: int | None = None
    ttft_ms_sum: int = 0
    ttft_count: int = 0

    @property
    def avg_ttft_ms(self) -> float | None:
        return self.ttft_ms_sum / self.ttft_count if self.ttft_count else None


def added(several: Iterable[Totals], nothing: Totals) -> Totals:
    """What totals come to together, or nothing where there are none."""
    columns = list(zip(*map(_values, several), strict=True))
    return Totals(*(fold(column) for fold, column in zip(_FOLDS, columns, strict=True))) if columns else nothing


def _costs(values: Sequence[Decimal | None]) -> Decimal | None:
    """A viewer sees all of them or none."""
    return sum((value for value in values if value is not None), Decimal(0)) if values[0] is not None else None


_NAMES = [field.name for field in fields(Totals)]
_values = attrgetter(*_NAMES)
_FOLD_OF: dict[str, Callable[[Any], Any]] = {"latency_ms_min": min, "latency_ms_max": max, "cost_usd": _costs}
_FOLDS = [_FOLD_OF.get(name, sum) for name in _NAMES]


@dataclass(slots=True)
class DatedTotals(Totals):
    """With the last local day on which there was anything; None where there was nothing."""

    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One day, or one hour of a local day, of a series."""

    day: date
    hour: int | None

    @property
    def label(self) -> str:
        """ISO local date, with the hour where the grain is hours: ``2026-11-22`` or ``2026-11-22T14:00``."""
        return self.day.isoformat() if self.hour is None else f"{self.day.isoformat()}T{self.hour:02}:00"


@dataclass(frozen=True, slots=True)
class Point(Moment):
    totals: Totals


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a dimension, its name for people, and its sums."""

    value: str | int
    label: str
    totals: Summary
