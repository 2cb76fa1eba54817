"""Emptying the database after a test that commits.

Django's flush truncates, which gives a new file to every table, partition and index, two hundred in all, and makes
content types and permissions again: half a second of both cores for a test whose rows can be counted on two hands.
"""

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.test import TransactionTestCase
from psycopg.errors import DeadlockDetected

from tests.cast import make_groups

FROM_MIGRATIONS = ("auth_group", "auth_group_permissions", "auth_permission", "django_content_type")
"""What the migrations wrote. It stays, unless a test changed it: then it is made anew."""
LARGE = 1_000_000
"""Bytes of a table, deleted rows included, from which it is truncated after all."""

ATTEMPTS = 5

_flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]
_made_by_migrations = ""


def remember_what_migrations_made() -> None:
    global _made_by_migrations
    with connection.cursor() as cursor:
        _made_by_migrations = _of_migrations(cursor)


def empty_quickly(test: TransactionTestCase) -> None:
    """Delete all rows except those of the migrations. This replaces the teardown of Django's TransactionTestCase."""
    if not _emptied_in_spite_of_servers():
        _flush(test)
        make_groups()
        remember_what_migrations_made()


def empty_after_servers() -> None:
    """Delete what a server of several tests wrote when it stopped, after the last of its tests was emptied."""
    assert _emptied_in_spite_of_servers()


def _emptied_in_spite_of_servers() -> bool:
    """``_emptied``, tried again after a deadlock with a server under test that records or folds at this moment."""
    for _ in range(ATTEMPTS):
        try:
            return _emptied()
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected):
                raise
    return _emptied()


def _emptied() -> bool:
    """Delete the rows. False, and no change, if a test changed rows of the migrations or the user is no superuser."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(names) - set(FROM_MIGRATIONS))
    with transaction.atomic(), connection.cursor() as cursor:
        # Like TRUNCATE, this lock waits for other threads that still write, so that their rows are deleted too.
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SELECT current_setting('is_superuser')")
        if cursor.fetchone() != ("on",) or _of_migrations(cursor) != _made_by_migrations:
            return False
        if _largest(cursor) > LARGE:
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
        else:
            # This setting turns off foreign keys, and the triggers that protect prices and the audit log from a DELETE.
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("; ".join(f"DELETE FROM {table}" for table in tables))
    return True


def _of_migrations(cursor: CursorWrapper) -> str:
    rows = " UNION ALL ".join(f"SELECT '{table} ' || t::text AS row FROM {table} t" for table in FROM_MIGRATIONS)
    cursor.execute(f"SELECT md5(string_agg(row, ',' ORDER BY row)) FROM ({rows}) rows")
    return str(cursor.fetchone()[0])


def _largest(cursor: CursorWrapper) -> int:
    cursor.execute(
        "SELECT max(pg_relation_size(oid)) FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT LIKE 'procrastinate%'"
    )
    return int(cursor.fetchone()[0])
