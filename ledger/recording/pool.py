"""The recorder's own connections to the database.

The recorder does not use Django's connections, so that calls are recorded even if the caller's transaction is rolled
back, busy pages cannot starve the recorder, and every wait has a limit.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Self

from django.conf import settings
from django.db import connections
from psycopg import Connection
from psycopg_pool import ConnectionPool

from ledger.recording import pipeline

LEDGER_CONNECTIONS = 5
"""One of them is for the folder, so that a long fold takes none from those who record."""


def _connection_options(timeout_ms: int) -> str:
    """The server settings of the recorder's connections, with a time limit for every statement.

    Each statement is planned only once, since the same statements are run all day. All statements look rows up by their
    keys, so plans that read a whole table are turned off: the statistics of a new table would suggest such plans.
    """
    values = {
        "statement_timeout": timeout_ms,
        "lock_timeout": timeout_ms,
        "idle_in_transaction_session_timeout": 60_000,
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "TimeZone": "UTC",
    }
    return " ".join(f"-c {name}={value}" for name, value in values.items())


class LedgerConnection(Connection[Any]):
    """A connection that first starts the embedded PostgreSQL server if the settings name that server and it is not
    running."""

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        if connections["default"].settings_dict["ENGINE"] == "usage_dashboard.postgresql":
            settings.EMBEDDED_POSTGRES.ensure_running()
        return super().connect(*args, **kwargs)


@lru_cache(maxsize=1)
def _pool() -> ConnectionPool[LedgerConnection]:
    timeout_ms: int = settings.RECORDING_TIMEOUT_MS
    parameters = connections["default"].get_connection_params()
    for of_django in ("cursor_factory", "context", "prepare_threshold", "client_encoding", "pool"):
        parameters.pop(of_django, None)
    parameters |= {
        "autocommit": True,
        "prepare_threshold": 0,
        "application_name": "usage-recorder",
        "connect_timeout": max(2, timeout_ms // 1000),
        "options": f"{parameters.get('options', '')} {_connection_options(timeout_ms)}",
        "tcp_user_timeout": 2 * timeout_ms,  # limits the wait for a server that vanished without closing
        "keepalives_idle": 10,
    }
    return ConnectionPool(
        connection_class=LedgerConnection,
        kwargs=parameters,
        min_size=0,
        max_size=LEDGER_CONNECTIONS,
        timeout=timeout_ms / 1000,
        reconnect_timeout=5,
        open=True,
        name="usage-recorder",
    )


@contextmanager
def ledger_connection() -> Iterator[Connection[Any]]:
    """A connection in autocommit mode. psycopg.OperationalError if no connection is free within
    RECORDING_TIMEOUT_MS. Errors of a transaction have to leave the block."""
    with _pool().connection() as connection:
        try:
            yield connection
        except Exception:
            pipeline.forget(connection)  # psycopg has rolled back, and then deallocates all prepared statements
            raise


def discard_lost() -> None:
    """Replace the connections that the server has closed, for example all of them after a restart of the server."""
    _pool().check()


def close() -> None:
    """Give the connections back to the server; the next use opens new ones."""
    if _pool.cache_info().currsize:
        _pool().close()
        _pool.cache_clear()


# A forked child needs its own pool, because connections must not be shared and the pool's threads do not exist there.
os.register_at_fork(after_in_child=_pool.cache_clear)
