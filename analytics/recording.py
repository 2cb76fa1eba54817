"""The one writer: turns finished calls into priced events and adds them to sessions and rollups, together, once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, InterfaceError, OperationalError, RawCursor
from psycopg.errors import ReadOnlySqlTransaction, UniqueViolation

from accounts import directory
from accounts.directory import Names
from analytics.ledger_pool import discard_lost, ledger_connection
from analytics.rollup_sql import add_to_rollups
from analytics.rows import COLUMNS, Row, event_row, storable
from analytics.session_sql import add_to_sessions
from groq_client.call import Call
from pricing import book

Key = tuple[int, str]

# Statements name their parameters as PostgreSQL does: psycopg takes them as they are (RawCursor), while it would parse
# each of its own kind, on every call if it is longer than 4,096 characters, at half the cost of running it.
_PLACES = ", ".join(f"${n}" for n in range(1, len(COLUMNS) + 1))

INSERT_EVENT = f"INSERT INTO analytics_usageevent ({', '.join(COLUMNS)}) VALUES ({_PLACES})"  # noqa: S608


def _with_sums(events: str) -> str:
    """One statement that adds what ``events`` (a SELECT, or an INSERT that returns) yields to sessions and rollups.

    Sessions come first in every statement: two writers that wait for each other's rows would otherwise deadlock. The
    rollups are what many writers want at once, so they are held for the shorter time.
    """
    after_sessions = "(SELECT * FROM new WHERE (SELECT count(*) FROM session) IS NOT NULL) AS after_sessions"
    return f"WITH new AS ({events}), session AS ({add_to_sessions('new')} RETURNING 1) {add_to_rollups(after_sessions)}"


# One call, the usual case: event and sums in one statement, which changes no row if the event is there already.
RECORD_ONE = _with_sums(f"{INSERT_EVENT} ON CONFLICT DO NOTHING RETURNING *")

COPY_EVENTS = f"COPY analytics_usageevent ({', '.join(COLUMNS)}) FROM STDIN"

# The events of the given keys, and, by the "+ 0", through the unique index alone: before its first ANALYZE a table has
# no statistics, and the planner may take an index of the organization and read all of its events for each key.
EVENTS_OF_KEYS = """
    SELECT event.* FROM unnest($1::bigint[], $2::text[]) AS key (organization_id, request_id)
    JOIN analytics_usageevent AS event
      ON event.request_id = key.request_id AND event.organization_id + 0 = key.organization_id
"""

FIND_EVENTS = f"SELECT organization_id, request_id FROM ({EVENTS_OF_KEYS}) AS recorded"  # noqa: S608

ADD_SUMS = _with_sums(EVENTS_OF_KEYS)


MAY_PASS = (OperationalError, InterfaceError, ReadOnlySqlTransaction)
"""What is wrong with the database and not with the call: away, slow, overloaded, or a standby that takes no writes."""


class LostConnectionError(OperationalError):
    """The connection turned out to be closed."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many events a batch added, and how many it already found."""

    events: int
    duplicates: int


def record(calls: Iterable[Call]) -> Recorded:
    """Write finished calls, all in one transaction; a call that is already there (organization, request id) is left
    as it is. Events and their sums change together, so every figure is exact the moment this returns.

    Raises psycopg.Error if the database refuses or is away, InvalidCallError for an impossible number; then nothing
    is written.
    """
    calls = list(calls)
    if not calls:
        return Recorded(0, 0)
    try:
        written = _record(calls)
    except LostConnectionError:  # the server was restarted since; what may have been committed is found to be there
        discard_lost()
        written = _record(calls)
    return Recorded(written, len(calls) - written)


def _record(calls: Sequence[Call]) -> int:
    with ledger_connection() as connection:
        try:
            return _write(connection, _rows(connection, calls))
        except OperationalError as error:
            if connection.broken:
                raise LostConnectionError(str(error)) from error
            raise


def _rows(connection: Connection[Any], calls: Sequence[Call]) -> dict[Key, Row]:
    """The rows to write by key, in the order of their keys; of two calls with one key, the first."""
    names = [_names(call) for call in calls]
    with connection.pipeline():  # both questions in one round trip
        generation = connection.execute(book.GENERATION_SQL)
        whose = directory.resolve(connection, dict.fromkeys(names))
    prices = book.current(connection, generation.fetchone())
    rows: dict[Key, Row] = {}
    for call, name in zip(calls, names, strict=True):
        row = event_row(call, whose[name], prices)
        rows.setdefault(_key(row), row)
    return dict(sorted(rows.items()))


def _names(call: Call) -> Names:
    who = call.attribution
    return Names(storable(who.organization), storable(who.project), storable(who.user))


def _key(row: Row) -> Key:
    organization_id, request_id = row[:2]
    assert isinstance(organization_id, int)
    assert isinstance(request_id, str)
    return organization_id, request_id


def _write(connection: Connection[Any], rows: dict[Key, Row]) -> int:
    """Write the rows that are not there yet. COPY is the quickest way in; only if it meets a row that is there
    already do we ask which, and once more if another writer was faster with one of the rest."""
    if len(rows) == 1:
        (row,) = rows.values()
        with RawCursor(connection) as cursor:
            return int(cursor.execute(RECORD_ONE, _as_text(row)).rowcount > 0)
    while rows:
        try:
            _insert(connection, rows)
        except UniqueViolation:
            known = _known(connection, rows)
            if not known:
                raise  # something else that has to be unique is not
            rows = {key: row for key, row in rows.items() if key not in known}
        else:
            break
    return len(rows)


def _insert(connection: Connection[Any], rows: dict[Key, Row]) -> None:
    """Many events and their sums, or none if one of them is there already."""
    with connection.transaction(), RawCursor(connection) as cursor:
        with cursor.copy(COPY_EVENTS) as copy:
            for row in rows.values():
                copy.write_row(row)
        cursor.execute(ADD_SUMS, _arrays(rows))


def _as_text(row: Row) -> list[str | None]:
    """Untyped, so that the statement is prepared once: psycopg would type each number by its size."""
    return [None if value is None else str(value) for value in row]


def _known(connection: Connection[Any], rows: dict[Key, Row]) -> set[Key]:
    with RawCursor(connection) as cursor:
        return set(cursor.execute(FIND_EVENTS, _arrays(rows)).fetchall())


def _arrays(keys: Iterable[Key]) -> tuple[list[int], list[str]]:
    organization_ids, request_ids = zip(*keys, strict=True)
    return list(organization_ids), list(request_ids)
