"""The shapes of sums."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from api.shapes.base import MODEL, Shape, dollars, example, whole, without_hidden

SUMS: Mapping[str, Any] = {
    "requests": 1_204, "successes": 1_190, "errors": 14, "timeouts": 2, "success_rate": 0.9884, "error_rate": 0.0116,
    "total_tokens": 2_310_550, "avg_latency_ms": 412.7, "cost_usd": "0.913250400", "unpriced": 0,
}  # fmt: skip
TOTALS: Mapping[str, Any] = {
    **SUMS, "estimated": 3, "input_tokens": 1_904_310, "cached_tokens": 611_200, "output_tokens": 406_240,
    "reasoning_tokens": 88_100, "audio_seconds": "0.000", "characters": 0, "tool_cost_usd": "0.000000000",
    "latency_ms_min": 61, "latency_ms_max": 9_204, "avg_ttft_ms": 118.3,
}  # fmt: skip
LATENCY = {"p50": 344.0, "p95": 1_090.0, "p99": 2_310.0}
DAYS = {"first_day": "2026-11-01", "last_day": "2026-11-30"}
BEFORE = {"first_day": "2026-10-02", "last_day": "2026-10-31", "is_covered": True, "totals": TOTALS}
GROQ_ROW = {"value": "groq", "name": "groq", **SUMS}
MODEL_ROW = {"value": MODEL, "name": MODEL, **SUMS}
DAY = {"day": "2026-11-01", **SUMS}
USAGE = {
    **DAYS, **TOTALS, "latency_ms": LATENCY, "by_provider": [GROQ_ROW], "popular_models": [MODEL_ROW], "trend": [DAY],
}  # fmt: skip
SPEED = {"provider": "groq", "model": MODEL, **SUMS, "latency_ms": LATENCY, "avg_ttft_ms": 118.3,
         "tokens_per_second": 817.4}  # fmt: skip


class SummaryShape(Shape):
    """The sums of some requests."""

    requests = whole("All requests, failed ones too.")
    successes = serializers.SerializerMethodField(help_text="Requests without an error.")
    errors = whole("Requests that ended in an error, time-outs included.")  # type: ignore[assignment]
    timeouts = whole("The errors that were time-outs.")
    success_rate = serializers.SerializerMethodField(help_text="From 0 to 1; null without requests.")
    error_rate = serializers.FloatField(allow_null=True, help_text="From 0 to 1; null without requests.")
    total_tokens = whole("Input and output.")
    avg_latency_ms = serializers.FloatField(allow_null=True, help_text="Null without requests.")
    cost_usd = dollars("The known costs, exact. Absent if you may not see costs.")
    unpriced = whole(
        "Requests without a whole cost. If there are any, the cost is at least cost_usd. Absent as cost_usd is.",
        required=False,
    )

    def get_successes(self, sums: Any) -> int:
        return int(sums.requests - sums.errors)

    def get_success_rate(self, sums: Any) -> float | None:
        return None if sums.error_rate is None else 1 - sums.error_rate

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return without_hidden(instance, super().to_representation(instance))


class TotalsShape(SummaryShape):
    """All sums of some requests. Times are milliseconds."""

    estimated = whole("Requests whose tokens are estimated, because Groq told none.")
    input_tokens = whole("Cached ones included.")
    cached_tokens = whole()
    output_tokens = whole("Reasoning included.")
    reasoning_tokens = whole()
    audio_seconds = serializers.DecimalField(None, 3)
    characters = whole("Of texts that were spoken.")
    tool_cost_usd = dollars("The part of cost_usd that is fees for tools. Absent as cost_usd is.")
    latency_ms_min = serializers.IntegerField(allow_null=True)
    latency_ms_max = serializers.IntegerField(allow_null=True)
    avg_ttft_ms = serializers.FloatField(allow_null=True, help_text="To the first token, of streams.")


class LatencyShape(Shape):
    """Percentiles of latency in milliseconds: exact up to 1,000 requests, beyond within about 3 %."""

    p50 = serializers.FloatField()
    p95 = serializers.FloatField()
    p99 = serializers.FloatField()


class RangeShape(Shape):
    """The days that an answer is about."""

    first_day = serializers.DateField(help_text="Included.")
    last_day = serializers.DateField(help_text="Included.")


class RowShape(SummaryShape):
    """The sums of one value of a dimension."""

    value = serializers.JSONField(help_text='A name, or an id as a number. "" or 0: requests that name none.')
    name = serializers.CharField(help_text="As people say it.")


class DayShape(SummaryShape):
    day = serializers.DateField()


class PreviousShape(RangeShape):
    """The period of the same length just before."""

    is_covered = serializers.BooleanField(
        help_text="False if it begins before the first day with data, so that comparing would mislead."
    )
    totals = TotalsShape(allow_null=True, help_text="Null if too little is kept to tell them.")


@example({**USAGE, "previous": BEFORE})
class UsageShape(RangeShape, TotalsShape):
    """What a range comes to, and its largest parts."""

    latency_ms = LatencyShape(allow_null=True, help_text="Null without requests.")
    by_provider = RowShape(many=True)
    popular_models = RowShape(many=True, help_text="At most ten, most requests first.")
    trend = DayShape(many=True, help_text="Every day of the range.")
    previous = PreviousShape(required=False, help_text="With compare=previous.")


class PointShape(SummaryShape):
    period = serializers.CharField(
        help_text="The day on which the period begins, or the day and hour: 2026-11-22T14:00. Local, without a zone."
    )


@example({**DAYS, "group_by": "month", "points": [{"period": "2026-11-01", **SUMS}]})
class CostsShape(RangeShape):
    group_by = serializers.CharField()
    points = PointShape(many=True, help_text="Every period of the range, with zeros for one without requests.")


class LineShape(Shape):
    value = serializers.JSONField()
    name = serializers.CharField()
    points = SummaryShape(many=True, help_text="One for each of the moments.")


@example(
    {
        **DAYS, "grain": "day", "by": "model", "moments": ["2026-11-01"], "total": [SUMS],
        "series": [{"value": MODEL, "name": MODEL, "points": [SUMS]}],
    }
)  # fmt: skip
class SeriesShape(RangeShape):
    grain = serializers.CharField()
    by = serializers.CharField()
    moments = serializers.ListField(child=serializers.CharField(), help_text="The days or hours, as they are local.")
    total = SummaryShape(many=True, help_text="Of all values together, one for each of the moments.")
    series = LineShape(many=True, help_text="Of the values with the most requests.")


@example({**DAYS, "by": "requests", "rows": [MODEL_ROW], "number": 1})
class RowsShape(RangeShape):
    by = serializers.CharField()
    rows = RowShape(many=True)
    number = whole("How many rows there are without a limit.")


class KeyShape(Shape):
    dimension = serializers.CharField()
    value = serializers.JSONField()
    name = serializers.CharField()


class CombinationShape(SummaryShape):
    key = KeyShape(many=True, help_text="The value of each dimension.")


@example({**DAYS, "rows": [{"key": [{"dimension": "user", "value": 17, "name": "Ann Lee"}], **SUMS}], "number": 1})
class BreakdownShape(RangeShape):
    rows = CombinationShape(many=True, help_text="Most requests first.")
    number = whole("How many rows there are without a limit.")


class SpeedShape(SummaryShape):
    """The speed of one model."""

    provider = serializers.CharField()
    model = serializers.CharField()
    latency_ms = LatencyShape(allow_null=True)
    avg_ttft_ms = serializers.FloatField(allow_null=True)
    tokens_per_second = serializers.FloatField(
        allow_null=True, help_text="Output tokens of answered requests per second of their latency."
    )


class SpeedOfDayShape(Shape):
    day = serializers.DateField()
    latency_ms = LatencyShape(allow_null=True)
    avg_ttft_ms = serializers.FloatField(allow_null=True)


@example(
    {
        **DAYS, **TOTALS, "latency_ms": LATENCY, "models": [SPEED],
        "days": [{"day": "2026-11-01", "latency_ms": LATENCY, "avg_ttft_ms": 118.3}],
    }
)  # fmt: skip
class PerformanceShape(RangeShape, TotalsShape):
    latency_ms = LatencyShape(allow_null=True)
    models = SpeedShape(many=True, help_text="Most requests first, at most 100.")
    days = SpeedOfDayShape(many=True)


@example(
    {
        **DAYS, "totals": TOTALS, "previous": BEFORE, "by_type": [{"value": "chat", "name": "chat", **SUMS}],
        "by_user": [{"value": 17, "name": "Ann Lee", **SUMS}], "daily": [DAY],
    }
)  # fmt: skip
class AdminShape(RangeShape):
    totals = TotalsShape()
    previous = PreviousShape()
    by_type = RowShape(many=True, help_text="By feature: what the requests were for.")
    by_user = RowShape(many=True, help_text="At most 100 people, most requests first.")
    daily = DayShape(many=True)
