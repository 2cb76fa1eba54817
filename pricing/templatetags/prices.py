"""How prices are written."""

from decimal import Decimal
from urllib.parse import urlencode

from django import template
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pricing.fields import DollarField, dollars
from pricing.models import Price

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


@register.simple_tag
def history_query(price: Price) -> str:
    """Which history, as a query string. Model names contain slashes."""
    query = {"model": price.model, "organization": price.organization_id or "", "provider": price.provider}
    default = {"organization": "", "provider": "groq"}
    return "?" + urlencode({name: value for name, value in query.items() if value != default.get(name)})
