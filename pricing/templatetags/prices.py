"""How prices are written."""

from decimal import Decimal

from django import template
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pricing.fields import DollarField, dollars

register = template.Library()


@register.filter
def rate(value: Decimal | None) -> str:
    return "–" if value is None else dollars(value)


@register.simple_tag
def per_thousand(value: Decimal | None) -> SafeString:
    """The price of a thousand, with that of a million below it as a hint."""
    if value is None:
        return format_html("{}", "–")
    return format_html("{}<small>{} / 1M</small>", rate(value), rate(value * 1_000))


@register.filter
def per_million(value: object) -> str:
    """The hint below an input; nothing for what is no number of dollars."""
    try:
        amount = DollarField(required=False).clean(value)
    except ValidationError:
        return ""
    return "" if amount is None else f"{dollars(amount * 1_000)} / 1M"
