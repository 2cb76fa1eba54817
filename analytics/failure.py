"""The answer when the figures could not be loaded: a message in their place, with a link to try again."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string


def is_partial(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page."""
    return request.headers.get("HX-Request-Type") == "partial"


def failed(request: HttpRequest) -> HttpResponse:
    """A 503 response: the whole page, or only the part that htmx asked for."""
    if is_partial(request):
        return failed_part(request)
    html = render_to_string("analytics/failed.html", {"retry": request.get_full_path()}, request)
    return HttpResponse(html, status=503)


def failed_part(request: HttpRequest) -> HttpResponse:
    """A 503 response that replaces the results of a page and leaves the filters."""
    html = render_to_string("analytics/_failure.html", {"retry": request.get_full_path()})
    response = HttpResponse(html, status=503)
    response["HX-Retarget"], response["HX-Reswap"] = "#results", "outerMorph"
    return response
