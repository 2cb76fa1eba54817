"""The official SDK's clients, with every billed call recorded once.

``groq_client.sdk`` lists the parts of the SDK beyond its public API that these clients need. If the installed SDK lacks
one of them, the clients of ``groq_client.plain`` are used instead.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast
from weakref import ReferenceType, ref

import groq
import httpx
from groq import NotGiven, Omit, Timeout

from groq_client import context
from groq_client.asked import asked_of, operation_of
from groq_client.call import Attribution, Call, Recorder, new_request_id
from groq_client.context import NOTHING_SAID, AttributionOptions
from groq_client.cycles import without_cycle
from groq_client.names import identity
from groq_client.recorder import default_recorder, note_failure
from groq_client.recording import Lease, Recording, observe
from groq_client.request_ids import note_given

if TYPE_CHECKING:
    from groq._models import FinalRequestOptions

Request = TypeVar("Request", bound=Callable[..., Any])

# The reference is weak, because asyncio keeps a copy of the context for as long as a connection is open. A strong
# reference would keep the lease of an abandoned stream alive, and the stream's end would go unnoticed.
_lease: ContextVar[ReferenceType[Lease] | None] = ContextVar("groq_client_lease", default=None)


class RecordingOptions(AttributionOptions, total=False):
    """Arguments of our clients besides the SDK's. ``recorder`` replaces the process's default recorder."""

    recorder: Recorder | None


class ClientOptions(RecordingOptions, total=False):
    api_key: str | None
    base_url: str | httpx.URL | None
    timeout: float | Timeout | NotGiven | None
    max_retries: int
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None
    _strict_response_validation: bool


class GroqOptions(ClientOptions, total=False):
    http_client: httpx.Client | None


class AsyncGroqOptions(ClientOptions, total=False):
    http_client: httpx.AsyncClient | None


class CopyOptions(RecordingOptions, total=False):
    api_key: str | None
    base_url: str | httpx.URL | None
    timeout: float | Timeout | NotGiven | None
    max_retries: int | NotGiven
    default_headers: Mapping[str, str] | None
    set_default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None
    set_default_query: Mapping[str, object] | None
    _extra_kwargs: Mapping[str, Any]


class GroqCopyOptions(CopyOptions, total=False):
    http_client: httpx.Client | None


class AsyncGroqCopyOptions(CopyOptions, total=False):
    http_client: httpx.AsyncClient | None


OUR_OPTIONS = RecordingOptions.__required_keys__ | RecordingOptions.__optional_keys__


def _split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our arguments that are not empty, and the SDK's arguments."""
    ours = {name: value for name, value in options.items() if name in OUR_OPTIONS and value is not None}
    return ours, {name: value for name, value in options.items() if name not in OUR_OPTIONS}


def _recorded(request: Request) -> Request:
    """The SDK's ``request`` method with a recording around it, of the same type with all its overloads."""

    @wraps(request)
    def recorded(self: "Groq", cast_to: type[Any], options: "FinalRequestOptions", **kwargs: Any) -> Any:
        options, recording = _begin(self, options, stream=kwargs.get("stream", False))
        if recording is None:
            return request(self, cast_to, options, **kwargs)
        lease = Lease(recording)
        recording.start()
        token = _lease.set(ref(lease))
        try:
            result = request(self, cast_to, options, **kwargs)
        except BaseException as error:
            recording.end(error)
            raise
        finally:
            _lease.reset(token)
        if not lease.is_handed_on:
            recording.end()
        return result

    return cast("Request", recorded)


def _recorded_async(request: Request) -> Request:
    @wraps(request)
    async def recorded(self: "AsyncGroq", cast_to: type[Any], options: "FinalRequestOptions", **kwargs: Any) -> Any:
        options, recording = _begin(self, options, stream=kwargs.get("stream", False))
        if recording is None:
            return await request(self, cast_to, options, **kwargs)
        lease = Lease(recording)
        await recording.start_async()
        token = _lease.set(ref(lease))
        try:
            result = await request(self, cast_to, options, **kwargs)
        except BaseException as error:
            await recording.end_async(error)
            raise
        finally:
            _reset(token)
        if not lease.is_handed_on:
            await recording.end_async()
        return result

    return cast("Request", recorded)


class Groq(groq.Groq):
    """The SDK's synchronous client. Takes :class:`RecordingOptions` as well, here and in :meth:`copy`."""

    _ours: Mapping[str, Any]
    _attribution: Attribution
    _usage_headers: frozenset[str] = frozenset()

    def __init__(self, **options: Unpack[GroqOptions]) -> None:
        self._ours, theirs = _split(options)
        super().__init__(**theirs)
        _attribute(self)

    def copy(self, **options: Unpack[GroqCopyOptions]) -> Self:
        ours, theirs = _split(options)
        extra = {**self._ours, **ours, **theirs.pop("_extra_kwargs", {})}
        return super().copy(**theirs, _extra_kwargs=extra)

    with_options = copy

    request = _recorded(groq.Groq.request)

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        return _without(super().default_headers, self._usage_headers)

    def _prepare_request(self, request: httpx.Request) -> None:
        super()._prepare_request(request)
        _sending(request)

    def _process_response(self, *, response: httpx.Response, **rest: Any) -> Any:
        _answered(response)
        return super()._process_response(response=response, **rest)


class AsyncGroq(groq.AsyncGroq):
    """The SDK's asynchronous client. Takes :class:`RecordingOptions` as well, here and in :meth:`copy`."""

    _ours: Mapping[str, Any]
    _attribution: Attribution
    _usage_headers: frozenset[str] = frozenset()

    def __init__(self, **options: Unpack[AsyncGroqOptions]) -> None:
        self._ours, theirs = _split(options)
        super().__init__(**theirs)
        _attribute(self)

    def copy(self, **options: Unpack[AsyncGroqCopyOptions]) -> Self:
        ours, theirs = _split(options)
        extra = {**self._ours, **ours, **theirs.pop("_extra_kwargs", {})}
        return super().copy(**theirs, _extra_kwargs=extra)

    with_options = copy

    request = _recorded_async(groq.AsyncGroq.request)

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        return _without(super().default_headers, self._usage_headers)

    async def _prepare_request(self, request: httpx.Request) -> None:
        await super()._prepare_request(request)
        _sending(request)

    async def _process_response(self, *, response: httpx.Response, **rest: Any) -> Any:
        _answered(response)
        return await super()._process_response(response=response, **rest)


def _attribute(client: Groq | AsyncGroq) -> None:
    """Sets the client's attribution: its arguments, overridden by its default headers, which are taken off."""
    headers = client.default_headers
    client._usage_headers = frozenset(name for name in headers if context.is_usage_header(name))
    said = context.attribution_from_headers(headers)
    ours = cast("AttributionOptions", {name: value for name, value in client._ours.items() if name != "recorder"})
    # A request id names one call, so that a default header, which goes with every call, must not set it.
    client._attribution = replace(context.attribution_from(ours).merged(said), request_id="")


def _begin(
    client: Groq | AsyncGroq, options: "FinalRequestOptions", *, stream: bool
) -> "tuple[FinalRequestOptions, Recording | None]":
    """The options without our headers, and the call's recording; ``None`` instead for a call that is not recorded."""
    headers = options.headers if isinstance(options.headers, Mapping) else {}
    names = frozenset(name for name in headers if context.is_usage_header(name))
    if names:
        options = options.model_copy(update={"headers": _without(headers, names)})
    try:
        operation = operation_of(options.method, options.url)
        if operation is None:
            return options, None
        told = client._ours["recorder"] if "recorder" in client._ours else default_recorder()
        if told is None:
            return options, None
        said = context.attribution_from_headers(headers) if names else NOTHING_SAID
        attribution = context.attribution_of_call(client._attribution, said)
        asked = asked_of(
            operation,
            json_data=options.json_data,
            extra_json=options.extra_json,
            content=getattr(options, "content", None),  # groq 0.x has no such field
            files=options.files,
            stream=stream,
        )
        call = Call(
            operation=operation,
            model_requested=identity(asked.model),
            stream=asked.streams,
            attribution=attribution,
            request_id=attribution.request_id or new_request_id(),
            sent=asked.roughly(),
        )
        if attribution.request_id:
            note_given(attribution)
        if stream:
            parser = _parser_of_streams(getattr(options, "post_parser", None))
            options = options.model_copy(update={"post_parser": parser})
        return options, Recording(call, asked, told, client.api_key)
    except Exception:
        note_failure("the start of a recording")
        return options, None


def _parser_of_streams(theirs: object) -> Callable[[Any], Any]:
    """A parser that opens the reference cycle of each stream and then calls ``theirs``, the options' own parser."""

    def parse(stream: Any) -> Any:
        try:
            without_cycle(stream)
        except Exception:
            note_failure("opening the reference cycle of a stream")
        return theirs(stream) if callable(theirs) else stream

    return parse


def _sending(request: httpx.Request) -> None:
    """Counts one more HTTP request of the current call, and takes our headers off it."""
    lease = _lease_of_this_call()
    if lease is not None:
        lease.recording.call.attempts += 1
    context.take_off(request.headers)


def _answered(response: httpx.Response) -> None:
    try:
        lease = _lease_of_this_call()
        if lease is not None:
            lease.is_handed_on = observe(response, lease)
    except Exception:
        note_failure("reading an answer")


def _lease_of_this_call() -> Lease | None:
    reference = _lease.get()
    return reference() if reference is not None else None


def _without(headers: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if name not in names} if names else dict(headers)


def _reset(token: Any) -> None:
    with suppress(ValueError):  # The coroutine may be closed in another context.
        _lease.reset(token)
