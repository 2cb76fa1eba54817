"""The OpenAPI document of all views of the API, and its page, which needs no network."""

from functools import cache
from typing import Any

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
