"""Template filters for numbers; analytics.figures says how they look. And what a template would be slow at."""

from datetime import date
from html import escape
from urllib.parse import quote

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from analytics import figures
from analytics.menus import Menu, Option
from analytics.reports import Summary

register = template.Library()
register.filter("count", figures.count)
register.filter("compact", figures.compact)
register.filter("money", figures.money)
register.filter("exact_money", figures.exact_money)
register.filter("duration", figures.duration)
register.filter("per_second", figures.per_second)
register.filter("percent", figures.percent)
register.filter("day", figures.day)


@register.filter
def css_percent(share: float) -> str:
    """A share as a width."""
    return f"{100 * share:.2f}%"


@register.simple_tag
def days(first: date, last: date) -> str:
    return figures.days(first, last)


@register.simple_tag
def cost_cell(totals: Summary) -> SafeString:
    """The cost in a row of a table: seventy on a page."""
    missing, shown = "", figures.money(totals.cost_usd)
    if totals.unpriced:
        missing = f", without {figures.count(totals.unpriced)} unpriced message{'' if totals.unpriced == 1 else 's'}"
        some = format_html('<span class="at-least">≥</span> {}', shown)
        shown = some if totals.cost_usd else SafeString('<span class="tag warning">Unpriced</span>')
    return format_html('<td title="{}{}">{}</td>', figures.exact_money(totals.cost_usd), missing, shown)


@register.simple_tag
def options(menu: Menu) -> SafeString:
    """The boxes to tick of a filter menu: hundreds on a page, a quarter of its time when a template made them, and a
    tenth when ``format_html`` did."""
    name = menu.facet.name
    return SafeString("\n".join(_option(name, option) for option in menu.options))


def _option(name: str, option: Option) -> str:
    checked = " checked" if option.checked else ""
    count = "" if option.requests is None else f"<small>{figures.compact(option.requests)}</small>"
    return (
        f'<label class="option"><input type="checkbox" id="{name}={quote(option.text, safe="")}" name="{name}"'
        f' value="{escape(option.text)}"{checked} autocomplete="off"><span>{escape(option.label)}</span>{count}</label>'
    )
