"""The official SDK's clients, with every billed call recorded once.

What is leant on, beyond the SDK's public surface, is this, and ``tests/groq_client/test_client_contract.py`` fails when
an upgrade changes it:

- every call goes through the public ``request(cast_to, options, *, stream, stream_cls)``, whose options carry
  ``method``, ``url``, ``headers``, ``json_data``, ``extra_json``, ``content`` and ``files``;
- ``_prepare_request(request)`` is called for every HTTP attempt (the SDK offers it for being overridden);
- ``_process_response(response=…, …)`` is called for the one answer that is good;
- ``copy(_extra_kwargs=…)`` gives its extra arguments to the new client.
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
from groq_client.recorder import default_recorder, note_failure
from groq_client.recording import Lease, Recording, observe

if TYPE_CHECKING:
    from groq._models import FinalRequestOptions

Request = TypeVar("Request", bound=Callable[..., Any])

# A weak reference, because contexts are copied and kept: asyncio keeps the one in which a connection was opened for as
# long as it is open, and would with it keep an abandoned stream from being noticed.
_lease: ContextVar[ReferenceType[Lease] | None] = ContextVar("groq_client_lease", default=None)


class RecordingOptions(AttributionOptions, total=False):
    """What our clients take beside the SDK's arguments. ``recorder`` replaces the process's default one."""

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
    """Our arguments, as far as they say something, and the SDK's."""
    ours = {name: value for name, value in options.items() if name in OUR_OPTIONS and value is not None}
    return ours, {name: value for name, value in options.items() if name not in OUR_OPTIONS}


def _recorded(request: Request) -> Request:
    """The SDK's ``request`` with a recording around it. Its type, with all its overloads, stays."""

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


Client = Groq
AsyncClient = AsyncGroq


def _attribute(client: Groq | AsyncGroq) -> None:
    """What the client's arguments say, and over it its default headers, which then are ours and not sent."""
    headers = client.default_headers
    client._usage_headers = frozenset(name for name in headers if context.is_usage_header(name))
    said = context.attribution_from_headers(headers)
    ours = cast("AttributionOptions", {name: value for name, value in client._ours.items() if name != "recorder"})
    # A default header names many calls, a request id only one.
    client._attribution = replace(context.attribution_from(ours).merged(said), request_id="")


def _begin(
    client: Groq | AsyncGroq, options: "FinalRequestOptions", *, stream: bool
) -> "tuple[FinalRequestOptions, Recording | None]":
    """The options without our headers, and the recording of the call if it is one to be recorded."""
    headers = options.headers if isinstance(options.headers, Mapping) else {}
    names = frozenset(name for name in headers if context.is_usage_header(name))
    if names:
        options = options.model_copy(update={"headers": _without(headers, names)})
    try:
        operation = operation_of(options.method, options.url)
        told = client._ours["recorder"] if "recorder" in client._ours else default_recorder()
        if operation is None or told is None:
            return options, None
        said = context.attribution_from_headers(headers) if names else NOTHING_SAID
        attribution = context.attribution_of_call(client._attribution, said)
        asked = asked_of(
            operation,
            json_data=options.json_data,
            extra_json=options.extra_json,
            content=options.content,
            files=options.files,
            stream=stream,
        )
        call = Call(
            operation=operation,
            model_requested=context.clean(asked.model),
            stream=asked.streams,
            attribution=attribution,
            request_id=attribution.request_id or new_request_id(),
            sent=asked.roughly(),
        )
        return options, Recording(call, asked, told, client.api_key)
    except Exception:
        note_failure("the start of a recording")
        return options, None


def _sending(request: httpx.Request) -> None:
    """One more HTTP request goes out for the current call. None of our headers goes with it."""
    lease = _lease_of_this_call()
    if lease is not None:
        lease.recording.call.attempts += 1
    for name, _ in request.headers.raw:
        if name[:8].lower() == b"x-usage-":
            request.headers.pop(name.decode("ascii", "replace"), None)


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
