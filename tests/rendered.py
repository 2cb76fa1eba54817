"""``response.context`` of Django's test client for Jinja2 templates, as Django's own templates give it."""

from typing import Any

from django.http import HttpRequest
from django.template.backends.jinja2 import Template
from django.test.signals import template_rendered

_render = Template.render


def tell_the_context() -> None:
    """Make every rendering send Django's signal ``template_rendered``, which the test client listens to."""
    Template.render = _told  # type: ignore[method-assign]


def _told(template: Template, context: dict[str, Any] | None = None, request: HttpRequest | None = None) -> str:
    template_rendered.send(sender=template, template=template, context=context or {})
    return _render(template, context, request)
