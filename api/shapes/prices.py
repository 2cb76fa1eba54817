"""The shapes of prices."""

from decimal import Decimal

from rest_framework import serializers

from api.shapes.base import MODEL, Shape, example, whole

PRICE = {
    "id": 12, "provider": "groq", "model": MODEL, "organization_id": None,
    "input_usd_per_1k_tokens": "0.000150000", "cached_input_usd_per_1k_tokens": "0.000075000",
    "output_usd_per_1k_tokens": "0.000600000", "audio_usd_per_hour": None, "audio_minimum_seconds": 10,
    "usd_per_1k_characters": None, "tool_rates": {"browser_search": "5.000000000"}, "enabled": True,
    "follows_everybody": False, "effective_from": "2026-11-01T00:00:00Z", "source_note": "Groq's price list",
}  # fmt: skip


def rate(help_text: str = "") -> serializers.DecimalField:
    return serializers.DecimalField(None, 9, allow_null=True, help_text=help_text)


def given_rate(help_text: str = "") -> serializers.DecimalField:
    return serializers.DecimalField(None, 9, required=False, allow_null=True, min_value=Decimal(0), help_text=help_text)


@example(PRICE)
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
    organization = serializers.IntegerField(
        required=False, allow_null=True, help_text="The id of one organization; else everybody's."
    )
    input_usd_per_1k_tokens = given_rate()
    cached_input_usd_per_1k_tokens = given_rate("Without: the input price.")
    output_usd_per_1k_tokens = given_rate()
    audio_usd_per_hour = given_rate()
    audio_minimum_seconds = serializers.IntegerField(required=False, default=10, min_value=0)
    usd_per_1k_characters = given_rate()
    tool_rates = serializers.DictField(child=serializers.DecimalField(None, 9), required=False)
    enabled = serializers.BooleanField(required=False, default=True)
    effective_from = serializers.DateTimeField(required=False, allow_null=True, help_text="Without: now.")
    source_note = serializers.CharField(required=False, allow_blank=True, max_length=500)
    newest_seen = serializers.IntegerField(
        required=False,
        help_text="The id of the newest version you know of: refused if somebody has added another since.",
    )


@example({"next": None, "prices": [PRICE]})
class PricesShape(Shape):
    next = serializers.URLField(allow_null=True, help_text="The page of earlier entries.")
    prices = RatesShape(many=True, help_text="The last entered first.")
