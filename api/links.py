"""Links from one answer to another."""

from typing import Any

from rest_framework.request import Request


def link(request: Request, **changes: Any) -> str:
    """The address of a request with other values in its query string; None takes a name out."""
    query = request.query_params.copy()
    for name, value in changes.items():
        if value is None:
            query.pop(name, None)
        else:
            query[name] = str(value)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
