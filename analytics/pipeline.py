"""Several prepared statements in one message to the server, one answer back.

libpq's pipeline as it is: psycopg's own writes to the socket for every statement, which cost more than the statements.
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
"""SQL and its parameters as text; they are untyped, so that a statement is prepared once."""

BEGIN: Statement = (b"BEGIN", ())
COMMIT: Statement = (b"COMMIT", ())
ROLLBACK: Statement = (b"ROLLBACK", ())

_names = count()
_prepared: WeakKeyDictionary[Connection[Any], dict[bytes, bytes]] = WeakKeyDictionary()
"""Of each connection, the names of its prepared statements."""


def run(connection: Connection[Any], statements: Iterable[Statement]) -> None:
    """Run statements that answer nothing, one after the other; after one that fails, no more. Raises its error.

    Statements may be made on the way: the server works already while later ones are made.
    """
    link, known = connection.pgconn, _prepared.setdefault(connection, {})
    made: dict[bytes, bytes] = {}
    sent: list[bytes | None] = []  # what each answer is to: a statement that is prepared, or one that is run
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
            connection.close()  # nobody knows what it would answer next
    known.update((sql, made[sql]) for sql in sent[:done] if sql is not None)
    if error:
        raise error


def forget(connection: Connection[Any]) -> None:
    """Prepare anew: psycopg deallocates all statements of a connection, ours too, where it rolls back."""
    _prepared.pop(connection, None)


def _settle(link: PGconn) -> tuple[int, PGresult | None]:
    """Send what is left, read all answers, and give the number of those before the first that is an error, and it."""
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
            continue  # the end of one statement's answers
        if answer.status == ExecStatus.PIPELINE_SYNC:
            return done, error
        if answer.status == ExecStatus.FATAL_ERROR:
            error = error or answer
            if link.status != ConnStatus.OK:
                return done, error
        elif error is None:
            done += 1
