"""Emptying the database after a test that commits.

Django's flush truncates, which gives a new file to every table, partition and index, two hundred in all, and makes
content types and permissions again: half a second of both cores for a test whose rows can be counted on two hands.
"""

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.test import TransactionTestCase

from tests.cast import make_groups

FROM_MIGRATIONS = ("auth_group", "auth_group_permissions", "auth_permission", "django_content_type")
"""What the migrations wrote. It stays, unless a test changed it: then it is made anew."""
LARGE = 1_000_000
"""Bytes of a table, deleted rows included, from which it is truncated after all."""

_flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]
_made_by_migrations = ""


def remember_what_migrations_made() -> None:
    global _made_by_migrations
    with connection.cursor() as cursor:
        _made_by_migrations = _of_migrations(cursor)


def empty_quickly(test: TransactionTestCase) -> None:
    """In place of the teardown of Django's TransactionTestCase: every row goes but those of the migrations."""
    if not _emptied():
        _flush(test)
        make_groups()
        remember_what_migrations_made()


def _emptied() -> bool:
    """False if the database was left as it is, because more is to be done."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(names) - set(FROM_MIGRATIONS))
    with transaction.atomic(), connection.cursor() as cursor:
        # As TRUNCATE does it: whoever still writes, in another thread, is waited for, and his rows go as well.
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SELECT current_setting('is_superuser')")
        if cursor.fetchone() != ("on",) or _of_migrations(cursor) != _made_by_migrations:
            return False
        if _largest(cursor) > LARGE:
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
        else:
            # The triggers that protect prices and the audit log from a DELETE are put aside, as are foreign keys.
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
