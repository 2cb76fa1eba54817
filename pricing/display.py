"""Prices as text."""

from decimal import Decimal

from django.core.exceptions import ValidationError

from pricing.fields import DollarField, dollars


def rate(value: Decimal | None) -> str:
    """A price in dollars; a dash for None."""
    return "–" if value is None else dollars(value)


def per_million(value: object) -> str:
    """The hint below the input of a price per thousand: the price per million. Empty if ``value`` is no amount."""
    try:
        amount = DollarField(required=False).clean(value)
    except ValidationError:
        return ""
    return "" if amount is None else f"{dollars(amount * 1_000)} / 1M"
