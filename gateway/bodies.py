"""Bodies of requests: read whole where the call has to be known, passed on as they come where they are files."""

import asyncio
from collections.abc import AsyncIterator

from gateway import errors
from gateway.asgi import ClientGone, Message, Receive
from gateway.forms import Form
from groq_client.call import Call
from groq_client.names import identity

MEGABYTE = 1024 * 1024
DRAINED_BYTES, DRAINED_SECONDS = MEGABYTE, 1.0
"""At most this much of a refused request is read, so that its sender comes to read the refusal."""


class Incoming:
    """A server's ``receive``, which remembers whether the body was read to its end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_complete = False

    async def __call__(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):
            self.is_complete = True
        return message


async def read_whole(receive: Receive, length: int | None, megabytes: int, seconds: float) -> bytes:
    """The whole body. Raises :class:`errors.Refusal` if it is too large or comes too slowly."""
    if length is not None and length > megabytes * MEGABYTE:
        raise errors.too_large(megabytes)
    try:
        async with asyncio.timeout(seconds):
            return await _joined(receive, megabytes)
    except TimeoutError:
        raise errors.too_slow() from None


async def _joined(receive: Receive, megabytes: int) -> bytes:
    chunk, more = await _next(receive)
    if not more:
        return chunk
    chunks, size = [chunk], len(chunk)
    while more:
        chunk, more = await _next(receive)
        chunks.append(chunk)
        size += len(chunk)
        if size > megabytes * MEGABYTE:
            raise errors.too_large(megabytes)
    return b"".join(chunks)


class PassingBody:
    """A body that is passed on while it comes. ``form`` sees a copy of its bytes.

    ``refusal`` and ``client_is_gone`` tell why the body ended before its time; the HTTP client hides the reason.
    """

    def __init__(self, receive: Receive, length: int | None, megabytes: int, form: Form | None = None) -> None:
        if length is not None and length > megabytes * MEGABYTE:
            raise errors.too_large(megabytes)
        self._receive = receive
        self._megabytes = megabytes
        self._form = form
        self._first: tuple[bytes, bool] | None = None
        self.refusal: errors.Refusal | None = None
        self.client_is_gone = False
        self.is_complete = False

    async def begin(self) -> None:
        """Waits for the first bytes, which most often name the model."""
        self._first = await self._take()

    async def chunks(self) -> AsyncIterator[bytes]:
        chunk, more = self._first or await self._take()
        self._first = None
        size = 0
        while True:
            size += len(chunk)
            if size > self._megabytes * MEGABYTE:
                self.refusal = errors.too_large(self._megabytes)
                raise self.refusal
            if chunk:
                yield chunk
            if not more:
                break
            chunk, more = await self._take()
        self.is_complete = True

    def tell(self, call: Call) -> None:
        """Completes ``call`` by what the form has said since the call began: the model may come after the file."""
        if self._form is not None:
            call.model_requested = identity(self._form.asked.model)
            call.stream = self._form.asked.streams

    async def _take(self) -> tuple[bytes, bool]:
        try:
            chunk, more = await _next(self._receive)
        except ClientGone:
            self.client_is_gone = True
            raise
        if self._form is not None:
            self._form.feed(chunk)
            if not more:
                self._form.end()
        return chunk, more


async def drain(receive: Receive) -> None:
    """Reads on for a moment, because a connection that is closed with unread bytes loses what was sent last."""
    size, more = 0, True
    try:
        async with asyncio.timeout(DRAINED_SECONDS):
            while more and size < DRAINED_BYTES:
                chunk, more = await _next(receive)
                size += len(chunk)
    except (TimeoutError, ClientGone):
        return


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """The next bytes of the body, and whether more follow."""
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)
