"""What a report sums up of rollup rows, as Django aggregates."""

from django.db.models import Max, Min, Q, Sum
from django.db.models.aggregates import Aggregate

from analytics.models import Status

SUMMED = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "audio_seconds",
    "characters",
    "cost_usd",
)

COST_SUMS = frozenset({"cost_usd", "unpriced"})
"""Absent where the viewer may not see cost."""

PREFIX = "sum_"
"""Before the name of each sum, which is one of reports.Totals: Django lets no aggregate bear the name of a field."""

_FAILED = Q(status=Status.ERROR)

ROLLUP_MEASURES: dict[str, Aggregate] = {
    "sum_requests": Sum("requests"),
    "sum_errors": Sum("requests", filter=_FAILED),
    "sum_unpriced": Sum("unpriced"),
    "sum_estimated": Sum("estimated"),
    **{f"sum_{name}": Sum(name) for name in SUMMED},
    "sum_latency_ms_sum": Sum("latency_ms_sum"),
    "sum_latency_ms_min": Min("latency_ms_min"),
    "sum_latency_ms_max": Max("latency_ms_max"),
    "sum_ttft_ms_sum": Sum("ttft_ms_sum"),
    "sum_ttft_count": Sum("ttft_count"),
    "sum_last_day": Max("day"),
}
