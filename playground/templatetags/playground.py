"""For the account menu, which is on every page."""

from django import template
from django.conf import settings
from django.urls import reverse

register = template.Library()


@register.simple_tag
def playground_url() -> str:
    """Where the playground is; empty if it is turned off."""
    return reverse("playground") if settings.PLAYGROUND else ""
