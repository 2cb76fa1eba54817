"""Pipelines: several prepared statements are sent to the server together, and then all answers are read.

This module uses libpq's pipeline mode directly, because psycopg's own pipeline writes to the socket for every
statement, which costs more than the statements themselves.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from select import POLLIN, POLLOUT, poll
from typing import Any
from weakref import WeakKeyDictionary

from psycopg import Connection
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

Statement = tuple[bytes, Sequence[bytes | None]]
"""SQL and its parameters as text. The parameters have no types, so that each SQL text is prepared only once."""

BEGIN: Statement = (b"BEGIN", ())
COMMIT: Statement = (b"COMMIT", ())
ROLLBACK: Statement = (b"ROLLBACK", ())

_names = count()
_prepared: WeakKeyDictionary[Connection[Any], dict[bytes, bytes]] = WeakKeyDictionary()
"""The names of the prepared statements of each connection, by their SQL."""


def run(connection: Connection[Any], statements: Iterable[Statement]) -> None:
    """Run statements that return no rows, in order. If one fails, the rest are not run, and its error is raised.

    ``statements`` may be a generator: the server works on the first statements while the later ones are made.
    """
    link, known = connection.pgconn, _prepared.setdefault(connection, {})
    made: dict[bytes, bytes] = {}
    sent: list[bytes | None] = []  # for each answer, the SQL that is prepared, or None for a statement that is run
    is_settled = False
    try:
        link.enter_pipeline_mode()
        for sql, values in statements:
            name = known.get(sql) or made.get(sql)
            if name is None:
                name = made[sql] = b"ledger_%d" % next(_names)
                link.send_prepare(name, sql)
                sent.append(sql)
            link.send_query_prepared(name, values)
            sent.append(None)
        link.pipeline_sync()
        done, failure = _settle(link)
        error = error_from_result(failure) if failure else None
        link.exit_pipeline_mode()
        is_settled = True
    finally:
        if not is_settled and link.status == ConnStatus.OK:
            connection.close()  # unread answers may be left, so the connection cannot be used again
    known.update((sql, made[sql]) for sql in sent[:done] if sql is not None)
    if error:
        raise error


def forget(connection: Connection[Any]) -> None:
    """Forget the prepared statements of a connection. When psycopg rolls back, it deallocates all statements of the
    connection, including ours."""
    _prepared.pop(connection, None)


def _settle(link: PGconn) -> tuple[int, PGresult | None]:
    """Send the remaining data and read all answers. Returns the number of answers before the first error, and the
    answer that is the error, or None."""
    ready, done, error = poll(), 0, None
    while True:
        ready.register(link.socket, POLLIN | POLLOUT if link.flush() else POLLIN)
        while link.is_busy():
            ready.poll()
            link.consume_input()
            if link.flush() == 0:
                ready.register(link.socket, POLLIN)
        answer = link.get_result()
        if answer is None:
            continue  # None ends the answers of one statement
        if answer.status == ExecStatus.PIPELINE_SYNC:
            return done, error
        if answer.status == ExecStatus.FATAL_ERROR:
            error = error or answer
            if link.status != ConnStatus.OK:
                return done, error
        elif error is None:
            done += 1
