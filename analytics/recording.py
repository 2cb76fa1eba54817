"""The one writer: turns finished calls into priced events and adds them to sessions and rollups, together, once.

``record`` writes a batch in one transaction. ``LedgerRecorder`` is what the client tells about its calls; it never
raises into the caller and waits for the database no longer than ``RECORDING_TIMEOUT_MS``.
"""

import atexit
import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, takewhile
from typing import Any

from django.conf import settings
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

logger = logging.getLogger("usage.recording")

MEMORY = 10_000
"""Calls that may wait in memory for the database."""
BATCH_SIZE = 500
RETRY_SECONDS = 1.0
DRAIN_SECONDS = 5.0

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


class LedgerRecorder:
    """Records calls as they end: the ``groq_client.call.Recorder`` that the ledger plugs in.

    The row is there when ``finish`` returns, unless the database is away or slow: then the call waits in memory, and
    until the database takes calls again nobody waits for it. (A journal on disk will take the place of the memory, and
    nobody will wait at all.)
    """

    start_is_blocking = False

    def __init__(self, memory: int = MEMORY) -> None:
        self._writer = Writer(memory)

    def start(self, call: Call) -> None:
        """Nothing yet: budgets will refuse calls here."""

    def finish(self, call: Call) -> None:
        """Write the call; returns within ``RECORDING_TIMEOUT_MS`` and never raises."""
        self._writer.write(call, settings.RECORDING_TIMEOUT_MS / 1000)

    def flush(self, timeout: float) -> bool:
        """Wait until everything in memory is written; False if it was not within ``timeout`` seconds."""
        return self._writer.flush(timeout)


class Writer:
    """One thread that brings calls into the ledger. What ends while it writes goes into its next transaction.

    A call that the ledger can never take, and one that there is no room to keep, is logged whole and counted.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._is_closing = False
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # the calls and the thread are the parent's
        atexit.register(self._close)

    def _begin(self) -> None:
        self._calls: deque[Call] = deque()
        self._added = self._settled = 0
        self._is_late = False
        """The last attempt failed or took too long: no caller waits until one succeeds."""
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._work, self._done = threading.Condition(self._lock), threading.Condition(self._lock)

    def write(self, call: Call, timeout: float) -> None:
        """Hand over a call, and wait up to ``timeout`` seconds until it is settled."""
        with self._lock:
            if len(self._calls) >= self._memory:
                report_lost(call, "is lost: the database is away and there is no room to let more calls wait")
                return
            self._calls.append(call)
            self._added += 1
            number = self._added
            self._ensure_thread()
            self._work.notify()
            if not self._is_late and not self._done.wait_for(lambda: self._settled >= number or self._is_late, timeout):
                logger.warning("The database is slow: calls wait in memory.")
                self._is_late = True
            if self._is_closing and self._settled < number:
                self._give_up()

    def flush(self, timeout: float) -> bool:
        with self._lock:
            return self._done.wait_for(lambda: not self._calls, timeout)

    def _ensure_thread(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        thread = threading.Thread(target=self._run, name="usage-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending
            self._give_up()
        else:
            self._thread = thread

    def _run(self) -> None:
        while True:
            with self._lock:
                self._work.wait_for(lambda: self._calls)
                batch = list(islice(self._calls, BATCH_SIZE))
            settled = settle(batch)
            with self._lock:
                for _ in range(min(settled, len(self._calls))):
                    self._calls.popleft()
                self._settled += settled
                self._is_late = settled < len(batch)
                self._done.notify_all()
            if settled < len(batch):
                time.sleep(RETRY_SECONDS)

    def _close(self) -> None:
        """At exit. Calls that end later still (open streams are ended at exit too) are not kept waiting either."""
        with self._lock:
            self._is_closing = True
            self._done.wait_for(lambda: not self._calls, DRAIN_SECONDS)
            self._give_up()

    def _give_up(self) -> None:
        while self._calls:
            self._settled += 1
            report_lost(self._calls.popleft(), "is lost: the process ends and the database is away")


def settle(calls: Sequence[Call]) -> int:
    """Write calls, and tell how many from the first on are done with: all, unless the database is away.

    If the ledger refuses a batch for what is in it, its calls are written one by one, to lose no more than must be.
    """
    try:
        recorded = record(calls)
    except MAY_PASS as error:
        logger.warning("The database takes no calls now, they wait in memory: %s", error)
        return 0
    except Exception:
        if len(calls) == 1:
            report_lost(calls[0], "could not be recorded")
            return 1
        return sum(takewhile(bool, (settle([call]) for call in calls)))
    if recorded.duplicates:
        logger.warning("%s calls were recorded before under their request ids and are not again.", recorded.duplicates)
    for call in calls:
        logger.info("recorded %s", _Described(call))
    return len(calls)


lost_calls = 0
"""Calls that could not be recorded since the process began. Health and metrics tell it."""


def report_lost(call: Call, why: str) -> None:
    """Count a call that will not be in the ledger, and log all of it, so that it can still be entered."""
    global lost_calls
    lost_calls += 1
    logger.error("A call %s: %s", why, _Described(call), exc_info=sys.exc_info()[0] is not None)


class _Described:
    """A call as one line of JSON, made only if the line is really logged. A call holds neither prompts nor keys."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __str__(self) -> str:
        return json.dumps(asdict(self.call), default=str)
