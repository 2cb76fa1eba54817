"""How the ledger lies on a Citus cluster: which tables are spread over it, by what, and the statements that do it.

Events, rollups and sessions are distributed by organization and co-located, so that all that one organization has is on
one node. Everything else stays on the coordinator: it is small, it is what Django writes, and price and audit rows have
triggers, which Citus takes on local tables only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from django.db import connection

TABLES = ("analytics_usageevent", "analytics_rollup", "analytics_session")
"""The large ones; the others lie where the first one's rows do."""
COLUMN = "organization_id"
FUNCTIONS = ("analytics_union(anyarray, anyarray)",)
"""That statements on these tables call, so that every node needs them."""

LOCAL_BYTES = """
SELECT pg_relation_size(large) + (SELECT coalesce(sum(pg_relation_size(relid)), 0) FROM pg_partition_tree(large))
FROM CAST(%s AS regclass) AS large
"""
"""Of a table and its partitions on the coordinator itself: what was there before it was distributed."""


class NotAClusterError(Exception):
    """The message says what is missing and what to do about it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A statement, and what it is for."""

    purpose: str
    sql: str


@cache
def is_distributed() -> bool:
    """Whether the database uses Citus. Asked once in a process: nobody should install it under a running one."""
    connection.ensure_connection()
    # Not by Django's cursor, since it is none of the questions of whatever page is the first to need it.
    found = connection.connection.execute("SELECT count(*) FROM pg_extension WHERE extname = 'citus'").fetchone()
    return bool(found[0])


def plan() -> list[Step]:
    """What is still to be done in this database; nothing if it is done. NotAClusterError if it cannot be."""
    _check()
    return list(_steps())


def run(step: Step) -> None:
    """In a transaction of its own: what is done stays done, and the rest is done when the command is run again."""
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
