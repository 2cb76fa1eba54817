"""The error pages of all rooms: for a view that failed, and for a request that never reached a view. Programs that ask
the API get the same as a problem of RFC 9457."""

import sys

from django.core.exceptions import BadRequest
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.http import escape_leading_slashes
from django.views import defaults

from analytics.failure import failed_part, is_partial
from api.problems import NOTHING, problem_response

API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Status 400 for a request that was refused before its view."""
    if not _is_of_api(request):
        return defaults.bad_request(request, exception)
    return problem_response(400, str(exception) if isinstance(exception, BadRequest) else "This is not understood.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Status 404 for an address that leads to no view, or to nothing."""
    if _is_of_api(request):
        return problem_response(404, NOTHING)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Status 503 with a link to try again if the database failed, else 500. The page uses no database, because the
    database may have failed."""
    is_of_database = isinstance(sys.exc_info()[1], DatabaseError)
    if _is_of_api(request):
        return problem_response(503, "The database is away.") if is_of_database else problem_response(500, "It failed.")
    if not is_of_database:
        return HttpResponse(render_to_string("500.html"), status=500)
    if is_partial(request):
        return failed_part(request)
    return HttpResponse(render_to_string("failed_plain.html", {"retry": request.get_full_path()}), status=503)


def address_too_long(request: HttpRequest, longest: int) -> HttpResponse:
    """Status 414. A request for a part of a page is redirected to the whole page, which shows the same message."""
    if _is_of_api(request):
        return problem_response(414, f"An address has at most {longest:,} characters.")
    if is_partial(request):
        address = escape_leading_slashes(request.get_full_path())  # Two leading slashes would name another host.
        return HttpResponse(status=414, headers={"HX-Redirect": address})
    return HttpResponse(render_to_string("414.html", {"longest": longest}), status=414)


def _is_of_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(API)
