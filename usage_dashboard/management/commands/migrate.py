"""``manage.py migrate``: Django's own, but one that recording does not notice (docs/upgrading.md).

A statement that changes a table waits for those who read it, and all who come later wait behind that statement. So it
gives up after MIGRATE_LOCK_MS, lets the others pass, and tries again.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.errors import LockNotAvailable

PAUSE_SECONDS = 1.0
"""Between two attempts: those who waited behind the last one are served meanwhile."""
TOO_LONG = (
    "Somebody held a lock for {} seconds. What was migrated stays, and running this again goes on from there."
    " SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start shows who it may be."
    " MIGRATE_PATIENCE_SECONDS says how long to wait."
)


class Command(migrate.Command):
    def handle(self, *labels: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        deadline = time.monotonic() + settings.MIGRATE_PATIENCE_SECONDS
        while not self._is_done(connection, *labels, **options):
            if time.monotonic() > deadline:
                raise CommandError(TOO_LONG.format(settings.MIGRATE_PATIENCE_SECONDS))
            self.stdout.write("Somebody uses a table that is to be changed. Trying again.")
            self.stdout.flush()
            time.sleep(PAUSE_SECONDS)

    def _is_done(self, connection: BaseDatabaseWrapper, *labels: Any, **options: Any) -> bool:
        """Migrate; False if a lock was not to be had in time. Each migration is done whole or not at all."""
        try:
            with _giving_up_soon(connection):
                super().handle(*labels, **options)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            return False
        return True


@contextmanager
def _giving_up_soon(connection: BaseDatabaseWrapper) -> Iterator[None]:
    _wait_at_most(connection, f"{settings.MIGRATE_LOCK_MS}ms")
    try:
        yield
    finally:
        if connection.is_usable():
            _wait_at_most(connection, "0")


def _wait_at_most(connection: BaseDatabaseWrapper, time_out: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [time_out])
