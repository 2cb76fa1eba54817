"""The fold: it moves the tail into sessions, rollups and counters, in one transaction.

All code that changes stored sums holds one lock meanwhile, so at most one transaction changes them at a time. Recording
does not take this lock. Rows that are written to the tail during a fold stay there for the next one.
"""

import time
from dataclasses import dataclass
from typing import Any

from psycopg import ClientCursor, Connection, OperationalError

from ledger.citus import is_distributed
from ledger.rollups import counters, rollup_sql, session_sql, shard_fold, tail_vacuum
from ledger.rollups.counters import Cursor
from ledger.rollups.shard_fold import organizations_in_tail

LOCK = 0x464F4C44  # "FOLD" in ASCII: the advisory lock of those who change stored sums
AT_ONCE = 20_000
"""At most this many rows of the tail are moved in one transaction."""
LIMIT_SECONDS = 60
"""The time limit of a fold's statement. Other statements of the recorder have a much shorter one."""
WAIT_SECONDS = 30
"""The time limit of a wait for the lock."""

# The recorder's connections are tuned for looking up single rows, but a fold reads and sorts thousands.
SETTINGS = """
SELECT set_config(name, value, true) FROM (VALUES
    ('enable_seqscan', 'on'), ('enable_hashjoin', 'on'), ('enable_mergejoin', 'on'), ('work_mem', '64MB'),
    ('jit', 'off'), ('plan_cache_mode', 'auto')
) AS setting (name, value)
"""
LIMITS = f"""
SELECT set_config('statement_timeout', '{LIMIT_SECONDS}s', true), set_config('lock_timeout', '{WAIT_SECONDS}s', true)
"""
SOME = "ctid = ANY(ARRAY(SELECT ctid FROM ledger_tail LIMIT %(at_once)s))"
OF_ORGANIZATION = "organization_id = %(organization)s"


def _fold(which: str) -> str:
    """SQL that moves some rows of the tail. As one statement it sees the tail at one moment."""
    return f"""
WITH moved AS (DELETE FROM ledger_tail WHERE {which} RETURNING *),
sessions AS ({session_sql.add_to_sessions("moved")}),
rollups AS ({rollup_sql.add_to_rollups("moved")})
SELECT (SELECT count(*) FROM moved), ({counters.sums(counters.in_tail("moved"))})
"""  # noqa: S608 - no outside input


FOLD_SOME, FOLD_ORGANIZATION = _fold(SOME), _fold(OF_ORGANIZATION)
NOTE = """
INSERT INTO ledger_fold AS old (id, finished_at, events, took_ms) VALUES (1, clock_timestamp(), %s, %s)
ON CONFLICT (id) DO UPDATE
SET finished_at = excluded.finished_at, events = excluded.events, took_ms = excluded.took_ms
"""


@dataclass(frozen=True, slots=True)
class Folded:
    """The number of rows that were moved, and whether the fold came to the end of the tail. It did not if another
    transaction changed sums at that moment."""

    events: int
    is_whole: bool


def fold(connection: Connection[Any], *, wait: bool = False) -> Folded:
    """Move the tail into sessions and rollups, in transactions of at most ``AT_ONCE`` rows, and vacuum it if it has
    many dead rows. ``connection`` is in autocommit mode.

    If another transaction changes sums at this moment, the rest is left to it. With ``wait`` this waits for its end,
    and raises psycopg.errors.LockNotAvailable after WAIT_SECONDS.

    On a cluster, the organizations are folded one after the other. If one of them cannot be folded, the others are, and
    the psycopg.OperationalError is raised afterwards.
    """
    moved, failure = 0, None
    some: int | None = 0
    for organization_id in organizations_in_tail(connection) if is_distributed(connection) else [None]:
        try:
            while some := fold_some(connection, organization_id, wait=wait):
                moved += some
                if some < AT_ONCE:
                    break
        except OperationalError as error:
            failure, wait = error, False  # the others would wait in vain for the same lock
            if connection.closed:
                break
        else:
            if some is None:
                break
    if failure:
        raise failure
    if moved:
        tail_vacuum.vacuum_if_needed(connection)
    return Folded(moved, is_whole=some is not None)


def fold_some(connection: Connection[Any], organization_id: int | None = None, *, wait: bool = False) -> int | None:
    """Move at most ``AT_ONCE`` rows of the tail in one transaction; of one organization on a single server, all rows.
    On a cluster, ``organization_id`` has to be given. Returns the number of rows, or None if another transaction
    changes sums at this moment."""
    start = time.monotonic()
    with connection.transaction(), ClientCursor(connection) as cursor:
        cursor.execute(LIMITS)
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        elif cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK]).fetchone() != (True,):
            return None
        cursor.execute(SETTINGS)
        if organization_id is not None and is_distributed(connection):
            events = shard_fold.move(cursor, organization_id, AT_ONCE)
        else:
            events = move(cursor, organization_id)
        if events:
            cursor.execute(NOTE, [events, round((time.monotonic() - start) * 1000)])
    return events


def move(cursor: Cursor, organization_id: int | None = None) -> int:
    """Move at most ``AT_ONCE`` rows of the tail on a single server, or all rows of one organization. Returns their
    number. The caller holds the fold's lock in a transaction."""
    which = FOLD_SOME if organization_id is None else FOLD_ORGANIZATION
    cursor.execute(which, {"at_once": AT_ONCE, "organization": organization_id})
    ((events, counted),) = cursor.fetchall()
    counters.count(cursor, counted)
    return int(events)
