"""The metrics of calls under the names of OpenTelemetry's conventions for generative AI, as Prometheus writes them."""

from collections.abc import Sequence

from prometheus_client.core import HistogramMetricFamily, Metric

from analytics.reports import Counted
from api.metrics.families import added, buckets_of

SECOND_MS = 1_000
OPERATIONS = {"embedding": "embeddings"}
"""Operations that have another name there."""
ERRORS = {"success": "", "timeout": "timeout", "error": "_OTHER"}
LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


def requests(calls: Sequence[Counted]) -> Sequence[Metric]:
    duration = HistogramMetricFamily(
        "gen_ai_client_operation_duration_seconds", "GenAI operation duration.", labels=[*LABELS, "error_type"]
    )
    usage = HistogramMetricFamily(
        "gen_ai_client_token_usage", "Number of input and output tokens used.", labels=[*LABELS, "gen_ai_token_type"]
    )
    first = HistogramMetricFamily(
        "gen_ai_server_time_to_first_token_seconds", "Time to generate the first token.", labels=LABELS
    )
    grouped: dict[tuple[str, ...], list[Counted]] = {}
    for row in calls:
        labels = (OPERATIONS.get(row.operation, row.operation), row.provider, row.model)
        buckets = buckets_of(row.latency, SECOND_MS)
        duration.add_metric([*labels, ERRORS[row.status]], buckets, row.latency.sum_ms / SECOND_MS)
        grouped.setdefault(labels, []).append(row)
    for names, rows in grouped.items():
        number = sum(row.requests for row in rows)
        for kind in ("input", "output"):
            tokens = sum(getattr(row, f"{kind}_tokens") for row in rows)
            usage.add_metric([*names, kind], [("+Inf", number)], tokens)
        times = added(row.ttft for row in rows)
        if times.count:
            first.add_metric(names, buckets_of(times, SECOND_MS), times.sum_ms / SECOND_MS)
    return duration, usage, first
