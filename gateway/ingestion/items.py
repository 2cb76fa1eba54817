"""The events in the body of a request: one JSON object, an array of them, or JSON Lines."""

from collections.abc import Sequence
from typing import TypeVar

from gateway.ingestion.bodies import BodyRefusedError, refuse_many_values_of_json
from ledger.importing import RefusedError
from ledger.importing.formats import ESCAPE, Object, object_in, read_json, read_value

MAX_EVENTS = 1_000
"""At most this many events are in one request, and so in one transaction."""
LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines"})

T = TypeVar("T")
Item = Object | RefusedError
"""An event as it was sent, or why it cannot be read."""


def items_of(body: bytes, content_type: str) -> Sequence[Item]:
    """The events of the body, in their order. BodyRefusedError if they cannot be told apart, or are too many."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not body:
        raise BodyRefusedError(400, "The body is empty. Send an event, an array of events, or one event a line.")
    refuse_many_values_of_json(body)
    if content_type in LINES or _is_lines(body):
        return [_item(line) for line in _within_limit([line for line in body.split(b"\n") if line.strip()])]
    try:
        value = read_value(body)
    except RefusedError as error:
        raise BodyRefusedError(400, str(error)) from None
    values = value if isinstance(value, list) else [value]
    has_escapes = ESCAPE in body
    return [_checked(value, has_escapes) for value in _within_limit(values)]


def _is_lines(body: bytes) -> bool:
    """Whether the first of several lines is a whole object."""
    first, line_end, _ = body.partition(b"\n")
    return bool(line_end) and first.startswith(b"{") and not isinstance(_item(first), RefusedError)


def _within_limit(values: Sequence[T]) -> Sequence[T]:
    if len(values) > MAX_EVENTS:
        raise BodyRefusedError(413, f"{len(values):,} events are too many: send at most {MAX_EVENTS:,} in a request.")
    return values


def _item(line: bytes) -> Item:
    try:
        return read_json(line)
    except RefusedError as error:
        return error


def _checked(value: object, has_escapes: bool) -> Item:
    try:
        return object_in(value, has_escapes=has_escapes)
    except RefusedError as error:
        return error
