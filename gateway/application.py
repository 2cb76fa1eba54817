"""The ASGI application: it takes the gateway's addresses, and leaves all others to the application behind it."""

import asyncio
import logging
from contextlib import AbstractContextManager

from django.conf import settings
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from accounts.current_request import note_caller, note_route
from accounts.keyring import KeyEntry, KeyringNotReadyError, keyring
from gateway import errors
from gateway.asgi import Application, ClientGone, Receive, Scope, Send
from gateway.attribution import attribution_of
from gateway.batches import Results
from gateway.bodies import Incoming, PassingBody, drain, read_whole
from gateway.exchange import Exchange, Request
from gateway.forms import Form
from gateway.headers import RequestHeaders, read_headers
from gateway.limits import Limits
from gateway.rates import CALLS, Rates, shared_windows
from gateway.request_ids import GivenIds
from gateway.routes import Route, rest_of, route_to
from gateway.upstream import Upstream
from groq_client.asked import Asked, asked_of
from groq_client.call import Call, CallRefused
from groq_client.names import identity
from groq_client.recorder import default_recorder
from groq_client.recording import Recording

logger = logging.getLogger("usage.gateway")
_tracer = trace.get_tracer("gateway")

MAX_SECRET = 200
MAX_QUERY = 2_000
MAX_VALUES = 1_000_000
"""A body with more values than this is passed on unread: parsed, it would take fifty times its size in memory."""
LARGE = 1024 * 1024
COMMENT = "x-usage-comment"


class Gateway:
    """The gateway in front of ``behind``. ``root_path`` may stand before its addresses, as before those of pages."""

    def __init__(self, behind: Application, root_path: str = "") -> None:
        self._behind = behind
        self._root_path = root_path
        self._upstream = Upstream(settings.GROQ_BASE_URL)
        rates = Rates(shared_windows(), CALLS)
        self._limits = Limits(settings.GATEWAY_CONNECTIONS, settings.GATEWAY_CONNECTIONS_PER_KEY, rates)
        self._given_ids = GivenIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            rest = rest_of(scope["path"].removeprefix(self._root_path) if self._root_path else scope["path"])
            if rest is not None:
                await self._serve(rest, scope, Incoming(receive), send)
                return
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await self._behind(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Has the keys read before the server takes its first request, and closes the connections to Groq after its
        last."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(keyring.wait_until_ready)
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._upstream.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, rest: str, scope: Scope, receive: Incoming, send: Send) -> None:
        note_route("gateway")
        headers = read_headers(scope["headers"])
        try:
            await self._admit(rest, scope, headers, receive, send)
        except ClientGone:
            return
        except Exception as error:
            refusal = error if isinstance(error, errors.Refusal) else errors.our_fault(error)
            if not (receive.is_complete or headers.expects_continue):
                await drain(receive)
            await _refuse(refusal, send)

    async def _admit(self, rest: str, scope: Scope, headers: RequestHeaders, receive: Incoming, send: Send) -> None:
        """Lets a request in whose key may make it. Raises :class:`errors.Refusal` for all others."""
        key = _key_of(headers)
        note_caller(key.organization, key.id)
        route = route_to(scope["method"], rest)
        note_route(f"gateway/{route.operation or 'unrecorded'}")
        query = _query_of(scope)
        provider_key = key.provider_key or settings.GROQ_API_KEY
        if not provider_key:
            raise errors.no_provider_key()
        headers.forwarded.append(("Authorization", f"Bearer {provider_key}"))
        request = Request(scope["method"], route.path, query, headers.forwarded, None)
        request.wants_comment = headers.attribution.get(COMMENT, "") in ("1", "true")
        request.on_recorded = lambda: self._limits.spend(key, request.tokens())
        self._limits.enter(key)
        try:
            keyring.used(key.id)
            await self._prepare(request, route, headers, key, provider_key, receive)
            exchange = Exchange(request, key, receive, send)
            with _span_of_groq():
                await exchange.run(self._upstream, settings.GATEWAY_FIRST_BYTE_SECONDS, settings.GATEWAY_CALL_SECONDS)
        finally:
            self._limits.leave(key)

    async def _prepare(
        self,
        request: Request,
        route: Route,
        headers: RequestHeaders,
        key: KeyEntry,
        provider_key: str,
        receive: Receive,
    ) -> None:
        """Reads what has to be known before the call can be sent, and starts its recording."""
        length = headers.content_length
        is_form = headers.content_type.lower().startswith("multipart/")
        asked = Asked(route.operation) if route.operation is not None else None
        if is_form:
            form = Form(headers.content_type, asked) if asked is not None else None
            request.body = body = PassingBody(receive, length, settings.GATEWAY_UPLOAD_MB, form)
            if length is not None:
                headers.forwarded.append(("Content-Length", str(length)))
            await body.begin()
        elif request.method == "POST":
            megabytes, seconds = settings.GATEWAY_BODY_MB, settings.GATEWAY_BODY_SECONDS
            request.body = content = await read_whole(receive, length, megabytes, seconds)
            if route.operation is not None:
                asked = asked_of(route.operation, content=content if _is_readable(content) else b"")
        elif length:
            raise errors.bad_request(f"{request.method} takes no body here.")
        recorder = default_recorder()
        if route.has_results and recorder is not None:
            request.results = Results(attribution_of(key, headers.attribution, {}), recorder)
            request.headers = [pair for pair in request.headers if pair[0] != "accept-encoding"]
            request.headers.append(("Accept-Encoding", "identity"))  # so that its lines can be read as they pass
        if asked is not None and recorder is not None:
            request.recording = Recording(self._call(asked, headers, key), asked, recorder, provider_key)
            try:
                await request.recording.start_async()
            except CallRefused as refusal:
                raise errors.refused(str(refusal)) from None

    def _call(self, asked: Asked, headers: RequestHeaders, key: KeyEntry) -> Call:
        attribution = attribution_of(key, headers.attribution, asked.body)
        call = Call(
            operation=asked.operation,
            model_requested=identity(asked.model),
            stream=asked.streams,
            attribution=attribution,
            sent=asked.roughly(),
        )
        if attribution.request_id:
            call.request_id = self._given_ids.unique(attribution, headers.retries)
        return call


def _span_of_groq() -> AbstractContextManager[Span]:
    """A span that tells nothing of an exception, whose text may quote anything."""
    return _tracer.start_as_current_span(
        "Groq", kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
    )


def _key_of(headers: RequestHeaders) -> KeyEntry:
    scheme, _, secret = headers.authorization.partition(" ")
    secret = secret.strip()
    try:
        key = keyring.find(secret) if scheme.lower() == "bearer" and 0 < len(secret) <= MAX_SECRET else None
    except KeyringNotReadyError:
        raise errors.not_ready() from None
    if key is None:
        raise errors.invalid_key()
    if "call" not in key.scopes:
        raise errors.lacks_scope()
    return key


def _query_of(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    if len(query) > MAX_QUERY or not query.isascii() or b"#" in query or not query.decode().isprintable():
        raise errors.bad_request(f"The query has to be printable ASCII of at most {MAX_QUERY:,} characters.")
    return query.decode()


def _is_readable(body: bytes) -> bool:
    if len(body) < LARGE:
        return True
    return body.count(b",") + body.count(b"[") + body.count(b"{") < MAX_VALUES


async def _refuse(refusal: errors.Refusal, send: Send) -> None:
    body = refusal.body()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *refusal.headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
