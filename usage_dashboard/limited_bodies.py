"""Limits for the bodies of requests, in front of Django, which stores any amount on disk before it calls a view."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from usage_dashboard.root_path import Application, Receive, Scope, Send

Message = Mapping[str, Any]

DOORS = ("/api/v1/", "/otlp/v1/")
"""The beginnings of the paths whose bodies may have INGEST_MAX_MB."""
PAGES_LIMIT = 4 << 20
"""At most this many bytes of a form, which is more than Django reads of one (DATA_UPLOAD_MAX_MEMORY_SIZE)."""


class _RefusedError(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class LimitedBodies:
    """Answers 413 to a body that is too large, as soon as that is known, and 408 to one that is not complete after
    INGEST_BODY_SECONDS. A slow sender holds neither a thread nor a connection to the database meanwhile."""

    def __init__(self, application: Application, root_path: str = "") -> None:
        self._application = application
        self._doors = tuple(root_path + path for path in DOORS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        limit = settings.INGEST_MAX_MB << 20 if scope["path"].startswith(self._doors) else PAGES_LIMIT
        body = _Body(receive, limit)
        try:
            body.check(_content_length(scope))
            await self._application(scope, body.receive, send)
        except _RefusedError as error:
            await _answer(send, error)


class _Body:
    """The body of one request. After its last piece, messages pass as they come."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._size = 0
        self._is_complete = False
        self._until = time.monotonic() + settings.INGEST_BODY_SECONDS

    def check(self, size: int) -> None:
        if size > self._limit:
            raise _RefusedError(413, f"The body has more than {self._limit:,} bytes. Send it in parts.")

    async def receive(self) -> Message:
        if self._is_complete:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._until - time.monotonic())
        except TimeoutError:
            raise _RefusedError(408, "The body did not come in time. Send it again.") from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self.check(self._size)
            self._is_complete = not message.get("more_body", False)
        return message


def _content_length(scope: Scope) -> int:
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(told) if told.isdigit() and len(told) < 20 else 0


async def _answer(send: Send, error: _RefusedError) -> None:
    """The rest of the body is not read, so the connection ends with the answer."""
    body = json.dumps({"detail": str(error)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
