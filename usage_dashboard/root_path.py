"""Serves the ledger under a path of a host (ROOT_PATH)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class UnderRootPath:
    """Gives Django every path with the root path in front, as in the browser's address.

    Most proxies pass the whole path on, some cut the root path off, and probes do not use it. Django needs the whole
    path: it removes the root path to find the view, and keeps it for links of a page to itself.
    """

    def __init__(self, application: Application, root_path: str) -> None:
        self._application, self._root_path = application, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not f"{scope['path']}/".startswith(f"{self._root_path}/"):
            scope = {**scope, "path": self._root_path + scope["path"]}
        await self._application(scope, receive, send)
