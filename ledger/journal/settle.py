"""Calls are settled when they are in the ledger, or are dead letters because the ledger can never take them."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from django.conf import settings
from psycopg import ClientCursor

from groq_client.call import Call
from groq_client.journal.destination import Outcome
from groq_client.names import identity
from ledger.journal.dead_letters import Described, append_dead_letter, keep_dead_letter, note_conflicts
from ledger.recording.pool import ledger_connection
from ledger.recording.record import MAY_PASS, Conflict, OrganizationsBusyError, record
from ledger.rollups import counters

logger = logging.getLogger("usage.recording")


LINGER_SECONDS = 0.02


class Ledger:
    """The database as the destination of calls. ``directory`` is for lines that cannot be read."""

    look_seconds = None
    """The ledger's worker looks every minute."""
    is_away = False
    """What the database takes is only known by trying."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def linger_seconds(self) -> float:
        return 0 if settings.RECORDING_SYNCHRONOUS else LINGER_SECONDS

    def settle(self, calls: Sequence[Call]) -> Outcome:
        return settle(calls)

    def set_aside(self, line: str) -> None:
        append_dead_letter(self._directory, line)

    def lose(self, call: Call, why: str) -> None:
        keep_dead_letter(call, why)

    def replayed(self, number: int) -> None:
        try:
            with ledger_connection() as connection, ClientCursor(connection) as cursor:
                counters.tally(cursor, counters.REPLAYED, number)
        except Exception as error:  # the calls are recorded, and only a metric misses them
            logger.warning("The number of replayed calls could not be counted: %s", error)


def settle(calls: Sequence[Call]) -> Outcome:
    """Write calls into the ledger. Calls that the ledger refuses because of their values become dead letters.

    If the ledger refuses a batch, its calls are written one by one, so that only the bad calls become dead letters.
    """
    if not calls:
        return Outcome()
    try:
        recorded = record(calls)
    except OrganizationsBusyError as error:
        logger.warning("The database takes no calls of some organizations now, they wait: %s", error)
        return Outcome(late=[*error.calls, *_settle_others(error.conflicts)])
    except MAY_PASS as error:
        logger.warning("The database takes no calls now, they wait: %s", error)
        return Outcome(left=calls)
    except Exception:
        if len(calls) > 1:
            return _one_by_one(calls)
        keep_dead_letter(calls[0], "could not be recorded")
        return Outcome()
    if recorded.duplicates:
        logger.info("%s calls were recorded before under their request ids and are not again.", recorded.duplicates)
    for call in calls:
        logger.info("recorded %s", Described(call))
    return Outcome(late=_settle_others(recorded.conflicts))


def _settle_others(conflicts: Sequence[Conflict]) -> tuple[Call, ...]:
    """Settle the calls whose request id the ledger has with other figures. Returns those that have to wait.

    A call that began at another time than the recorded one is another call, for which a program used the same id again:
    it is recorded under an id of its own. The same call with other figures is only noted.
    """
    others = {_own_id(conflict.call): conflict.call for conflict in conflicts if conflict.is_of_another_call}
    note_conflicts([conflict for conflict in conflicts if not conflict.is_of_another_call])
    for own_id, call in others.items():
        logger.warning("Another call has the request id %s, so this one is recorded as %s.", call.request_id, own_id)
    outcome = settle([replace(call, request_id=own_id) for own_id, call in others.items()])
    return tuple(others[call.request_id] for call in (*outcome.late, *outcome.left))


def _own_id(call: Call) -> str:
    """An id that begins with the given one. It is the same whenever the same call is settled again."""
    digest = hashlib.sha256(f"{call.request_id} {call.started_at.timestamp()}".encode("utf-8", "surrogatepass"))
    return identity(f"{call.request_id}~{digest.hexdigest()[:16]}")


def _one_by_one(calls: Sequence[Call]) -> Outcome:
    late: list[Call] = []
    for n, call in enumerate(calls):
        outcome = settle([call])
        if outcome.left:
            return Outcome(late, calls[n:])
        late += outcome.late
    return Outcome(late)
