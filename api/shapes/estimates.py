"""The shapes of a call that is not made, and of what it would cost."""

from decimal import Decimal

from rest_framework import serializers

from api.shapes.base import MODEL, Shape, example, whole

MOST_TOKENS = 10_000_000


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
