"""Jinja2 for the templates under ``templates/``, with the functions and filters that they use.

Django's own template language remains for its admin, for form fields and for other packages.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest
from django.template.defaultfilters import date, floatformat, pluralize
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import json_script
from django.utils.text import capfirst
from django.utils.timezone import localtime
from jinja2 import Environment, StrictUndefined, pass_context, select_autoescape
from jinja2.compiler import CodeGenerator, Frame
from jinja2.nodes import Expr
from jinja2.runtime import Context
from markupsafe import escape

from accounts.decorators import viewer_of
from analytics.display import figures, missing_cost
from pricing import display as prices
from usage_dashboard.table_roles import TableRoles

REMEMBERED_TEXTS = 10_000
LONGEST_REMEMBERED = 200
"""Escaped texts of at most this many characters are remembered; longer texts would take too much memory."""


@lru_cache(REMEMBERED_TEXTS)
def _escaped(text: str) -> str:
    return str(escape(text))


def escaped(value: object) -> str:
    """The value as HTML, exactly as Jinja2 escapes it. Escaped values are remembered, because names and figures repeat;
    this saves a fifth of a template's time."""
    if type(value) is str and len(value) <= LONGEST_REMEMBERED:
        return _escaped(value)
    return escape(value)


class _Generator(CodeGenerator):
    """Makes compiled templates call ``escaped`` in place of Jinja2's ``escape``."""

    def _output_child_pre(self, node: Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.autoescape and not frame.eval_ctx.volatile and finalize.src is None:
            self.write("environment.escaped(")
        else:
            super()._output_child_pre(node, frame, finalize)


class PageEnvironment(Environment):
    """Jinja2's environment with the faster ``escaped``."""

    code_generator_class = _Generator
    escaped = staticmethod(escaped)


def environment(**options: Any) -> PageEnvironment:
    """The environment for Django's Jinja2 backend. An undefined name in a template is an error."""
    made = PageEnvironment(
        **options
        | {
            "autoescape": select_autoescape(["html"], default=False),  # Mails are plain text.
            "extensions": [TableRoles],
            "undefined": StrictUndefined,
            "trim_blocks": True,
            "lstrip_blocks": True,
        }
    )
    made.globals |= {
        "days": figures.days,
        "playground_url": playground_url,
        "querystring": querystring,
        "section_of": section_of,
        "static": static,
        "url": url,
        "viewer_of": viewer_of,
    }
    made.filters |= {
        "capfirst": capfirst,
        "compact": figures.compact,
        "count": figures.count,
        "css_percent": figures.css_percent,
        "date": date,
        "day": figures.day,
        "duration": figures.duration,
        "exact_money": figures.exact_money,
        "failed": figures.failed,
        "floatformat": floatformat,
        "host": prices.host,
        "in_zone": in_zone,
        "incomplete_counted": missing_cost.counted,
        "json_script": json_script,
        "missing_cost": missing_cost.missing,
        "money": figures.money,
        "per_second": figures.per_second,
        "percent": figures.percent,
        "pieces": prices.pieces,
        "pluralize": pluralize,
        "rate": prices.rate,
    }
    return made


def url(name: str, *args: object) -> str:
    """The address of the view with this name. Raises NoReverseMatch for an unknown name."""
    return reverse(name, args=args)


@pass_context
def querystring(context: Context, **changes: object) -> str:
    """The query string of this request with other values for some names, and without those whose value is None."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        if value is None:
            query.pop(name, None)
        else:
            query[name] = str(value)
    return f"?{query.urlencode()}"


UNDER_ACCOUNT = ("analytics.personal", "analytics.scheduled")
"""Rooms of Analytics whose pages are under the account menu, and so have no tab."""


def section_of(request: HttpRequest) -> str:
    """The tab of a page, which is the room of the page's view."""
    match = request.resolver_match
    if not match or match.func.__module__.startswith(UNDER_ACCOUNT):
        return ""
    return match.func.__module__.partition(".")[0]


def playground_url() -> str:
    """The playground's address; "" if the playground is turned off."""
    return reverse("playground") if settings.PLAYGROUND else ""


def in_zone(moment: datetime, zone: str) -> datetime:
    """The moment in a time zone."""
    return localtime(moment, ZoneInfo(zone))
