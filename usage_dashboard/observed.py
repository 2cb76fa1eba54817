"""Gives every request an id, and tells of it when it is answered: one line in the log, and one span for traces."""

import logging
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from accounts import current_request
from accounts.current_request import CurrentRequest
from usage_dashboard.root_path import Application, Receive, Scope, Send
from usage_dashboard.tracing import parent_of, tracer

logger = logging.getLogger("usage.requests")

HEADER = b"x-request-id"
FIT_ID = re.compile(rb"[\w.:-]{1,100}")
"""An id that a proxy in front has given is kept if it looks so."""
FAILURE = 500


class Observed:
    """An application whose requests are told of. An answer that passes on another server's request id keeps that."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request = _request_of(scope)
        answer = _Answer(request, send)
        token = current_request.begin(request)
        start = time.perf_counter()
        try:
            with _span(scope) as span:
                try:
                    await self._application(scope, receive, answer.send)
                finally:
                    _describe(span, scope["method"], request, answer.status)
        finally:
            milliseconds = round((time.perf_counter() - start) * 1000)
            told = {"method": scope["method"], "route": request.route, "status": answer.status, "ms": milliseconds}
            logger.info("%(method)s %(route)s: %(status)s in %(ms)s ms", told, extra=told)
            current_request.end(token)


class _Answer:
    """Adds the request id to an answer, and keeps its status, which is 0 before the answer begins."""

    def __init__(self, request: CurrentRequest, send: Send) -> None:
        self._request = request
        self._send = send
        self.status = 0

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            if not any(name.lower() == HEADER for name, _ in headers):
                message = {**message, "headers": [*headers, (HEADER, self._request.id.encode())]}
        await self._send(message)


def _request_of(scope: Scope) -> CurrentRequest:
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    return CurrentRequest(given.decode()) if FIT_ID.fullmatch(given) else CurrentRequest()


def _span(scope: Scope) -> AbstractContextManager[Span]:
    """A span that tells nothing of an exception, whose text may quote anything."""
    return tracer().start_as_current_span(
        scope["method"],
        parent_of(scope["headers"]),
        SpanKind.SERVER,
        record_exception=False,
        set_status_on_exception=False,
    )


def _describe(span: Span, method: str, request: CurrentRequest, status: int) -> None:
    if not span.is_recording():
        return
    span.update_name(f"{method} {request.route}".strip())
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("usage.request_id", request.id)
    if request.route:
        span.set_attribute("http.route", request.route)
    if request.organization:
        span.set_attribute("usage.organization", request.organization)
    if request.key_id is not None:
        span.set_attribute("usage.key_id", request.key_id)
    if status >= FAILURE or not status:
        span.set_status(Status(StatusCode.ERROR))
