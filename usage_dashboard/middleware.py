"""The project's own middleware."""

import re
import secrets
from collections.abc import Iterator

import brotli
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware import common, gzip
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

from accounts.current_request import note_route
from usage_dashboard.error_pages import address_too_long

PROBES = frozenset({"/health/", "/health/live/", "/metrics"})
LONGEST_ADDRESS = 7_500
"""At most this many characters in a path with its query. A header that repeats the address (Referer, HX-Current-URL)
then fits into the 8,190 bytes that gunicorn and nginx accept."""
BROTLI_QUALITY = 5
"""Takes as long as gzip. From 7 on it takes ten times as long, for a hundredth less."""
SHORTEST_COMPRESSED = 200
"""Bytes, as in Django's own middleware."""
_TAKES_BROTLI = re.compile(r"\bbr\b(?!\s*;\s*q=0(?:\.0*)?(?![\d.]))")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class CommonMiddleware(common.CommonMiddleware):
    """Answers health probes and Prometheus with any Host header, because they use the process's address, which is not
    in ALLOWED_HOSTS. The answers contain no links and no part of the request.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in PROBES else super().process_request(request)


class CompressionMiddleware(gzip.GZipMiddleware):
    """Compresses answers, with Brotli where the browser takes that: a sixth smaller in the same time. Streams stay as
    they are. Django compresses each chunk of an asynchronous stream as a gzip file of its own, and browsers silently
    stop after the first file.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming:
            return response
        if isinstance(response, HttpResponse) and _may_be_brotli(request, response):
            _compress_with_brotli(response, self.max_random_bytes)
        return super().process_response(request, response)  # which leaves alone what is compressed


def _may_be_brotli(request: HttpRequest, response: HttpResponse) -> bool:
    is_long = len(response.content) >= SHORTEST_COMPRESSED
    takes_brotli = _TAKES_BROTLI.search(request.headers.get("Accept-Encoding", ""))
    return is_long and takes_brotli is not None and not response.has_header("Content-Encoding")


def _compress_with_brotli(response: HttpResponse, most_padding: int) -> None:
    """As Django does with gzip: the ETag becomes a weak one, and a random length keeps an attacker from guessing, by
    the size of answers, what a page says (BREACH)."""
    response.content = brotli.compress(response.content, quality=BROTLI_QUALITY)
    response["Content-Length"] = str(len(response.content))
    response["Content-Encoding"] = "br"
    response["X-Padding"] = "x" * secrets.randbelow(most_padding + 1)
    if response.get("ETag", "").startswith('"'):
        response["ETag"] = f"W/{response['ETag']}"
    patch_vary_headers(response, ("Accept-Encoding",))


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
