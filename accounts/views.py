"""The page for who guessed too often; the other pages of this app are Django's own views."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None) -> HttpResponse:
    """What django-axes answers instead of ``response`` while somebody has to wait."""
    pause = settings.AXES_COOLOFF_TIME
    context = {"minutes": int(pause.total_seconds() // 60)}
    page = render(request, "accounts/locked_out.html", context, status=429)
    page.headers["Retry-After"] = str(int(pause.total_seconds()))
    return page
