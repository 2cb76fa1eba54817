"""Plain makers of prices and usages."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pricing.models import Price

MODEL = "openai/gpt-oss-120b"
START = datetime(2026, 1, 1, tzinfo=UTC)


FOLLOWING: dict[str, Any] = {
    "follows_everybody": True,
    "enabled": False,
    "input_usd_per_1k_tokens": None,
    "output_usd_per_1k_tokens": None,
}
"""Values of a version that leads an organization back to everybody's price."""


@dataclass(frozen=True)
class Used:
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0


@dataclass
class Charged:
    """Rates that are in no database."""

    input_usd_per_1k_tokens: Decimal | None = None
    output_usd_per_1k_tokens: Decimal | None = None
    cached_input_usd_per_1k_tokens: Decimal | None = None
    audio_usd_per_hour: Decimal | None = None
    audio_minimum_seconds: int = 10
    usd_per_1k_characters: Decimal | None = None
    enabled: bool = True


def make_price(model: str = MODEL, *, at: datetime = START, **values: Any) -> Price:
    """A version for everybody that charges $1 per 1k input and $2 per 1k output tokens unless told otherwise."""
    defaults = {"input_usd_per_1k_tokens": Decimal(1), "output_usd_per_1k_tokens": Decimal(2)}
    return Price.objects.create(**(defaults | {"model": model, "effective_from": at} | values))
