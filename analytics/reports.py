"""The one reader: every figure on a page, in an export, in the API comes from here, always through a Viewer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from accounts.viewer import Viewer
from analytics.selection import Dimension, Grain, Selection


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over some events. Cached tokens are part of the input, reasoning tokens part of the output.

    ``cost_usd`` is None where the viewer may not see cost, and the sum of what is priced otherwise: ``unpriced`` tells
    how many events are missing from it. Latency is in milliseconds; averages and rates are None without requests.
    """

    requests: int = 0
    errors: int = 0
    unpriced: int = 0
    estimated: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0
    cost_usd: Decimal | None = None
    latency_ms_sum: int = 0
    latency_ms_min: int | None = None
    latency_ms_max: int | None = None
    ttft_ms_sum: int = 0
    ttft_count: int = 0

    @property
    def avg_latency_ms(self) -> float | None:
        return self.latency_ms_sum / self.requests if self.requests else None

    @property
    def avg_ttft_ms(self) -> float | None:
        return self.ttft_ms_sum / self.ttft_count if self.ttft_count else None

    @property
    def error_rate(self) -> float | None:
        """Share of requests that ended in an error, 0 to 1."""
        return self.errors / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class Point:
    """One day, or one hour of a local day, of a series."""

    day: date
    hour: int | None
    totals: Totals

    @property
    def label(self) -> str:
        """ISO local date, with the hour where the grain is hours: ``2026-11-22`` or ``2026-11-22T14:00``."""
        return self.day.isoformat() if self.hour is None else f"{self.day.isoformat()}T{self.hour:02}:00"


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a dimension, its name for people, and its sums."""

    value: str | int
    label: str
    totals: Totals


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a filter offers: it occurs in the range and the viewer may see it."""

    value: str | int
    label: str
    requests: int


@dataclass(frozen=True, slots=True)
class Percentiles:
    p50: float
    p95: float
    p99: float


class Report:
    """What a viewer sees of a selection. Asks nothing before it is asked, and each thing once."""

    def __init__(self, viewer: Viewer, selection: Selection) -> None:
        self.viewer = viewer
        self.selection = selection

    def totals(self) -> Totals:
        raise NotImplementedError

    def previous_totals(self) -> Totals:
        raise NotImplementedError

    def series(self, grain: Grain | None = None) -> Sequence[Point]:
        """A point for every day (or hour) of the range, zeros where nothing happened."""
        raise NotImplementedError

    def breakdown(self, dimension: Dimension) -> Sequence[Row]:
        """A row for each value, most requests first."""
        raise NotImplementedError

    def top_model(self) -> Row | None:
        """The model with the most requests."""
        raise NotImplementedError

    def latency_percentiles(self) -> Percentiles | None:
        """Of latency in ms; exact for small numbers of requests, else from a histogram (about 2 % off)."""
        raise NotImplementedError

    def choices(self, dimension: Dimension) -> Sequence[Choice]:
        """What occurs in the range, whatever else is chosen in this dimension."""
        raise NotImplementedError

    def export(self) -> Iterator[bytes]:
        """The events as CSV in chunks, newest first; columns that the viewer may not see are absent."""
        raise NotImplementedError


def first_day(viewer: Viewer) -> date | None:
    """The earliest day with an event that the viewer may see; None without any."""
    raise NotImplementedError


def today(viewer: Viewer) -> date:
    """The date in the visible organization that is furthest ahead, so that nobody's calls of this hour are missing."""
    raise NotImplementedError
