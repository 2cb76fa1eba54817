"""The shapes of models and providers."""

from rest_framework import serializers

from api.shapes.base import MODEL, NullableText, Shape, example, whole
from api.shapes.figures import DAYS, SUMS, USAGE, RangeShape, SummaryShape, UsageShape
from api.shapes.prices import PRICE, RatesShape

KNOWN = {
    "provider": "groq", "model": MODEL, "name": "GPT-OSS 120B", "maker": "OpenAI", "capabilities": ["text", "tools"],
    "languages": [], "context_tokens": 131_072, "max_output_tokens": 65_536, "status": "current", "retires_on": None,
    "replaced_by": None, "is_system": False, "is_free": False, "price": PRICE,
}  # fmt: skip


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


@example({"models": [KNOWN]})
class ModelsShape(Shape):
    models = ModelShape(many=True)


@example({"model": KNOWN, **USAGE})
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


@example(
    {
        **DAYS, "providers": [
            {"provider": "groq", **SUMS, "models": 14, "free": 0, "paid": 14,
             "last_hour": {"requests": 31, "errors": 0, "p50_ms": 322.0}}
        ],
    }
)  # fmt: skip
class ProvidersShape(RangeShape):
    providers = ProviderShape(many=True)
