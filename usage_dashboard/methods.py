"""One address whose methods belong to different rooms."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

View = Callable[..., HttpResponseBase]


def by_method(otherwise: View, **views: View) -> View:
    """A view that passes a request on by its method. It looks like ``otherwise`` to whoever describes the address."""

    def dispatch(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return views.get(request.method or "", otherwise)(request, *args, **kwargs)

    return update_wrapper(dispatch, otherwise)
