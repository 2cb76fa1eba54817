"""The ASGI application in front of the doors for events: it takes the body of a sender with a key alone, and at most a
few bodies of one key at once. Django would keep any number of them, on disk, before it asks whose they are."""

from django.conf import settings

from accounts.keyring import KeyEntry, KeyringNotReadyError, keyring
from accounts.places import NoPlaceError, Places
from gateway.asgi import Application, Message, Receive, Scope, Send
from gateway.bodies import Incoming, drain

PATHS = ("/api/v1/events", "/otlp/v1/")
READING = ("GET", "HEAD")
"""Methods without events, which the API answers."""
NO_PLACE = "usage.no_place"
"""Set in the scope of a request whose body was not taken because its key has as many on their way as it may have."""
BODIES_FOR_A_PLACE = 16
"""Bodies that may come, for each request that may be recorded at once: most of them only wait for their last bytes."""
BODIES = Places(BODIES_FOR_A_PLACE * settings.INGEST_AT_ONCE, max(1, BODIES_FOR_A_PLACE * settings.INGEST_AT_ONCE // 2))


class Entrance:
    """Lets requests through to ``application``. It answers nothing itself: a request whose body is not taken goes on
    without its body, and the view says why."""

    def __init__(self, application: Application, root_path: str = "") -> None:
        self._application = application
        self._paths = tuple(root_path + path for path in PATHS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._paths) or scope["method"] in READING:
            await self._application(scope, receive, send)
            return
        try:
            key = _key_of(scope)
        except KeyringNotReadyError:  # The view waits for the keys.
            await self._application(scope, receive, send)
            return
        if key is None:
            await self._without_body(scope, receive, send)
            return
        try:
            BODIES.take(key.id)
        except NoPlaceError:
            await self._without_body({**scope, NO_PLACE: True}, receive, send)
            return
        try:
            await self._application(scope, receive, send)
        finally:
            BODIES.give_back(key.id)

    async def _without_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(receive)
        if not any(name == b"expect" for name, _ in scope["headers"]):
            await drain(incoming)
        empty = _Empty(incoming)
        await self._application(scope, empty, send if incoming.is_complete else _closing(send))


class _Empty:
    """An empty body in place of one that is not read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_told = False

    async def __call__(self) -> Message:
        if not self._is_told:
            self._is_told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await self._receive()
        while message["type"] == "http.request":
            message = await self._receive()
        return message


def _closing(send: Send) -> Send:
    """Ends the connection with the answer, since what follows on it is a body that nobody reads."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return send_and_close


def _key_of(scope: Scope) -> KeyEntry | None:
    told = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    kind, _, secret = told.decode("latin-1").partition(" ")
    return keyring.find(secret.strip()) if kind.lower() == "bearer" else None
