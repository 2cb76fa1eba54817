"""The ledger's server, which also tells whom and what it takes a request for, at addresses that end in ``/tell/``."""

from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from accounts.client_address import client_address
from usage_dashboard.asgi import application as ours


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http" or not scope["path"].endswith("/tell/"):
        await ours(scope, receive, send)
        return
    request: HttpRequest = ASGIRequest(scope, None)
    told = f"{client_address(request)} {request.scheme} {request.get_host()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": told})
