"""Who may read the metrics: whoever has the token or, where no token is set, this machine alone."""

import hmac
from http import HTTPStatus
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse

SIGNS_OF_A_PROXY = (
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP", "HTTP_FORWARDED",
    "HTTP_VIA",
)  # fmt: skip
"""A request with one of these headers comes from somewhere else, though the proxy that passes it on is here."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""A page in a browser of this machine may reach any port here, but under the name of the page's own host only."""


def refusal(request: HttpRequest) -> HttpResponse | None:
    """The answer to somebody who may not read the metrics; None for everybody else."""
    if not settings.METRICS_TOKEN:
        return None if _is_of_this_machine(request) else _only_here()
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    given, wanted = token.strip().encode(), settings.METRICS_TOKEN.encode()
    is_right = hmac.compare_digest(given, wanted) and scheme.lower() == "bearer"
    return None if is_right else _wrong_token()


def _is_of_this_machine(request: HttpRequest) -> bool:
    if any(header in request.META for header in SIGNS_OF_A_PROXY):
        return False
    host = request.META.get("HTTP_HOST", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback and name in LOCAL_NAMES
    except ValueError:  # a Unix socket has no address
        return False


def _only_here() -> HttpResponse:
    text = "Metrics are for this machine only. Set METRICS_TOKEN, and send it: Authorization: Bearer …\n"
    return HttpResponse(text, status=HTTPStatus.FORBIDDEN, content_type="text/plain")


def _wrong_token() -> HttpResponse:
    text = "Send the value of METRICS_TOKEN: Authorization: Bearer …\n"
    headers = {"WWW-Authenticate": "Bearer"}
    return HttpResponse(text, status=HTTPStatus.UNAUTHORIZED, content_type="text/plain", headers=headers)
