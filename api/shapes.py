"""The shapes of answers. The OpenAPI document is made from the same declarations.

Money is US dollars as text with nine decimal places, so that no reader loses a digit. What a viewer may not see is
absent, neither null nor zero.
"""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from analytics.reports import Percentiles

HIDDEN_WITH_COST = ("unpriced", "without_tool_fees", "tool_cost_usd")
"""What is absent with ``cost_usd``: it would tell about costs, or is one."""


def dollars(help_text: str) -> serializers.DecimalField:
    return serializers.DecimalField(None, 9, required=False, help_text=help_text)


class SummaryShape(serializers.Serializer[Any]):
    """The sums of some requests."""

    requests = serializers.IntegerField(help_text="All requests, failed ones too.")
    successes = serializers.SerializerMethodField(help_text="Requests without an error.")
    errors = serializers.IntegerField(help_text="Requests that ended in an error, time-outs included.")
    timeouts = serializers.IntegerField(help_text="The errors that were time-outs.")
    success_rate = serializers.SerializerMethodField(help_text="From 0 to 1; null without requests.")
    error_rate = serializers.FloatField(allow_null=True, help_text="From 0 to 1; null without requests.")
    total_tokens = serializers.IntegerField(help_text="Input and output.")
    avg_latency_ms = serializers.FloatField(allow_null=True, help_text="Null without requests.")
    cost_usd = dollars("The known costs, exact. Absent if you may not see costs.")
    unpriced = serializers.IntegerField(
        required=False, help_text="Requests without a whole cost: the cost is at least cost_usd if there are any."
    )

    def get_successes(self, sums: Any) -> int:
        return int(sums.requests - sums.errors)

    def get_success_rate(self, sums: Any) -> float | None:
        return None if sums.error_rate is None else 1 - sums.error_rate

    def to_representation(self, instance: Any) -> dict[str, Any]:
        told: dict[str, Any] = super().to_representation(instance)
        if instance.cost_usd is None:
            for name in ("cost_usd", *HIDDEN_WITH_COST):
                told.pop(name, None)
        return told


class TotalsShape(SummaryShape):
    """All sums of some requests. Times are milliseconds."""

    estimated = serializers.IntegerField(help_text="Requests whose tokens are estimated, because Groq told none.")
    input_tokens = serializers.IntegerField(help_text="Cached ones included.")
    cached_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField(help_text="Reasoning included.")
    reasoning_tokens = serializers.IntegerField()
    audio_seconds = serializers.DecimalField(None, 3)
    characters = serializers.IntegerField(help_text="Of texts that were spoken.")
    tool_cost_usd = dollars("The part of cost_usd that is fees for tools.")
    latency_ms_min = serializers.IntegerField(allow_null=True)
    latency_ms_max = serializers.IntegerField(allow_null=True)
    avg_ttft_ms = serializers.FloatField(allow_null=True, help_text="To the first token, of streams.")


class LatencyShape(serializers.Serializer[Percentiles]):
    """Percentiles of latency in milliseconds: exact up to 1,000 requests, beyond within about 3 %."""

    p50 = serializers.FloatField()
    p95 = serializers.FloatField()
    p99 = serializers.FloatField()


def told(shape: type[serializers.Serializer[Any]], value: Any, **more: Any) -> Mapping[str, Any]:
    """A value in its shape, after further members."""
    return {**more, **shape(value).data}
