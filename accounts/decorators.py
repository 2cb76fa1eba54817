"""Doors: what stands in front of a view."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.viewer import Viewer

P = ParamSpec("P")


def viewer_of(request: HttpRequest) -> Viewer:
    """The viewer of a request, made once. Templates find it as ``request.viewer``."""
    viewer = getattr(request, "viewer", None)
    if not isinstance(viewer, Viewer):
        viewer = Viewer.of(request.user)
        request.viewer = viewer  # type: ignore[attr-defined]
    return viewer


def with_viewer(
    view: Callable[Concatenate[HttpRequest, Viewer, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Call ``view(request, viewer, …)`` for somebody who may see something.

    A visitor is asked to sign in first and comes back afterwards; somebody without organization or role gets a page
    that says whom to ask.
    """

    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        viewer = viewer_of(request)
        if not viewer.sees_anything:
            return render(request, "accounts/no_access.html")
        return view(request, viewer, *args, **kwargs)

    update_wrapper(guarded, view)
    return guarded


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page, as a whole page even where htmx asked for a fragment of one."""
    htmx = getattr(request, "htmx", None)
    if isinstance(htmx, HtmxDetails) and htmx:
        return HttpResponseClientRedirect(redirect_to_login(htmx.current_url_abs_path or "/").url)
    return redirect_to_login(request.get_full_path())
