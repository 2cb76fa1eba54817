"""What stands in place of figures while nothing is recorded.

The room that leads to the first call reads through this one, so this one does not know it: the project plugs it in.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.viewer import Viewer

FirstRun = Callable[[HttpRequest, Viewer, dict[str, Any]], HttpResponse]
"""Makes a whole page. The dictionary has what the head of an analytics page needs: ``page``, ``pages``, ``filters``."""

_plugged: list[FirstRun] = []


def plug_in(view: FirstRun) -> None:
    _plugged[:] = [view]


def first_run(request: HttpRequest, viewer: Viewer, head: dict[str, Any]) -> HttpResponse:
    (view,) = _plugged
    return view(request, viewer, head)
