"""``manage.py backup FILE``: writes the database into one file with pg_dump."""

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from usage_dashboard.postgres_tools import ToolFailedError, run_tool

NO_EXTENSIONS = "--extension=plpgsql"
"""The option that leaves out all extensions except plpgsql, which every database has. The ledger needs none, and a
server without Citus could not restore a backup that has Citus."""


class Command(BaseCommand):
    help = (
        "Writes the whole database as it is at this moment into FILE, which `manage.py restore` and pg_restore read. "
        "Recording and pages go on meanwhile. Secret key and journal are files of their own: docs/operations.md."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--tools", type=Path, metavar="DIR", help="where pg_dump is, if not in the usual place")

    def handle(self, *, file: Path, tools: Path | None, **options: Any) -> None:
        if not file.parent.is_dir():
            raise CommandError(f"There is no directory {file.parent}. Make it first: mkdir -p {file.parent}")
        unfinished = file.with_name(f"{file.name}.unfinished")  # An incomplete backup must not look complete.
        try:
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            run_tool("pg_dump", "--format=custom", f"--file={unfinished}", NO_EXTENSIONS, tools=tools)
            unfinished.replace(file)
        except (ToolFailedError, OperationalError, OSError) as error:
            raise CommandError(str(error)) from error
        finally:
            unfinished.unlink(missing_ok=True)
        self.stdout.write(f"Wrote {file}, {file.stat().st_size:,} bytes.")
