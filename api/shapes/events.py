"""The shapes of events and of sessions."""

from typing import Any

from rest_framework import serializers

from api.shapes.base import MODEL, NullableText, Shape, dollars, example, whole, without_hidden

EVENT = {
    "id": "3-480211", "timestamp": "2026-11-22T13:04:11.250000Z", "day": "2026-11-22", "hour": 14,
    "organization": "acme", "project": "website", "user": "ann", "user_name": "Ann Lee", "provider": "groq",
    "model": MODEL, "model_requested": MODEL, "operation": "chat", "feature": "chat", "expert_id": "support-agent",
    "template_id": None, "session_id": "c-42", "request_id": "0b0f5c1e", "provider_request_id": "req_01k9",
    "response_id": None, "status": "success", "error_code": None, "error_message": None, "http_status": 200,
    "attempts": 1, "stream": True, "input_tokens": 93, "output_tokens": 500, "total_tokens": 593, "cached_tokens": 0,
    "reasoning_tokens": 120, "tokens_estimated": False, "audio_seconds": "0.000", "characters": 0, "latency_ms": 1_204,
    "ttft_ms": 118, "queue_ms": 3.2, "prompt_ms": 11.0, "completion_ms": 1_020.5, "service_tier": None, "tools": {},
    "metadata": {"ticket": 7}, "cost_usd": "0.000313950", "tool_cost_usd": "0.000000000", "without_tool_fees": False,
    "reported_cost_usd": None, "price_version": 12, "tool_price_version": None, "usage_breakdown": None,
}  # fmt: skip
CHARGES = [
    {"unit": "input", "tool": None, "amount": "93", "rate_usd": "0.000150000000", "per": 1_000,
     "cost_usd": "0.000013950"},
    {"unit": "output", "tool": None, "amount": "500", "rate_usd": "0.000600000000", "per": 1_000,
     "cost_usd": "0.000300000"},
]  # fmt: skip
PART = {"model": MODEL, "price_version": 12, "charged_since": "2026-11-01T00:00:00Z", "charges": CHARGES}


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


@example({"next": None, "previous": None, "events": [EVENT]})
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


@example({**EVENT, "cost": {"cost_usd": "0.000313950", "adds_up": True, "parts": [PART]}})
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


@example(
    {
        "next": None,
        "sessions": [
            {
                "session_id": "c-42", "organization_id": 3, "user_id": 17, "person": "Ann Lee",
                "first_at": "2026-11-22T13:04:11Z", "last_at": "2026-11-22T13:09:40Z", "duration_ms": 329_000.0,
                "time_zone": "Europe/Berlin", "requests": 6, "errors": 0, "timeouts": 0, "input_tokens": 2_940,
                "cached_tokens": 1_100, "output_tokens": 1_804, "total_tokens": 4_744, "models": [MODEL],
                "cost_usd": "0.001523400", "unpriced": 0,
            }
        ],
    }
)  # fmt: skip
class SessionsShape(Shape):
    next = serializers.URLField(allow_null=True)
    sessions = SessionShape(many=True)
