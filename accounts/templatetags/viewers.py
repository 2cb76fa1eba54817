"""For the frame of every page, also of those whose view asked for no viewer."""

from django import template
from django.http import HttpRequest

from accounts.decorators import viewer_of as _viewer_of
from accounts.viewer import Viewer

register = template.Library()


@register.simple_tag
def viewer_of(request: HttpRequest) -> Viewer:
    return _viewer_of(request)


@register.simple_tag
def section_of(request: HttpRequest) -> str:
    """The tab that a page belongs to: the room that its view lives in."""
    match = request.resolver_match
    return match.func.__module__.partition(".")[0] if match else ""
