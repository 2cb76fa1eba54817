"""The result of recording for each call of a batch from outside."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from psycopg import DataError, Error
from psycopg.errors import StatementTooComplex

from groq_client.call import Call
from ledger.recording.event_row import InvalidCallError
from ledger.recording.record import Recorded, record

IMPOSSIBLE = (InvalidCallError, DataError, StatementTooComplex)
"""Errors whose cause is a call, so that a repetition would fail again."""
OTHER_FIGURES = "The request id {} is recorded already, with other figures: {}."

Status = Literal["recorded", "duplicate", "conflict", "error"]


class Result(NamedTuple):
    """What became of a call: it was recorded; it was a duplicate, in the ledger already with the same figures; it had
    the request id of another call (conflict); or it cannot be recorded (error). The last two have a message."""

    status: Status
    message: str = ""


def results_of(calls: Sequence[Call], recording: Callable[[Sequence[Call]], Recorded] = record) -> list[Result]:
    """Record the calls, and return the result for each, in their order. All calls are in one transaction, unless one
    of them is impossible. psycopg.Error if the database is away; then all, some or none of the calls are recorded, and
    all may be passed again."""
    if not calls:
        return []
    try:
        recorded = recording(calls)
    except IMPOSSIBLE as error:
        if len(calls) == 1:
            return [Result("error", _words(error))]
        half = len(calls) // 2  # the error does not say which call it is about
        return [*results_of(calls[:half], recording), *results_of(calls[half:], recording)]
    other = {id(call): Result("duplicate") for call in recorded.repeated}
    for conflict in recorded.conflicts:
        message = OTHER_FIGURES.format(conflict.call.request_id, conflict.differing)
        other[id(conflict.call)] = Result("conflict", message)
    return [other.get(id(call), RECORDED) for call in calls]


RECORDED = Result("recorded")


def _words(error: Exception) -> str:
    """The reason for a refusal. Only the first line of a database error is used, because the rest quotes values."""
    text = error.diag.message_primary if isinstance(error, Error) else str(error)
    return f"It cannot be recorded: {text}"
