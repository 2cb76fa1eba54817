"""The shapes of events and of sessions."""

from typing import Any

from rest_framework import serializers

from api.shapes.base import NullableText, Shape, dollars, whole, without_hidden


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
