"""The fold on a Citus cluster, where an organization's rows of the tail are moved by several statements.

On a single server, one statement deletes rows of the tail and adds them to the sums. Citus would send all these rows to
the coordinator and back. So here the request ids of some rows are looked up first, and all later statements name them.
Rows that arrive between two statements are not among them and stay in the tail. Each statement reads one organization,
so it reads one node.
"""

from typing import Any, Protocol

from psycopg import Connection, OperationalError

from ledger.rollups import counters, rollup_sql, session_sql
from ledger.rollups.cubes import OF_ALL, OF_EACH

WITH_TAIL = "SELECT DISTINCT organization_id FROM ledger_tail ORDER BY 1"
EVERY = "SELECT id FROM accounts_organization ORDER BY 1"
FIND = "SELECT request_id FROM ledger_tail WHERE organization_id = %(organization)s LIMIT %(at_once)s"
_FOUND = "organization_id = %(organization)s AND request_id = ANY(%(request_ids)s)"
_ROWS = f"(SELECT * FROM ledger_tail WHERE {_FOUND}) AS moved"  # noqa: S608 - no outside input
ADD = (
    session_sql.add_to_sessions(_ROWS),
    rollup_sql.add_to_rollups(_ROWS, OF_EACH),
    rollup_sql.add_to_rollups(_ROWS, OF_ALL),
)
"""The last one writes rows of the organization 0, which may be on another node. Citus then commits in two phases."""
COUNT = counters.sums(counters.in_tail(f"(SELECT * FROM ledger_tail WHERE {_FOUND})"))  # noqa: S608
"""The counters themselves are a small table of the coordinator."""
DELETE = f"DELETE FROM ledger_tail WHERE {_FOUND}"  # noqa: S608 - no outside input


class RowsGoneError(OperationalError):
    """Rows of the tail were deleted by another transaction while they were being folded. The fold has to be rolled
    back, and can be repeated."""


class Cursor(Protocol):
    """What is needed of a cursor of psycopg or Django. The cursor puts values into the statement's text, because Citus
    has to know the organization when it plans the statement."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, statement: str, values: dict[str, Any], /) -> object: ...

    def fetchall(self) -> list[Any]: ...


def organizations_in_tail(connection: Connection[Any]) -> list[int]:
    """The organizations that have rows in the tail. If this cannot be asked because a node is away, all organizations.
    ``connection`` is in autocommit mode."""
    try:
        rows = connection.execute(WITH_TAIL).fetchall()
    except OperationalError:
        rows = connection.execute(EVERY).fetchall()
    return [organization_id for (organization_id,) in rows]


def move(cursor: Cursor, organization_id: int, at_once: int) -> int:
    """Move at most ``at_once`` of the organization's rows of the tail into sessions and rollups. Returns their number.
    The caller holds the fold's lock in a transaction, and rolls it back if this raises an error.

    RowsGoneError if not all rows are still there at the end. If a node failed in the second phase of an earlier commit,
    Citus completes this commit later. Until then the tail still has rows that were folded already.
    """
    cursor.execute(FIND, {"organization": organization_id, "at_once": at_once})
    request_ids = [request_id for (request_id,) in cursor.fetchall()]
    if not request_ids:
        return 0
    which = {"organization": organization_id, "request_ids": request_ids}
    cursor.execute(COUNT, which)
    ((counted,),) = cursor.fetchall()
    counters.count(cursor, counted)
    for statement in (*ADD, DELETE):
        cursor.execute(statement, which)
    if cursor.rowcount != len(request_ids):
        raise RowsGoneError("Rows of the tail were deleted while they were being folded. Nothing was changed.")
    return len(request_ids)
