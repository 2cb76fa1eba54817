"""One exchange: a request goes to Groq, its answer comes back, and the call is recorded once, whatever happens."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
import httpx

from accounts.keyring import KeyEntry
from gateway import errors
from gateway.asgi import ClientGone, RawHeaders, Receive, Send
from gateway.batches import Results
from gateway.bodies import PassingBody
from gateway.figures import as_comment, as_headers, figures
from gateway.headers import answer_headers
from gateway.upstream import Upstream, transport_error
from groq_client.answer import decoded
from groq_client.errors import ErrorAnswer
from groq_client.recording import Recording

HELD_BYTES = 64 * 1024
"""A JSON answer of at most this size is sent in one piece, with its figures in front: nobody can use a part of it."""
OK = 200
MAX_ERROR = 1024 * 1024
"""Bytes of an error that are read for the ledger."""


@dataclass(slots=True)
class Request:
    """A request on its way to Groq. ``recording`` is None for a request that costs nothing."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes | PassingBody | None
    recording: Recording | None = None
    results: Results | None = None
    """What records the results of a batch, if the answer has some."""
    on_recorded: Callable[[], None] | None = None
    """Called when the call is recorded, before its last bytes leave."""
    wants_comment: bool = False

    def tokens(self) -> int:
        """The tokens of the call as far as they are known."""
        return self.recording.call.usage.total_tokens if self.recording is not None else 0

    def content(self) -> bytes | AsyncIterator[bytes] | None:
        return self.body.chunks() if isinstance(self.body, PassingBody) else self.body


class Exchange:
    """Passes one request and its answer. :meth:`run` returns when the client has the answer, or has left."""

    def __init__(self, request: Request, key: KeyEntry, receive: Receive, send: Send) -> None:
        self._request = request
        self._recording = request.recording
        self._key = key
        self._receive, self._send = receive, send
        self._is_started = False
        self._is_recorded = request.recording is None
        self._client_is_gone = False
        self._response: aiohttp.ClientResponse | None = None

    async def run(self, upstream: Upstream, first_byte_seconds: float, call_seconds: float) -> None:
        """Raises :class:`errors.Refusal` if there is no answer of Groq's to pass on."""
        watch: asyncio.Task[None] | None = None
        if not isinstance(self._request.body, PassingBody):
            watch = asyncio.create_task(self._cancel_when_gone(asyncio.current_task()))
        try:
            seconds = call_seconds if watch is None else first_byte_seconds
            async with asyncio.timeout(seconds) as limit:
                loop = asyncio.get_running_loop()
                deadline = loop.time() + call_seconds
                self._response = await self._ask(upstream)
                limit.reschedule(deadline)
                if watch is None and isinstance(self._request.body, PassingBody) and self._request.body.is_complete:
                    watch = asyncio.create_task(self._cancel_when_gone(asyncio.current_task()))
                await self._answer(self._response)
        except BaseException as error:
            await self._fail(error)
        finally:
            if watch is not None:
                watch.cancel()
            if self._response is not None:
                self._response.close()  # A connection whose answer was read to its end is in the pool already.

    async def _cancel_when_gone(self, task: "asyncio.Task[None] | None") -> None:
        """Cancels the exchange when the client leaves. The request has been read, so that nothing else can come."""
        message = await self._receive()
        while message["type"] == "http.request":
            message = await self._receive()
        self._client_is_gone = True
        if task is not None:
            task.cancel()

    async def _ask(self, upstream: Upstream) -> aiohttp.ClientResponse:
        request = self._request
        if self._recording is not None:
            self._recording.call.attempts += 1
        return await upstream.send(request.method, request.path, request.query, request.headers, request.content())

    # The answer

    async def _answer(self, response: aiohttp.ClientResponse) -> None:
        headers = answer_headers(response.raw_headers)
        if self._recording is None:
            await self._start(response.status, headers)
            await self._pass(response)
        elif response.status >= 300:
            await self._answer_with_error(self._recording, response, headers)
        else:
            self._recording.answered(response.status, response.raw_headers)
            if _is_small_json(response):
                await self._answer_at_once(self._recording, response, headers)
            else:
                await self._start(response.status, headers)
                await self._pass(response)

    async def _answer_at_once(
        self, recording: Recording, response: aiohttp.ClientResponse, headers: RawHeaders
    ) -> None:
        """Sends a small answer in one piece. What came of an answer that is cut is passed on before the cut."""
        try:
            body = await _read(response, HELD_BYTES)
        except CutAnswer as cut:
            recording.see(cut.part)
            await self._start(response.status, headers)
            await self._send({"type": "http.response.body", "body": cut.part, "more_body": True})
            raise cut.reason from None
        recording.see(body)
        recording.see_end()
        await self._record()
        await self._start(response.status, headers + as_headers(figures(recording.call, self._key.organization_id)))
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _answer_with_error(
        self, recording: Recording, response: aiohttp.ClientResponse, headers: RawHeaders
    ) -> None:
        head = recording.take_head(response.status, response.raw_headers)
        cut: Exception | None = None
        try:
            part = await _read(response, MAX_ERROR)
        except CutAnswer as error:
            part, cut = error.part, error.reason
        body = decoded(part, head.get("content-encoding", "").strip().lower())
        await self._record(ErrorAnswer(response.status, _parsed(body)))
        await self._start(response.status, headers)
        is_whole = cut is None and response.content.at_eof()
        await self._send({"type": "http.response.body", "body": part, "more_body": not is_whole})
        if cut is not None:
            raise cut
        if not is_whole:
            await self._pass(response)

    async def _pass(self, response: aiohttp.ClientResponse) -> None:
        """Sends the body as it comes. The call is recorded before the last bytes leave."""
        content = response.content
        while chunk := await self._next(content):
            is_last = content.at_eof()
            if not self._is_recorded:
                await self._see(chunk, is_last=is_last)
            if self._request.results is not None and response.status == OK:
                await self._request.results.take(chunk)
                if is_last:
                    await self._request.results.end()
            if is_last:
                chunk += self._comment()
            await self._send({"type": "http.response.body", "body": chunk, "more_body": not is_last})
            if is_last:
                return
        if not self._is_recorded:
            await self._see(b"", is_last=True)
        if self._request.results is not None and response.status == OK:
            await self._request.results.end()
        await self._send({"type": "http.response.body", "body": self._comment(), "more_body": False})

    async def _next(self, content: aiohttp.StreamReader) -> bytes:
        try:
            return await content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise transport_error(error) from error

    async def _see(self, chunk: bytes, *, is_last: bool) -> None:
        recording = self._recording
        if recording is None or recording.answer is None:
            return
        has_failed = recording.see(chunk) if chunk else False
        if is_last:
            recording.see_end()
        if is_last or has_failed or recording.answer.is_complete:
            await self._record()

    def _comment(self) -> bytes:
        recording = self._recording
        if recording is None or recording.answer is None:
            return b""
        if not (self._request.wants_comment and recording.answer.is_events):
            return b""
        return as_comment(recording.call, figures(recording.call, self._key.organization_id))

    async def _start(self, status: int, headers: RawHeaders) -> None:
        self._is_started = True
        if self._recording is not None:
            name = quote(self._recording.call.request_id, safe="!#$&'()*+,/:;=?@[]~ ")
            headers = [*headers, (b"x-usage-request-id", name.encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    # How it ends

    async def _record(self, error: BaseException | None = None, *, is_abandoned: bool = False) -> None:
        if self._recording is not None and not self._is_recorded:
            self._is_recorded = True
            if isinstance(self._request.body, PassingBody):
                self._request.body.tell(self._recording.call)
            await self._recording.end_async(error, is_abandoned=is_abandoned)
            if self._request.on_recorded is not None:
                self._request.on_recorded()

    async def _fail(self, error: BaseException) -> None:
        """Records a call that ended before its answer was complete, and tells the client, if it can still be told."""
        body = self._request.body
        if self._client_is_gone or (isinstance(body, PassingBody) and body.client_is_gone):
            if (task := asyncio.current_task()) is not None and isinstance(error, asyncio.CancelledError):
                task.uncancel()
            answer = self._recording.answer if self._recording is not None else None
            await (self._record(asyncio.CancelledError()) if answer is None else self._record(is_abandoned=True))
            raise ClientGone from None
        if isinstance(body, PassingBody) and body.refusal is not None:
            await self._record(body.refusal)
            self._refuse(body.refusal)
        if isinstance(error, TimeoutError):
            error = httpx.ReadTimeout("no bytes in time")
        await self._record(error)
        if isinstance(error, httpx.TimeoutException):
            self._refuse(errors.upstream_timeout())
        if isinstance(error, httpx.TransportError):
            self._refuse(errors.upstream_unreachable())
        if isinstance(error, Exception):
            self._refuse(errors.our_fault(error))
        raise error

    def _refuse(self, refusal: errors.Refusal) -> None:
        """Raises ``refusal`` unless an answer has begun, whose connection has to be cut instead."""
        if self._is_started:
            raise ClientGone from None
        raise refusal from None


class CutAnswer(Exception):  # noqa: N818 - carries the part of a body that came
    """A body that could not be read to its end, with the part that came."""

    def __init__(self, part: bytes, reason: Exception) -> None:
        super().__init__()
        self.part = part
        self.reason = reason


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, or its beginning if it is larger than ``limit``. Raises :class:`CutAnswer` if it ends too soon."""
    content = response.content
    chunks: list[bytes] = []
    size = 0
    try:
        while chunk := await content.readany():
            chunks.append(chunk)
            size += len(chunk)
            if content.at_eof() or size > limit:
                break
    except (aiohttp.ClientError, OSError) as error:
        raise CutAnswer(b"".join(chunks), transport_error(error)) from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _is_small_json(response: aiohttp.ClientResponse) -> bool:
    """Whether the answer is JSON of a known, small size, or JSON that has come whole already."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.endswith("json"):
        return False
    length = response.headers.get("content-length", "")
    if length.isdigit():
        return int(length) <= HELD_BYTES
    return response.content.is_eof() and response.content.total_bytes <= HELD_BYTES


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
