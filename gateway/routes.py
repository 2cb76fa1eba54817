"""The addresses that the gateway answers, and what each one costs."""

import re
from dataclasses import dataclass

from gateway import errors
from groq_client.asked import operation_of
from groq_client.call import Operation

PREFIXES = ("/openai/v1/", "/v1/")
UPSTREAM_PREFIX = "/openai/v1/"
MAX_PATH = 300

_BILLED = (
    "chat/completions",
    "responses",
    "embeddings",
    "audio/transcriptions",
    "audio/translations",
    "audio/speech",
)
_ID = r"[A-Za-z0-9_-]+"
_FREE = (
    (r"models", ("GET",)),
    (r"models/[A-Za-z0-9_:-][A-Za-z0-9_.:-]*(?:/[A-Za-z0-9_:-][A-Za-z0-9_.:-]*)*", ("GET",)),
    (r"batches", ("GET", "POST")),
    (rf"batches/{_ID}", ("GET",)),
    (rf"batches/{_ID}/cancel", ("POST",)),
    (r"files", ("GET", "POST")),
    (rf"files/{_ID}", ("GET", "DELETE")),
    (rf"files/{_ID}/content", ("GET",)),
)


@dataclass(frozen=True, slots=True)
class Route:
    """An address at Groq. ``operation`` is None if the request costs nothing and is passed on unrecorded."""

    path: str
    operation: Operation | None = None
    has_results: bool = False
    """The answer may be the results of a batch, which are recorded."""


_ROUTES = {path: Route(UPSTREAM_PREFIX + path, operation_of("POST", UPSTREAM_PREFIX + path)) for path in _BILLED}
_PATTERNS = [(re.compile(pattern, re.ASCII), methods) for pattern, methods in _FREE]


def rest_of(path: str) -> str | None:
    """The part of ``path`` after the gateway's prefix; None for every address that is not the gateway's."""
    for prefix in PREFIXES:
        if path.startswith(prefix):
            return path[len(prefix) :]
    return None


def route_to(method: str, rest: str) -> Route:
    """The route of a request. Raises :class:`errors.Refusal` for addresses and methods that Groq does not have."""
    route = _ROUTES.get(rest)
    if route is not None:
        if method != "POST":
            raise errors.wrong_method("POST")
        return route
    if len(rest) <= MAX_PATH:
        for pattern, methods in _PATTERNS:
            if pattern.fullmatch(rest):
                if method not in methods:
                    raise errors.wrong_method(", ".join(methods))
                return Route(UPSTREAM_PREFIX + rest, has_results=rest.endswith("/content"))
    raise errors.unknown_url(method)
