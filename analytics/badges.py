"""The badge that says what a message or a session cost, and how much that is."""

from decimal import Decimal
from typing import Literal

Level = Literal["low", "middle", "high"]

LOW_BELOW = Decimal("0.01")
MIDDLE_TO = Decimal("0.10")


def level(cost_usd: Decimal) -> Level:
    """Below one cent, up to ten cents, or more."""
    if cost_usd < LOW_BELOW:
        return "low"
    return "middle" if cost_usd <= MIDDLE_TO else "high"
