"""The one writer: turns finished calls into priced events and adds them to sessions and rollups, together, once."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from psycopg import Connection, InterfaceError, OperationalError, RawCursor
from psycopg.errors import InternalError_, ReadOnlySqlTransaction, UniqueViolation
from psycopg.pq import TransactionStatus

from accounts import directory
from accounts.directory import Names
from analytics import pipeline, sums
from analytics.ledger_pool import discard_lost, ledger_connection
from analytics.multi_row import Insert
from analytics.pipeline import Statement
from analytics.rows import COLUMNS, Row, event_row, storable
from groq_client.call import Call
from pricing import book

EVENTS = Insert("analytics_usageevent", COLUMNS)
COPY_EVENTS = f"COPY {EVENTS.table} ({', '.join(COLUMNS)}) FROM STDIN"
COPY_FROM = 65
"""So many events of one organization are copied: the quickest way in, for one round trip more."""

BREATHER = 20
"""After so many calls, about a millisecond's work, other threads may go on."""

# Of the given request ids those that are there. By its constant the organization leads to one shard.
FIND_EVENTS = "SELECT request_id FROM analytics_usageevent WHERE organization_id = $1 AND request_id = ANY($2::text[])"


MAY_PASS = (OperationalError, InterfaceError, ReadOnlySqlTransaction)
"""What is wrong with the database and not with the call: away, slow, overloaded, or a standby that takes no writes."""

MAY_BE_THERE = (UniqueViolation, InternalError_)
"""What is raised where an event is there already. Citus passes on what a node says of a COPY without its code, so that
it becomes an internal error."""


class LostConnectionError(OperationalError):
    """The connection turned out to be closed."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many events a batch added, and how many it already found."""

    events: int
    duplicates: int


def record(calls: Iterable[Call]) -> Recorded:
    """Write finished calls, those of one organization in one transaction; a call that is already there (organization,
    request id) is left as it is. Events and their sums change together, so every figure is exact the moment this
    returns.

    Raises psycopg.Error if the database refuses or is away, InvalidCallError for an impossible number. Then nothing is
    written, or only the calls of some organizations: send all of them again.
    """
    calls = list(calls)
    if not calls:
        return Recorded(0, 0)
    ready = _connected(partial(_rows, calls=calls))
    written = 0
    for organization_id, rows in ready.items():
        written += _connected(partial(_write, organization_id=organization_id, rows=rows))
    return Recorded(written, len(calls) - written)


T = TypeVar("T")


def _connected(work: Callable[[Connection[Any]], T]) -> T:
    """Work that can be done again, on a connection that is open: after a restart of the server none is."""
    try:
        return _attempted(work)
    except LostConnectionError:
        discard_lost()
        return _attempted(work)


def _attempted(work: Callable[[Connection[Any]], T]) -> T:
    with ledger_connection() as connection:
        try:
            return work(connection)
        except Exception as error:
            pipeline.forget(connection)
            if isinstance(error, OperationalError) and connection.broken:
                raise LostConnectionError(str(error)) from error
            raise


def _rows(connection: Connection[Any], calls: Sequence[Call]) -> dict[int, dict[str, Row]]:
    """The rows to write by organization and request id, in the order of both; of two calls with one key, the first."""
    said = [(who.organization, who.project, who.user) for who in (call.attribution for call in calls)]
    names = {names: Names._make(map(storable, names)) for names in dict.fromkeys(said)}
    whose, generation = directory.resolve(connection, names.values(), book.GENERATION_SQL)
    prices = book.current(connection, generation)
    rows: dict[int, dict[str, Row]] = {}
    for n, (call, who) in enumerate(zip(calls, said, strict=True)):
        if n % BREATHER == BREATHER - 1:
            time.sleep(0)  # Callers' threads go first: else each of their steps may wait 5 ms for this loop.
        own = whose[names[who]]
        row = event_row(call, own, prices)
        rows.setdefault(own.organization_id, {}).setdefault(str(row[1]), row)
    return {organization_id: dict(sorted(rows[organization_id].items())) for organization_id in sorted(rows)}


def _write(connection: Connection[Any], organization_id: int, rows: dict[str, Row]) -> int:
    """Write the rows that are not there yet, and their number. Only if one is there already do we ask which are, and
    once more if another writer was faster with one of the rest."""
    while rows:
        try:
            _insert(connection, organization_id, list(rows.values()))
        except MAY_BE_THERE:
            known = _known(connection, organization_id, list(rows))
            if not known:
                raise  # something else is wrong
            rows = {request_id: row for request_id, row in rows.items() if request_id not in known}
        else:
            break
    return len(rows)


def _insert(connection: Connection[Any], organization_id: int, rows: list[Row]) -> None:
    """Events and their sums, or none if one of the events is there already.

    All writers take rows in the same order: events, sessions, rollups, each by its key. So they wait for each other
    and cannot deadlock; the rollups are what many want at once, and are held for the shortest time.
    """
    try:
        if len(rows) < COPY_FROM:
            first = [pipeline.BEGIN, *EVENTS.statements(rows)]
        else:
            pipeline.run(connection, [pipeline.BEGIN])
            _copy(connection, rows)
            first = []
        pipeline.run(connection, chain(first, _sums(organization_id, rows), [pipeline.COMMIT]))
    finally:
        if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
            pipeline.run(connection, [pipeline.ROLLBACK])


def _copy(connection: Connection[Any], rows: list[Row]) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_EVENTS) as copy:
        for row in rows:
            copy.write_row(row)


def _sums(organization_id: int, rows: list[Row]) -> Iterator[Statement]:
    yield from sums.SESSIONS.statements(sums.sessions(organization_id, rows))
    yield from sums.ROLLUPS.statements(sums.rollups(organization_id, rows))


def _known(connection: Connection[Any], organization_id: int, request_ids: list[str]) -> set[str]:
    with RawCursor(connection) as cursor:
        return {found for (found,) in cursor.execute(FIND_EVENTS, [str(organization_id), request_ids])}
