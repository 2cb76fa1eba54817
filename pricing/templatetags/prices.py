"""How prices are written."""

from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def rate(value: Decimal | None) -> str:
    """All digits that count, and at least cents: $0.00015, $0.04."""
    if value is None:
        return "–"
    whole, _, decimals = f"{value:,.9f}".partition(".")
    return f"${whole}.{decimals.rstrip('0').ljust(2, '0')}"


@register.simple_tag
def per_thousand(value: Decimal | None) -> SafeString:
    """The price of a thousand, with that of a million below it as a hint."""
    if value is None:
        return format_html("{}", "–")
    return format_html("{}<small>{} / 1M</small>", rate(value), rate(value * 1_000))
