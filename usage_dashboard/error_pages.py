"""The error pages of all rooms: for a view that failed, and for a request that never reached a view."""

import sys

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.http import escape_leading_slashes

from analytics.failure import failed_part, is_partial


def server_error(request: HttpRequest) -> HttpResponse:
    """Status 503 with a link to try again if the database failed, else 500. The page uses no database, because the
    database may have failed."""
    if not isinstance(sys.exc_info()[1], DatabaseError):
        return HttpResponse(render_to_string("500.html"), status=500)
    if is_partial(request):
        return failed_part(request)
    return HttpResponse(render_to_string("failed_plain.html", {"retry": request.get_full_path()}), status=503)


def address_too_long(request: HttpRequest, longest: int) -> HttpResponse:
    """Status 414. A request for a part of a page is redirected to the whole page, which shows the same message."""
    if is_partial(request):
        address = escape_leading_slashes(request.get_full_path())  # Two leading slashes would name another host.
        return HttpResponse(status=414, headers={"HX-Redirect": address})
    return HttpResponse(render_to_string("414.html", {"longest": longest}), status=414)
