"""The recorder's own connections to the database.

They are not Django's: a call is recorded even if the transaction that the caller is in is rolled back or broken, busy
pages cannot starve the recorder, and every wait is bounded.
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

LEDGER_CONNECTIONS = 4


def _connection_options(timeout_ms: int) -> str:
    """Server-side limits of every statement. Plans are made once, since the same statements come all day; and as all of
    them look rows up by their keys, whatever the statistics of a young table say, no table is read whole."""
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
    """A connection that sees to it that the embedded server runs, where that is the one to connect to."""

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
        "tcp_user_timeout": 2 * timeout_ms,  # a peer that vanished without a word does not hold the writer for long
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
    """A connection in autocommit mode. psycopg.OperationalError if none can be had within the time allowed."""
    with _pool().connection() as connection:
        yield connection


def discard_lost() -> None:
    """Replace the connections that the server has closed: after a restart that is all of them."""
    _pool().check()


def close() -> None:
    """Give the connections back to the server; the next use opens new ones."""
    if _pool.cache_info().currsize:
        _pool().close()
        _pool.cache_clear()


# A connection must not be shared with a forked child, and the pool's threads do not live on in it.
os.register_at_fork(after_in_child=_pool.cache_clear)
