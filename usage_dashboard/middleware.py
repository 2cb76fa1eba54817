"""What stands between the server and every view."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware import gzip


class GZipMiddleware(gzip.GZipMiddleware):
    """Leaves streams as they are. Django's compresses each chunk of an asynchronous one as a gzip file of its own, and
    browsers stop after the first, without a word.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response if response.streaming else super().process_response(request, response)
