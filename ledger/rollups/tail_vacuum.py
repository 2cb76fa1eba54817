"""The vacuum of the tail. Rows of the tail live for about a second, so dead rows come faster than autovacuum removes
them: it looks at a table once a minute."""

from typing import Any

from psycopg import Connection

DEAD_ROWS = 20_000
"""The number of dead rows from which the tail is vacuumed."""
REST_SECONDS = 10
"""The pause after a vacuum. While an old snapshot is open, for example that of a long export, dead rows cannot be
removed, and without a pause every fold would try."""
LIMIT_SECONDS = 60

IS_NEEDED = """
SELECT pg_stat_get_dead_tuples(tail) >= %s
   AND coalesce(greatest(pg_stat_get_last_vacuum_time(tail), pg_stat_get_last_autovacuum_time(tail))
                < clock_timestamp() - make_interval(secs => %s), true)
FROM CAST('ledger_tail' AS regclass) AS tail
"""
VACUUM = "VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF) ledger_tail"


def vacuum_if_needed(connection: Connection[Any]) -> None:
    """Vacuum the tail if it has many dead rows. ``connection`` is in autocommit mode.

    Nothing happens if it is being vacuumed already. If the role may not vacuum the table, PostgreSQL only logs a
    warning, and autovacuum has to do.
    """
    if connection.execute(IS_NEEDED, [DEAD_ROWS, REST_SECONDS]).fetchone() == (True,):
        connection.execute(f"SET statement_timeout = '{LIMIT_SECONDS}s'")
        try:
            connection.execute(VACUUM)
        finally:
            if not connection.closed:
                connection.execute("RESET statement_timeout")
