"""The OpenAPI document of all views of the API, and its page, which needs no network."""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import conditional_page, require_safe
from drf_spectacular.generators import SchemaGenerator


def only_ours(endpoints: list[Any], **more: Any) -> list[Any]:
    """Of all addresses of the ledger those of the API, for drf-spectacular."""
    from api.reading import Door

    return [endpoint for endpoint in endpoints if issubclass(getattr(endpoint[3], "cls", object), Door)]


@cache
def document() -> dict[str, Any]:
    """The document as JSON."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


@require_safe
@conditional_page
def openapi(request: HttpRequest) -> HttpResponse:
    """The document, which is the same for everybody and tells of no data."""
    return JsonResponse(document(), content_type="application/openapi+json")


@require_safe
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    """The document for people, who can try the API there with their session."""
    return render(request, "api/docs.html")
