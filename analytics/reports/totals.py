"""The values that a report returns: sums, points of a series, rows of a breakdown.

The dataclasses of sums are not frozen, because a page makes thousands and a frozen one takes several times as long.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any, TypeVar


@dataclass(slots=True)
class Summary:
    """The sums that a table shows.

    ``errors`` counts all failed requests; of ``timeouts`` of these the answer did not come in time. ``cost_usd`` is the
    sum of the known costs, or None if the viewer may not see cost. ``unpriced`` counts the events without a whole cost;
    ``without_tool_fees`` of these lack only their fees for tools. Latency is in milliseconds. Averages and rates are
    None without requests.
    """

    requests: int = 0
    errors: int = 0
    timeouts: int = 0
    unpriced: int = 0
    without_tool_fees: int = 0
    total_tokens: int = 0
    cost_usd: Decimal | None = None
    latency_ms_sum: int = 0

    @property
    def priced(self) -> int:
        """The number of requests with a cost, complete or without tool fees."""
        return self.requests - self.unpriced + self.without_tool_fees

    @property
    def avg_latency_ms(self) -> float | None:
        return self.latency_ms_sum / self.requests if self.requests else None

    @property
    def error_rate(self) -> float | None:
        """The share of requests that ended in an error, 0 to 1."""
        return self.errors / self.requests if self.requests else None


@dataclass(slots=True)
class Totals(Summary):
    """All sums. The input includes cached tokens, the output includes reasoning tokens, and ``cost_usd`` includes
    ``tool_cost_usd``."""

    estimated: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0
    tool_cost_usd: Decimal | None = None
    latency_ms_min: int | None = None
    latency_ms_max: int | None = None
    ttft_ms_sum: int = 0
    ttft_count: int = 0

    @property
    def avg_ttft_ms(self) -> float | None:
        return self.ttft_ms_sum / self.ttft_count if self.ttft_count else None


@dataclass(slots=True)
class DatedTotals(Totals):
    """Totals with the last local day that has requests; None without requests."""

    last_day: date | None = None


S = TypeVar("S", bound=Summary)


def added(several: Iterable[S], nothing: S) -> S:
    """The sums added up, each as one of the class of ``nothing``; the value ``nothing`` if there are none."""
    values, folds = _READING[type(nothing)]
    columns = list(zip(*map(values, several), strict=True))
    return type(nothing)(*(fold(column) for fold, column in zip(folds, columns, strict=True))) if columns else nothing


def remainder(whole: Summary, parts: Sequence[S]) -> S:
    """What is left of the whole without its parts, of which there is at least one. What only all requests together can
    tell, such as the shortest latency, is left out. A hidden cost stays hidden."""
    kind = type(parts[0])
    taken = added(parts, parts[0])
    names = (name for name in _NAMES[kind] if name not in _EXTREMES)
    return kind(**{name: _less(getattr(whole, name), getattr(taken, name)) for name in names})


def _less(whole: Any, part: Any) -> Any:
    return whole if whole is None or part is None else whole - part


def _costs(values: Sequence[Decimal | None]) -> Decimal | None:
    """The sum of the costs; None if the first one is hidden, because a viewer sees either all costs or none."""
    return sum((value for value in values if value is not None), Decimal(0)) if values[0] is not None else None


def _latest(values: Sequence[date | None]) -> date | None:
    return max((value for value in values if value is not None), default=None)


_EXTREMES: dict[str, Callable[[Any], Any]] = {"latency_ms_min": min, "latency_ms_max": max, "last_day": _latest}
_FOLD_OF = _EXTREMES | {"cost_usd": _costs, "tool_cost_usd": _costs}
_NAMES = {kind: [field.name for field in fields(kind)] for kind in (Summary, Totals, DatedTotals)}
_READING: dict[type[Summary], tuple[Callable[[Any], Any], list[Callable[[Any], Any]]]] = {
    kind: (attrgetter(*names), [_FOLD_OF.get(name, sum) for name in names]) for kind, names in _NAMES.items()
}
"""For each class of sums, what reads all its values, and how each of them is added up."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A local day of a series, or one hour of it."""

    day: date
    hour: int | None

    @property
    def label(self) -> str:
        """The local date in ISO 8601, with the hour if there is one: ``2026-11-22`` or ``2026-11-22T14:00``."""
        return self.day.isoformat() if self.hour is None else f"{self.day.isoformat()}T{self.hour:02}:00"


@dataclass(frozen=True, slots=True)
class Point(Moment):
    totals: Totals


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a dimension, its name, and its sums."""

    value: str | int
    label: str
    totals: Summary
