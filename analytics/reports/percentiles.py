"""Percentiles of latency: exact from a list, or approximate from a histogram."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analytics.reports.totals import Moment
from ledger.rollups.cubes import BUCKET_BOUNDS_MS

SHARES = (0.50, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of latency in milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(slots=True)
class Bucket:
    """The sums of the requests in one bucket of latency; times are milliseconds."""

    requests: int = 0
    latency_ms_min: int = 0
    latency_ms_max: int = 0
    ttft_ms_sum: int = 0
    ttft_count: int = 0

    def __add__(self, other: "Bucket") -> "Bucket":
        return Bucket(
            self.requests + other.requests,
            min(self.latency_ms_min, other.latency_ms_min),
            max(self.latency_ms_max, other.latency_ms_max),
            self.ttft_ms_sum + other.ttft_ms_sum,
            self.ttft_count + other.ttft_count,
        )


Histogram = Mapping[int, Bucket]
"""Buckets by their numbers."""


@dataclass(frozen=True, slots=True)
class LatencyPoint(Moment):
    """Latency and the average time to the first token, in milliseconds; None if nothing was measured."""

    latency: Percentiles | None
    avg_ttft_ms: float | None


def exact(latencies: Sequence[int]) -> Percentiles:
    """The percentiles of a sorted list that is not empty, by nearest rank."""
    return Percentiles(*(latencies[max(0, math.ceil(share * len(latencies)) - 1)] for share in SHARES))


def from_histogram(buckets: Histogram) -> Percentiles:
    """Approximate percentiles: interpolated on a logarithmic scale within the bucket that each percentile falls into,
    between its bounds or, if these are narrower, the least and the largest latency in it."""
    return Percentiles(*(_percentile(share, buckets) for share in SHARES))


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram with the buckets of all of them added up."""
    whole: dict[int, Bucket] = {}
    for histogram in histograms:
        for number, bucket in histogram.items():
            whole[number] = whole[number] + bucket if number in whole else bucket
    return whole


def average_ttft(histogram: Histogram) -> float | None:
    """The average time to the first token of the requests that streamed, in milliseconds; None if none did."""
    count = sum(bucket.ttft_count for bucket in histogram.values())
    return sum(bucket.ttft_ms_sum for bucket in histogram.values()) / count if count else None


def _percentile(share: float, buckets: Histogram) -> float:
    wanted, below = share * sum(bucket.requests for bucket in buckets.values()), 0
    for number, bucket in sorted(buckets.items()):
        if below + bucket.requests >= wanted:
            low = max(bucket.latency_ms_min, BUCKET_BOUNDS_MS[number - 1] if number else 0, 1)
            high = max(low, bucket.latency_ms_max)
            return float(low * (high / low) ** ((wanted - below) / bucket.requests))
        below += bucket.requests
    return 0.0
