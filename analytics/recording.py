"""The one writer: turns finished calls into priced events and adds them to the rollups, together, once.

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
from itertools import islice
from typing import Any

from psycopg import Connection, OperationalError
from psycopg.errors import UniqueViolation

from accounts import directory
from accounts.directory import Names
from analytics.ledger_pool import discard_lost, ledger_connection
from analytics.rollup_sql import add_to_rollups
from analytics.rows import COLUMNS, Row, event_row, storable
from groq_client.call import Call
from pricing import book

logger = logging.getLogger("usage.recording")

BACKLOG_SIZE = 10_000
BATCH_SIZE = 500
RETRY_SECONDS = 1.0
DRAIN_SECONDS = 5.0

Key = tuple[int, str]

INSERT_EVENT = f"INSERT INTO analytics_usageevent ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"  # noqa: S608

COPY_EVENTS = f"COPY analytics_usageevent ({', '.join(COLUMNS)}) FROM STDIN"

FIND_EVENTS = """
SELECT organization_id, request_id FROM analytics_usageevent
JOIN unnest(%s::bigint[], %s::text[]) AS key (organization_id, request_id) USING (organization_id, request_id)
"""

ADD_TO_ROLLUPS = add_to_rollups(
    "analytics_usageevent JOIN unnest(%s::bigint[], %s::text[]) AS key (organization_id, request_id)"
    " USING (organization_id, request_id)"
)


class LostConnectionError(OperationalError):
    """The connection turned out to be closed."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many events a batch added, and how many it already found."""

    events: int
    duplicates: int


def record(calls: Iterable[Call]) -> Recorded:
    """Write finished calls, all in one transaction; a call that is already there (organization, request id) is left
    as it is. Events and rollups change together, so every figure is exact the moment this returns.

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
    while rows:
        try:
            _insert(connection, rows)
        except UniqueViolation:
            known = _known(connection, rows)
            rows = {key: row for key, row in rows.items() if key not in known}
        else:
            break
    return len(rows)


def _insert(connection: Connection[Any], rows: dict[Key, Row]) -> None:
    """All or nothing. One call, the usual case, takes one round trip; many come in by COPY."""
    if len(rows) == 1:
        with connection.pipeline(), connection.transaction():
            connection.execute(INSERT_EVENT, _as_text(next(iter(rows.values()))))
            connection.execute(ADD_TO_ROLLUPS, _arrays(rows))
        return
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy(COPY_EVENTS) as copy:
            for row in rows.values():
                copy.write_row(row)
        cursor.execute(ADD_TO_ROLLUPS, _arrays(rows))


def _as_text(row: Row) -> list[str | None]:
    """Untyped, so that the statement is prepared once: psycopg would type each number by its size."""
    return [None if value is None else str(value) for value in row]


def _known(connection: Connection[Any], rows: dict[Key, Row]) -> set[Key]:
    return set(connection.execute(FIND_EVENTS, _arrays(rows)).fetchall())


def _arrays(keys: Iterable[Key]) -> tuple[list[int], list[str]]:
    organization_ids, request_ids = zip(*keys, strict=True)
    return list(organization_ids), list(request_ids)


class LedgerRecorder:
    """Records calls as they end: the ``groq_client.call.Recorder`` that the ledger plugs in.

    Writes in the caller's thread, within a bounded time. What the database cannot take stays in memory and is written
    as soon as it can; until then nobody waits for it again. (A journal on disk will take the place of the memory.)
    """

    start_is_blocking = False

    def __init__(self, backlog_size: int = BACKLOG_SIZE) -> None:
        self._backlog = Backlog(backlog_size)

    def start(self, call: Call) -> None:
        """Nothing yet: budgets will refuse calls here."""

    def finish(self, call: Call) -> None:
        """Write the call. Never raises: a call that cannot be written is logged whole, as JSON."""
        if self._backlog.is_waiting:
            self._backlog.add(call)
            return
        try:
            record([call])
        except OperationalError as error:
            logger.warning("The database cannot take a call now, it is kept in memory: %s", error)
            self._backlog.add(call)
        except Exception:
            report_lost(call, "could not be recorded")
        else:
            logger.info("recorded %s", _Described(call))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until what is kept in memory is written; False if it was not within ``timeout`` seconds."""
        return self._backlog.wait(timeout)


class Backlog:
    """Calls that wait for the database, and the thread that brings them there."""

    def __init__(self, size: int) -> None:
        self._calls: deque[Call] = deque()
        self._size = size
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._drain)

    @property
    def is_waiting(self) -> bool:
        return bool(self._calls)

    def add(self, call: Call) -> None:
        with self._changed:
            if self._closing or len(self._calls) >= self._size:
                report_lost(call, "is lost: the database is away, and so is the room to let the call wait")
                return
            self._calls.append(call)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="usage-backlog", daemon=True)
                self._thread.start()

    def wait(self, timeout: float | None) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._calls, timeout)

    def _run(self) -> None:
        while batch := self._first():
            if self._write(batch):
                with self._changed:
                    for _ in batch:
                        self._calls.popleft()
                    self._changed.notify_all()
            elif self._closing:
                return
            else:
                time.sleep(RETRY_SECONDS)

    def _first(self) -> list[Call]:
        """What to write next. With nothing left the thread ends, and the next call starts another."""
        with self._changed:
            if not self._calls:
                self._thread = None
            return list(islice(self._calls, BATCH_SIZE))

    def _write(self, batch: list[Call]) -> bool:
        """Whether the batch is settled: written, or refused for a reason that time will not mend."""
        try:
            record(batch)
        except OperationalError:
            return False
        except Exception:
            if len(batch) == 1:
                report_lost(batch[0], "could not be recorded")
            else:
                return all(self._write([call]) for call in batch)
        return True

    def _drain(self) -> None:
        """At exit: one more attempt, then what is left goes to the log, whole, from where it can be imported."""
        self._closing = True
        thread = self._thread
        if thread is not None:
            thread.join(DRAIN_SECONDS)
        while self._calls:
            report_lost(self._calls.popleft(), "is lost: the process ends and the database is away")

    def _forget(self) -> None:
        """In a forked child: the calls and the thread are the parent's."""
        self._calls, self._changed, self._thread = deque(), threading.Condition(), None


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
