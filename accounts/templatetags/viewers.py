"""For the frame of every page, also of those whose view asked for no viewer."""

from django import template
from django.http import HttpRequest

from accounts.decorators import viewer_of as _viewer_of
from accounts.viewer import Viewer

register = template.Library()


@register.simple_tag
def viewer_of(request: HttpRequest) -> Viewer:
    return _viewer_of(request)
