"""A file that is streamed to whoever downloads it. Few are downloaded at once, since each holds a connection to the
database until its reader is done, and pages need some."""

from collections.abc import Hashable

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from accounts.places import Places, in_a_place
from analytics.export.streaming import Chunks, InAThread, InAThreadOfALoop

PLACES = Places(settings.MAX_EXPORTS, settings.MAX_EXPORTS_PER_PERSON)
"""Limits of concurrent downloads."""
BUSY = "Too many exports are being downloaded at the moment, by you or by others. Please try again in a minute."
BUSY_SECONDS = 30


def download(
    request: HttpRequest, chunks: Chunks, name: str, content_type: str, *, reader: Hashable
) -> StreamingHttpResponse:
    """A response with these chunks as a file. NoPlaceError if too many files are being read, by all or by this reader.
    Errors before the first chunk are raised."""
    begin = InAThreadOfALoop if isinstance(request, ASGIRequest) else InAThread
    response = StreamingHttpResponse(begin(in_a_place(PLACES, reader, chunks)), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    response["X-Accel-Buffering"] = "no"  # This keeps nginx from collecting the whole file.
    return response
