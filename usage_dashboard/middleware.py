"""The project's own middleware."""

import re
from collections.abc import Iterator

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware import common, gzip
from django.utils.deprecation import MiddlewareMixin

from accounts.current_request import note_route
from usage_dashboard.error_pages import address_too_long

PROBES = frozenset({"/health/", "/health/live/", "/metrics"})
LONGEST_ADDRESS = 7_500
"""At most this many characters in a path with its query. A header that repeats the address (Referer, HX-Current-URL)
then fits into the 8,190 bytes that gunicorn and nginx accept."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class CommonMiddleware(common.CommonMiddleware):
    """Answers health probes and Prometheus with any Host header, because they use the process's address, which is not
    in ALLOWED_HOSTS. The answers contain no links and no part of the request.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in PROBES else super().process_request(request)


class GZipMiddleware(gzip.GZipMiddleware):
    """Compresses answers, but no streams. Django compresses each chunk of an asynchronous stream as a gzip file of its
    own, and browsers silently stop after the first file.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response if response.streaming else super().process_response(request, response)


class RouteMiddleware(MiddlewareMixin):
    """Tells the log and traces which page is asked for."""

    def process_view(self, request: HttpRequest, *_: object) -> None:
        if request.resolver_match is not None:
            note_route(f"/{request.resolver_match.route}")


class TextMiddleware(MiddlewareMixin):
    """Refuses an address that is too long (414), and NUL and lone surrogates, which the database cannot store (400).
    Such characters in a form are left to the form, which shows an error at the field.
    """

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if len(request.get_full_path()) > LONGEST_ADDRESS:
            return address_too_long(request, LONGEST_ADDRESS)
        if any(_UNSTORABLE.search(text) for text in _texts(request)):
            raise BadRequest("The request holds characters that no text has.")
        return None


def _texts(request: HttpRequest) -> Iterator[str]:
    """All texts of a request before its body: path, headers, cookies, names and values of the query."""
    yield request.path
    yield from (value for value in request.META.values() if isinstance(value, str))
    yield from request.COOKIES.values()
    for name, values in request.GET.lists():
        yield name
        yield from values
