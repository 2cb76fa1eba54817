"""One address whose methods belong to different rooms."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

View = Callable[..., HttpResponseBase]


def by_method(otherwise: View, **views: View) -> View:
    """A view that passes a request on by its method. The views protect themselves from forged requests."""

    @csrf_exempt
    def dispatch(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return views.get(request.method or "", otherwise)(request, *args, **kwargs)

    return dispatch
