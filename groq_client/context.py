"""Who and what a call is for, said by the client, by the surrounding code, or by headers.

Per-call headers win over :class:`usage_context`, which wins over default headers, which win over the client's own
arguments. Every value is cleaned on its way in, so that whoever stores it need not fear its length or its characters.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, cast

from groq_client.call import Attribution

MAX_VALUE_LENGTH = 200
MAX_METADATA_BYTES = 4096
MAX_METADATA_DEPTH = 8

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
FIELD_OF_ARGUMENT = {"expert": "expert_id", "template": "template_id", "session": "session_id"}

NOTHING_SAID = Attribution()
TOO_MUCH: Mapping[str, Any] = {"_dropped": True}

# Control characters (NUL among them) and lone surrogates: neither belongs in a name, PostgreSQL takes neither.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

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
    """The cleaned attribution that keyword arguments say; ``None`` and ``""`` say nothing."""
    fields: dict[str, Any] = {}
    for name, value in options.items():
        if name != "metadata" and value is not None:
            fields[FIELD_OF_ARGUMENT.get(name, name)] = clean(value)
    metadata = options.get("metadata")
    if metadata:
        fields["metadata"] = clean_metadata(metadata)
    return Attribution(**fields)


def is_usage_header(name: str) -> bool:
    return name[: len(HEADER_PREFIX)].lower() == HEADER_PREFIX


def attribution_from_headers(headers: Mapping[str, object]) -> Attribution:
    """What the ``X-Usage-…`` headers among ``headers`` say; other headers are passed over."""
    fields: dict[str, Any] = {}
    for name, value in headers.items():
        if not is_usage_header(name) or not isinstance(value, str):
            continue
        if name.lower() == METADATA_HEADER:
            fields["metadata"] = _metadata_from_header(value)
        elif (attribute := FIELD_OF_HEADER.get(name.lower())) is not None:
            fields[attribute] = clean(value)
    return Attribution(**fields) if fields else NOTHING_SAID


def clean(value: object) -> str:
    """``value`` as text of at most 200 characters, without control characters and lone surrogates."""
    return _UNWANTED.sub("", str(value)[: 4 * MAX_VALUE_LENGTH]).strip()[:MAX_VALUE_LENGTH]


def clean_metadata(metadata: object) -> Mapping[str, Any]:
    """``metadata`` as plain JSON of at most 4 kB; whatever is larger, deeper or no mapping becomes ``_dropped``."""
    try:
        if not isinstance(metadata, Mapping):
            return TOO_MUCH
        cleaned = cast("dict[str, Any]", _clean_json(metadata, MAX_METADATA_DEPTH))
        size = len(json.dumps(cleaned, allow_nan=False).encode())
    except Exception:
        return TOO_MUCH
    return cleaned if size <= MAX_METADATA_BYTES else TOO_MUCH


@dataclass(frozen=True, slots=True)
class _Context:
    """What holds inside a ``with usage_context``, and what held before it."""

    entered: "usage_context"
    outer: "_Context | None"
    attribution: Attribution
    request_ids: list[str]
    """Holds the request id until the first call takes it. Shared with copies of the context, hence a list."""

    def take_request_id(self) -> str:
        try:
            return self.request_ids.pop()
        except IndexError:
            return ""


_context: ContextVar[_Context | None] = ContextVar("groq_client_usage_context", default=None)


class usage_context:  # noqa: N801 - reads as a statement: with usage_context(user="ada"):
    """Says who and what the Groq calls inside are for. Contexts nest: the inner one is laid over the outer one.

    Asyncio tasks inherit the context in which they are created; other threads need :func:`carry_context`.
    ``request_id`` goes to the first call in the context only, since an id names one call: later ones get fresh ids.
    One instance may be entered any number of times, one inside the other and by many tasks and threads at once: what
    an exit has to undo is kept in the context, not in the instance.
    """

    def __init__(self, *, request_id: str | None = None, **said: Unpack[AttributionOptions]) -> None:
        self._said = attribution_from(said)
        self._request_id = clean(request_id) if request_id else ""

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
        """``context`` without the last entry of this instance; what was entered since stays.

        There is none where an async generator is closed by the event loop, which leaves its `with` in another context.
        """
        if context is None or context.entered is self:
            return context and context.outer
        outer = self._left(context.outer)
        return context if outer is context.outer else context.entered._laid_over(outer, context.request_ids)


def carry_context(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, bound to the usage context of this moment: to be run in another thread or an executor."""
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
    """What holds for a call that starts now. Takes the context's request id unless a header gave one."""
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
    if len(value) > 2 * MAX_METADATA_BYTES:
        return TOO_MUCH
    try:
        return clean_metadata(json.loads(value))
    except (ValueError, RecursionError):
        return TOO_MUCH


def _clean_json(value: object, depth: int) -> object:
    if depth < 0:
        raise ValueError("metadata is nested too deeply")
    if isinstance(value, str):
        return _UNWANTED.sub("", value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {clean(key): _clean_json(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean_json(item, depth - 1) for item in value]
    return clean(value)
