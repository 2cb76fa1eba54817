"""``manage.py restore FILE``: restores a backup into an empty database with pg_restore."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

from usage_dashboard.postgres_tools import ToolFailedError, run_tool, tables_of_backup

OLD_EVENTS = "analytics_usageevent"
"""The table of events in backups of the old layout, in which the ledger had no tables of its own."""
TO_BRING_OVER = (
    "Its tables have other names, and no migration moves them. To bring its events over: restore it with the release"
    " that wrote it, download the export of all time as JSON Lines there, and read that file here with"
    " `manage.py import_events`."
)


class Command(BaseCommand):
    help = (
        "Reads what `manage.py backup` wrote into the database of the settings, which has to be empty. "
        "All of it is there in the end, or nothing."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--tools", type=Path, metavar="DIR", help="where pg_restore is, if not in the usual place")

    def handle(self, *, file: Path, tools: Path | None, **options: Any) -> None:
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        try:
            tables = connection.introspection.table_names()
        except OperationalError as error:
            raise CommandError(f"The database {_name()} cannot be reached: {error}") from error
        if tables:
            raise CommandError(f"The database {_name()} is not empty: it has {len(tables)} tables. {_way_out()}")
        try:
            if OLD_EVENTS in tables_of_backup(file, tools):
                raise CommandError(f"{file} is a backup of an older layout. {TO_BRING_OVER}")
            run_tool(
                "pg_restore", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", str(file),
                tools=tools,
            )  # fmt: skip
        except ToolFailedError as error:
            raise CommandError(f"Nothing was restored: {error}") from error
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # The planner needs statistics of the new rows.
        self.stdout.write(f"Restored {_name()} from {file}. If this code is newer than the backup, migrate now.")


def _name() -> str:
    return str(connection.settings_dict["NAME"])


def _way_out() -> str:
    if connection.settings_dict["ENGINE"] == "usage_dashboard.postgresql":
        directory = settings.EMBEDDED_POSTGRES.data_dir
        return f"Stop all processes, move {directory} away and run this again: a new server is made in its place."
    return "Make a new one with createdb and let DATABASE_URL name it."
