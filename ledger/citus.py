"""The ledger on a Citus cluster: the tables that are distributed, and the statements that distribute them.

Events, the tail, rollups and sessions are distributed by organization and co-located, so that all rows of one
organization are on one node. All other tables stay on the coordinator: they are small, Django writes them, and those
for prices and the audit trail have triggers, which Citus supports on local tables only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg import Connection
from psycopg.errors import QueryCanceled

TABLES = ("ledger_usageevent", "ledger_tail", "ledger_rollup", "ledger_session")
"""The large tables. The others are co-located with the first, so that all rows of one organization are on one node."""
COLUMN = "organization_id"
FUNCTIONS = ("ledger_union(anyarray, anyarray)",)
"""The functions that statements on these tables call. Every node needs them."""

LOCAL_BYTES = """
SELECT pg_relation_size(large) + (SELECT coalesce(sum(pg_relation_size(relid)), 0) FROM pg_partition_tree(large))
FROM CAST(%s AS regclass) AS large
"""
"""The query for the number of bytes that a table and its partitions still have on the coordinator, from the time before
the table was distributed."""


class NotAClusterError(Exception):
    """The database cannot be distributed. The message says what is missing and what to do about it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A statement and its purpose."""

    purpose: str
    sql: str


def is_distributed(link: Connection[Any] | None = None) -> bool:
    """Whether the database uses Citus. A process asks only once, so restart it after you install Citus. ``link`` is the
    connection to ask on, by default Django's."""
    global _is_distributed
    if _is_distributed is None:
        _is_distributed = _has_citus(link) if link is not None else _asked_by_django()
    return _is_distributed


_is_distributed: bool | None = None


def _asked_by_django() -> bool:
    connection.ensure_connection()
    with connection.wrap_database_errors:
        # This avoids Django's cursor, so that it does not count as a query of the page that happens to need it.
        return _has_citus(connection.connection)


def _has_citus(link: Connection[Any]) -> bool:
    return link.execute("SELECT FROM pg_extension WHERE extname = 'citus'").fetchone() is not None


# This query makes one connection to each node, while citus_check_cluster_node_health() connects every node to every
# other. Disabled nodes are checked too, because their shards are just as unavailable.
ASK_NODES = """
SELECT nodename || ':' || nodeport FROM pg_dist_node
WHERE noderole = 'primary' AND citus_check_connection_to_node(nodename, nodeport) IS NOT TRUE
ORDER BY 1
"""


def silent_nodes(timeout_ms: int) -> list[str] | None:
    """The addresses of the nodes that the coordinator cannot reach; None if the check takes longer than
    ``timeout_ms``."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {timeout_ms:d}")
            cursor.execute(ASK_NODES)
            return [address for (address,) in cursor.fetchall()]
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            return None
        raise


def plan() -> list[Step]:
    """The steps that are still to be done in this database. NotAClusterError if it cannot be distributed."""
    _check()
    return list(_steps())


def run(step: Step) -> None:
    """Run one step in its own transaction. If a later step fails, run the command again to do the remaining steps."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET lock_timeout = 0")
        cursor.execute(step.sql)


def _steps() -> Iterator[Step]:
    for function in FUNCTIONS:
        yield Step(f"Every node knows {function}", f"SELECT create_distributed_function('{function}')")
    for table in TABLES:
        is_spread = _answer("SELECT count(*) FROM pg_dist_partition WHERE logicalrelid = %s::regclass", table)
        if not is_spread:
            place = "none" if table == TABLES[0] else TABLES[0]
            yield Step(
                f"{table} is spread over the nodes by {COLUMN}",
                f"SELECT create_distributed_table('{table}', '{COLUMN}', colocate_with => '{place}')",
            )
        if not is_spread or _answer(LOCAL_BYTES, table):
            yield Step(
                f"The coordinator's copy of the rows of {table} goes",
                f"SELECT truncate_local_data_after_distributing_table('{table}')",
            )


def _check() -> None:
    if not _answer("SELECT count(*) FROM pg_proc WHERE proname = 'create_distributed_table'"):
        if _answer("SELECT count(*) FROM pg_available_extensions WHERE name = 'citus'"):
            raise NotAClusterError("This database does not use Citus yet. As a superuser: CREATE EXTENSION citus;")
        raise NotAClusterError(
            "This server does not have the extension Citus. Install Citus 13 on every node, add it to"
            " shared_preload_libraries, restart, and CREATE EXTENSION citus in this database; docs/citus.md has the"
            " steps. Until then everything works on this one server."
        )
    if not _answer("SELECT count(*) FROM pg_dist_node WHERE isactive AND noderole = 'primary' AND shouldhaveshards"):
        raise NotAClusterError(
            "The cluster has no node that takes rows. On the coordinator: SELECT citus_set_coordinator_host('ADDRESS');"
            " and for each worker SELECT citus_add_node('ADDRESS', 5432);"
        )


def _answer(sql: str, *parameters: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.fetchone()[0])
