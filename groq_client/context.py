"""The attribution of a call: who and what it is for, given by the client, the surrounding code or headers.

Per-call headers win over :class:`usage_context`, which wins over default headers, which win over the client's own
arguments. Every value is made fit for storing when it is given (``groq_client.names``, ``groq_client.metadata``).
"""

import inspect
import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, cast

import httpx

from groq_client.call import Attribution
from groq_client.metadata import clean_metadata, dropped
from groq_client.names import identity, shown_name

MAX_METADATA_HEADER = 65_536

HEADER_PREFIX = "x-usage-"
METADATA_HEADER = "x-usage-metadata"
FIELD_OF_HEADER = {
    "x-usage-organization": "organization",
    "x-usage-project": "project",
    "x-usage-user": "user",
    "x-usage-expert": "expert_id",
    "x-usage-template": "template_id",
    "x-usage-feature": "feature",
    "x-usage-session": "session_id",
    "x-usage-request-id": "request_id",
}
NAMES = frozenset({"organization", "project", "user"})
"""The arguments that are names of people and things; the other arguments are ids."""
FIELD_OF_ARGUMENT = {"expert": "expert_id", "template": "template_id", "session": "session_id"}

NOTHING_SAID = Attribution()

P = ParamSpec("P")
R = TypeVar("R")


class AttributionOptions(TypedDict, total=False):
    """The keyword arguments that the clients and :class:`usage_context` share."""

    organization: str | None
    project: str | None
    user: str | None
    expert: str | None
    template: str | None
    feature: str | None
    session: str | None
    metadata: Mapping[str, Any] | None


def attribution_from(options: AttributionOptions) -> Attribution:
    """The cleaned attribution of keyword arguments; ``None`` and ``""`` mean "not given"."""
    fields: dict[str, Any] = {}
    for name, value in options.items():
        if name != "metadata" and value is not None:
            field = FIELD_OF_ARGUMENT.get(name, name)
            fields[field] = _clean(field, value)
    metadata = options.get("metadata")
    if metadata:
        fields["metadata"] = clean_metadata(metadata)
    return Attribution(**fields)


def is_usage_header(name: str) -> bool:
    return name[: len(HEADER_PREFIX)].lower() == HEADER_PREFIX


def take_off(headers: httpx.Headers) -> None:
    """Removes our headers from the headers of a request that is about to be sent."""
    for name, _ in headers.raw:
        if name[: len(HEADER_PREFIX)].lower() == HEADER_PREFIX.encode():
            headers.pop(name.decode("ascii", "replace"), None)


def attribution_from_headers(headers: Mapping[str, object]) -> Attribution:
    """The attribution in the ``X-Usage-…`` headers; other headers are ignored."""
    fields: dict[str, Any] = {}
    for name, value in headers.items():
        if not is_usage_header(name) or not isinstance(value, str):
            continue
        if name.lower() == METADATA_HEADER:
            fields["metadata"] = _metadata_from_header(value)
        elif (attribute := FIELD_OF_HEADER.get(name.lower())) is not None:
            fields[attribute] = _clean(attribute, value)
    return Attribution(**fields) if fields else NOTHING_SAID


def _clean(field: str, value: object) -> str:
    return shown_name(value) if field in NAMES else identity(value)


@dataclass(frozen=True, slots=True)
class _Context:
    """The attribution inside a ``with usage_context``, and the context around it."""

    entered: "usage_context"
    outer: "_Context | None"
    attribution: Attribution
    request_ids: list[str]
    """The request id, until the first call takes it. It is in a list, which copies of the context share."""

    def take_request_id(self) -> str:
        try:
            return self.request_ids.pop()
        except IndexError:
            return ""


_context: ContextVar[_Context | None] = ContextVar("groq_client_usage_context", default=None)


class usage_context:  # noqa: N801 - reads as a statement: with usage_context(user="ada"):
    """Sets who and what the Groq calls inside are for. Contexts nest, and the inner one overrides the outer one.

    Asyncio tasks inherit the context in which they are created; other threads need :func:`carry_context`.
    ``request_id`` goes to the first call in the context only, since an id names one call: later ones get fresh ids.
    One instance may be entered any number of times, one inside the other and by many tasks and threads at once: what
    an exit has to undo is kept in the context, not in the instance.
    """

    def __init__(self, *, request_id: str | None = None, **said: Unpack[AttributionOptions]) -> None:
        self._said = attribution_from(said)
        self._request_id = identity(request_id) if request_id else ""

    def __enter__(self) -> None:
        outer = _context.get()
        inherited = outer.request_ids if outer is not None else []
        _context.set(self._laid_over(outer, [self._request_id] if self._request_id else inherited))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _context.set(self._left(_context.get()))

    def _laid_over(self, outer: _Context | None, request_ids: list[str]) -> _Context:
        said = self._said if outer is None else outer.attribution.merged(self._said)
        return _Context(self, outer, said, request_ids)

    def _left(self, context: _Context | None) -> _Context | None:
        """``context`` without the last entry of this instance; entries made since then stay.

        There is no such entry if the event loop closes an async generator, whose `with` then ends in another context.
        """
        if context is None or context.entered is self:
            return context and context.outer
        outer = self._left(context.outer)
        return context if outer is context.outer else context.entered._laid_over(outer, context.request_ids)


def carry_context(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, bound to the present usage context, so that another thread or an executor can run it."""
    carried = _context.get()

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            token = _context.set(carried)
            try:
                return await function(*args, **kwargs)
            finally:
                _context.reset(token)

        return cast("Callable[P, R]", run_async)

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        token = _context.set(carried)
        try:
            return function(*args, **kwargs)
        finally:
            _context.reset(token)

    return run


def attribution_of_call(client: Attribution, headers: Attribution) -> Attribution:
    """The attribution of a call that starts now. Takes the context's request id unless a header has one."""
    context = _context.get()
    said = client
    if context is not None:
        said = said.merged(context.attribution)
    if headers is not NOTHING_SAID:
        said = said.merged(headers)
    if context is not None and not said.request_id and (request_id := context.take_request_id()):
        said = replace(said, request_id=request_id)
    if said.metadata and said.metadata is not client.metadata:
        said = replace(said, metadata=clean_metadata(said.metadata))
    return said


def _metadata_from_header(value: str) -> Mapping[str, Any]:
    if len(value) > MAX_METADATA_HEADER:
        return dropped(f"{len(value):,} bytes, the limit of the header is {MAX_METADATA_HEADER:,}")
    try:
        return clean_metadata(json.loads(value))
    except (ValueError, RecursionError):
        return dropped("no JSON")
