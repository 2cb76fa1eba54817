"""The shapes of answers. The OpenAPI document is made from the same declarations.

Money is US dollars as text with nine decimal places, so that no reader loses a digit. What a viewer may not see is
absent, neither null nor zero.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

HIDDEN_WITH_COST = ("cost_usd", "unpriced", "without_tool_fees", "tool_cost_usd")
"""What is absent for viewers who may not see costs: it is a cost, or would tell about costs."""


SUMS: Mapping[str, Any] = {
    "requests": 1_204, "successes": 1_190, "errors": 14, "timeouts": 2, "success_rate": 0.9884, "error_rate": 0.0116,
    "total_tokens": 2_310_550, "avg_latency_ms": 412.7, "cost_usd": "0.913250400", "unpriced": 0,
}  # fmt: skip
DAYS = {"first_day": "2026-11-01", "last_day": "2026-11-30"}
MODEL = "openai/gpt-oss-120b"
MOST_TOKENS = 10_000_000


def example(value: Any) -> Any:
    """A decorator that gives a shape an example in the document."""
    return extend_schema_serializer(examples=[OpenApiExample("Example", value)])


class Shape(serializers.Serializer[Any]):
    """A shape. It only tells; nothing is read with it."""


def dollars(help_text: str, *, allow_null: bool = False) -> serializers.DecimalField:
    return serializers.DecimalField(None, 9, required=False, allow_null=allow_null, help_text=help_text)


def rate(help_text: str = "") -> serializers.DecimalField:
    return serializers.DecimalField(None, 9, allow_null=True, help_text=help_text)


def given_rate(help_text: str = "") -> serializers.DecimalField:
    return serializers.DecimalField(None, 9, required=False, min_value=Decimal(0), help_text=help_text)


def whole(help_text: str = "", *, required: bool = True) -> serializers.IntegerField:
    return serializers.IntegerField(help_text=help_text, required=required)


def without_hidden(sums: Any, represented: dict[str, Any]) -> dict[str, Any]:
    """What is told of sums, without the members about cost if these have none, since the viewer may not see it."""
    if sums.cost_usd is not None:
        return represented
    return {name: value for name, value in represented.items() if name not in HIDDEN_WITH_COST}


@example(
    {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "limit: write a whole number from 1 to 50.",
        "parameter": "limit",
    }
)
class ProblemShape(Shape):
    """An error, as RFC 9457 describes it."""

    type = serializers.CharField(help_text="about:blank: the status says what kind of problem it is.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong and what to do, for people.")
    parameter = serializers.CharField(required=False, help_text="The name of the wrong parameter or field.")


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


class SeriesShape(RangeShape):
    grain = serializers.CharField()
    by = serializers.CharField()
    moments = serializers.ListField(child=serializers.CharField(), help_text="The days or hours, as they are local.")
    total = SummaryShape(many=True, help_text="Of all values together, one for each of the moments.")
    series = LineShape(many=True, help_text="Of the values with the most requests.")


@example({**DAYS, "by": "requests", "rows": [{"value": MODEL, "name": MODEL, **SUMS}], "number": 1})
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


class PerformanceShape(RangeShape, TotalsShape):
    latency_ms = LatencyShape(allow_null=True)
    models = SpeedShape(many=True, help_text="Most requests first, at most 100.")
    days = SpeedOfDayShape(many=True)


class AdminShape(RangeShape):
    totals = TotalsShape()
    previous = PreviousShape()
    by_type = RowShape(many=True, help_text="By feature: what the requests were for.")
    by_user = RowShape(many=True, help_text="At most 100 people, most requests first.")
    daily = DayShape(many=True)


class OrganizationShape(Shape):
    id = serializers.IntegerField()
    slug = serializers.CharField()
    name = serializers.CharField()
    time_zone = serializers.CharField(help_text="Its days begin and end in this zone.")


@example(
    {
        "kind": "key",
        "name": "Nightly report",
        "role": "Admin",
        "organizations": [{"id": 3, "slug": "acme", "name": "Acme", "time_zone": "Europe/Berlin"}],
        "may": ["see_costs", "see_everybody", "export"],
        "today": "2026-11-30",
    }
)
class MeShape(Shape):
    """Who asks, and what they may see."""

    kind = serializers.ChoiceField(["person", "key"])
    name = serializers.CharField()
    role = serializers.CharField(help_text="Super Admin, Admin or User. A key without a person has that of an Admin.")
    organizations = OrganizationShape(many=True, help_text="Those that you see; at most 100.")
    project = serializers.CharField(required=False, help_text="The only project that a key may tell of.")
    may = serializers.ListField(
        child=serializers.ChoiceField(["see_costs", "see_everybody", "export", "edit_prices"]),
        help_text="What you may do beside seeing your own requests.",
    )
    today = serializers.DateField(help_text="The day that ranges end on.")


class NullableText(serializers.CharField):
    """A text, or null for one that is empty."""

    def __init__(self, help_text: str = "", **kwargs: Any) -> None:
        super().__init__(help_text=help_text, allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> Any:
        return str(value) or None


class EventShape(Shape):
    """One request. Columns have the names of the export."""

    id = serializers.SerializerMethodField(help_text="As the address of the event has it.")
    timestamp = serializers.DateTimeField(help_text="When the call began, in UTC.")
    day = serializers.DateField(help_text="The day that it counts for, in the organization's calendar.")
    hour = whole("The hour of that day.")
    organization = serializers.CharField(source="organization.slug")
    project = serializers.CharField(source="project.slug", default=None, allow_null=True)
    user = serializers.CharField(source="user.handle", default=None, allow_null=True)
    user_name = serializers.CharField(source="user.display_name", default=None, allow_null=True)
    provider = serializers.CharField()
    model = NullableText()
    model_requested = NullableText("The name that the call used, which may be an alias.")
    operation = serializers.CharField()
    feature = NullableText("What it was for.")
    expert_id = NullableText()
    template_id = NullableText()
    session_id = NullableText()
    request_id = serializers.CharField()
    provider_request_id = NullableText()
    response_id = NullableText()
    status = serializers.CharField(help_text="success or error.")
    error_code = NullableText()
    error_message = NullableText()
    http_status = serializers.IntegerField(allow_null=True)
    attempts = whole()
    stream = serializers.BooleanField()
    input_tokens = whole()
    output_tokens = whole()
    total_tokens = whole()
    cached_tokens = whole()
    reasoning_tokens = whole()
    tokens_estimated = serializers.BooleanField()
    audio_seconds = serializers.DecimalField(None, 3)
    characters = whole()
    latency_ms = whole("To the last byte.")
    ttft_ms = serializers.IntegerField(allow_null=True, help_text="To the first token.")
    queue_ms = serializers.FloatField(allow_null=True)
    prompt_ms = serializers.FloatField(allow_null=True)
    completion_ms = serializers.FloatField(allow_null=True)
    service_tier = NullableText()
    tools = serializers.DictField(source="tool_uses", child=serializers.IntegerField())
    metadata = serializers.DictField()
    cost_usd = dollars("Null without a price. Absent if you may not see costs, as are the following.", allow_null=True)
    tool_cost_usd = dollars("The part that is fees for tools.")
    without_tool_fees = serializers.BooleanField(required=False, help_text="Whether a tool had no price.")
    reported_cost_usd = dollars("The cost that the sender of the event computed.", allow_null=True)
    price_version = serializers.IntegerField(source="price_id", allow_null=True, required=False)
    tool_price_version = serializers.IntegerField(source="tool_price_id", allow_null=True, required=False)
    usage_breakdown = serializers.JSONField(required=False, help_text="The parts of a compound call, or null.")

    def get_id(self, event: Any) -> str:
        return f"{event.organization_id}-{event.pk}"


class EventsShape(Shape):
    """A page of events."""

    next = serializers.URLField(allow_null=True, help_text="The page of older events; null on the last page.")
    previous = serializers.URLField(allow_null=True, help_text="The page of newer events; null on the first page.")
    events = EventShape(many=True)


class ChargeShape(Shape):
    """One line of a cost."""

    unit = serializers.CharField(help_text="input, cached, output, audio, characters or tool.")
    tool = serializers.CharField(allow_null=True)
    amount = serializers.CharField(help_text="Tokens, seconds, characters or uses.")
    rate_usd = serializers.CharField(allow_null=True, help_text="Dollars for this number of units; null without.")
    per = whole("The number of units that the rate is for; 3600 seconds for audio.")
    cost_usd = serializers.CharField(allow_null=True)


class PartShape(Shape):
    """The part of one model in a cost."""

    model = serializers.CharField(allow_blank=True)
    price_version = serializers.IntegerField(allow_null=True)
    charged_since = serializers.DateTimeField(allow_null=True, help_text="When this version of the price began.")
    charges = ChargeShape(many=True)


class ExplanationShape(Shape):
    """How a cost came about."""

    cost_usd = serializers.CharField(allow_null=True)
    adds_up = serializers.BooleanField(help_text="Whether the charges add up to the recorded cost.")
    parts = PartShape(many=True)


class EventDetailShape(EventShape):
    cost = ExplanationShape(required=False, help_text="Absent if you may not see costs.")


class SessionShape(Shape):
    """A conversation: all requests with one session id."""

    session_id = serializers.CharField()
    organization_id = whole()
    user_id = whole("0 if its calls named nobody.")
    person = serializers.CharField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    duration_ms = serializers.FloatField()
    time_zone = serializers.CharField()
    requests = whole()
    errors = whole()  # type: ignore[assignment]
    timeouts = whole()
    input_tokens = whole()
    cached_tokens = whole()
    output_tokens = whole()
    total_tokens = whole()
    models = serializers.ListField(child=serializers.CharField(allow_blank=True))
    cost_usd = dollars("Of the requests with a price. Absent if you may not see costs.")
    unpriced = whole(required=False)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return without_hidden(instance, super().to_representation(instance))


class SessionsShape(Shape):
    next = serializers.URLField(allow_null=True)
    sessions = SessionShape(many=True)


class RatesShape(Shape):
    """A version of a price. Rates are dollars; null means that usage of this unit has no cost."""

    id = whole("As price_version in events.")
    provider = serializers.CharField()
    model = serializers.CharField()
    organization_id = serializers.IntegerField(allow_null=True, help_text="Null: everybody's.")
    input_usd_per_1k_tokens = rate()
    cached_input_usd_per_1k_tokens = rate("Null: the input price.")
    output_usd_per_1k_tokens = rate()
    audio_usd_per_hour = rate()
    audio_minimum_seconds = whole("A request is billed for at least this long.")
    usd_per_1k_characters = rate()
    tool_rates = serializers.DictField(
        child=serializers.DecimalField(None, 9), help_text="For a thousand uses of each built-in tool."
    )
    enabled = serializers.BooleanField(help_text="Whether new calls have a cost.")
    follows_everybody = serializers.BooleanField(help_text="Whether it ends an organization's own price.")
    effective_from = serializers.DateTimeField()
    source_note = serializers.CharField(allow_blank=True)


@example({"model": MODEL, "input_usd_per_1k_tokens": "0.00015", "output_usd_per_1k_tokens": "0.0006"})
class NewPriceShape(Shape):
    """A new version of a price. Amounts are dollars, as numbers or texts; a unit without a rate has no cost."""

    provider = serializers.CharField(required=False, default="groq")
    model = serializers.CharField(max_length=200)
    organization = serializers.IntegerField(required=False, help_text="The id of one organization; else everybody's.")
    input_usd_per_1k_tokens = given_rate()
    cached_input_usd_per_1k_tokens = given_rate("Without: the input price.")
    output_usd_per_1k_tokens = given_rate()
    audio_usd_per_hour = given_rate()
    audio_minimum_seconds = serializers.IntegerField(required=False, default=10, min_value=0)
    usd_per_1k_characters = given_rate()
    tool_rates = serializers.DictField(child=serializers.DecimalField(None, 9), required=False)
    enabled = serializers.BooleanField(required=False, default=True)
    effective_from = serializers.DateTimeField(required=False, help_text="Without: now.")
    source_note = serializers.CharField(required=False, max_length=500)
    newest_seen = serializers.IntegerField(
        required=False,
        help_text="The id of the newest version you know of: refused if somebody has added another since.",
    )


class PricesShape(Shape):
    next = serializers.URLField(allow_null=True, help_text="The page of earlier entries.")
    prices = RatesShape(many=True, help_text="The last entered first.")


class ModelShape(Shape):
    """What is known of a model. Null, or an empty list, stands for what is not known."""

    provider = serializers.CharField()
    model = serializers.CharField()
    name = NullableText()
    maker = NullableText()
    capabilities = serializers.ListField(child=serializers.CharField())
    languages = serializers.ListField(child=serializers.CharField())
    context_tokens = serializers.IntegerField(allow_null=True)
    max_output_tokens = serializers.IntegerField(allow_null=True)
    status = serializers.CharField(allow_null=True, help_text="current, preview, retiring or retired.")
    retires_on = serializers.DateField(allow_null=True)
    replaced_by = NullableText()
    is_system = serializers.BooleanField(help_text="Whether it is charged at the prices of the models that it uses.")
    is_free = serializers.BooleanField(required=False, help_text="Absent if you may not see prices.")
    price = RatesShape(required=False, allow_null=True, help_text="In force now. Absent if you may not see prices.")


class ModelsShape(Shape):
    models = ModelShape(many=True)


class OneModelShape(UsageShape):
    """What a model can do, and what its use comes to."""

    model = ModelShape()


class HealthShape(Shape):
    """The calls of the last hour."""

    requests = whole()
    errors = whole()  # type: ignore[assignment]
    p50_ms = serializers.FloatField()


class ProviderShape(SummaryShape):
    provider = serializers.CharField()
    models = whole("That can still be called.")
    free = whole("Of these, those that cost nothing. Absent if you may not see prices.", required=False)
    paid = whole("Absent if you may not see prices.", required=False)
    last_hour = HealthShape(allow_null=True, help_text="Null without calls.")


class ProvidersShape(RangeShape):
    providers = ProviderShape(many=True)


@example({"model": MODEL, "messages": [{"role": "user", "content": "What is the national dish of India?"}]})
class EstimateQuestion(Shape):
    """A call that is not made: messages, or the amounts themselves."""

    model = serializers.CharField(required=False, max_length=200, help_text="Without it: every model with a price.")
    provider = serializers.CharField(required=False, max_length=50, default="groq")
    messages = serializers.ListField(
        child=serializers.DictField(), required=False, max_length=1_000, help_text="As chat completions take them."
    )
    output_tokens = serializers.IntegerField(default=500, min_value=0, max_value=MOST_TOKENS)
    input_tokens = serializers.IntegerField(default=0, min_value=0, max_value=MOST_TOKENS)
    cached_tokens = serializers.IntegerField(default=0, min_value=0, max_value=MOST_TOKENS)
    audio_seconds = serializers.DecimalField(12, 3, default=Decimal(0), min_value=Decimal(0))
    characters = serializers.IntegerField(default=0, min_value=0, max_value=MOST_TOKENS)


class EstimateShape(Shape):
    """What the call would cost on one model."""

    provider = serializers.CharField()
    model = serializers.CharField()
    cost_usd = serializers.DecimalField(None, 9)
    input_tokens = whole()
    output_tokens = whole()
    characters = whole()
    is_exact = serializers.BooleanField(help_text="Whether the tokens were counted in the model's own vocabulary.")
    is_own_price = serializers.BooleanField()
    is_too_long = serializers.BooleanField(help_text="Whether the model cannot take this much.")


@example(
    {
        "estimates": [
            {
                "provider": "groq",
                "model": MODEL,
                "cost_usd": "0.000313950",
                "input_tokens": 93,
                "output_tokens": 500,
                "characters": 0,
                "is_exact": True,
                "is_own_price": False,
                "is_too_long": False,
            }
        ],
        "retired": 0,
        "others": 0,
    }
)
class EstimatesShape(Shape):
    estimates = EstimateShape(many=True, help_text="The cheapest first.")
    retired = whole("Models that are left out because nobody can call them any more.")
    others = whole("Models that are left out because they are charged by something else.")


def told(shape: type[Shape], value: Any, /, **more: Any) -> Mapping[str, Any]:
    """A value in its shape, after further members."""
    return {**more, **_one(shape).to_representation(value)}


@cache
def _one(shape: type[Shape]) -> Shape:
    """A shape is made once: to make its fields takes longer than to tell a value."""
    return shape()
