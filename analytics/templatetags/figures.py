"""Template filters for numbers; analytics.figures says how they look."""

from datetime import date

from django import template

from analytics import figures

register = template.Library()
register.filter("count", figures.count)
register.filter("compact", figures.compact)
register.filter("money", figures.money)
register.filter("exact_money", figures.exact_money)
register.filter("duration", figures.duration)
register.filter("per_second", figures.per_second)
register.filter("percent", figures.percent)
register.filter("css_percent", figures.css_percent)
register.filter("day", figures.day)


@register.simple_tag
def days(first: date, last: date) -> str:
    return figures.days(first, last)
