"""Runs pg_dump and pg_restore on our database with the right binaries and connection settings."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from django.db import connection
from psycopg.conninfo import make_conninfo

from usage_dashboard.pgserver import PROGRAMS

OF_DJANGO = ("cursor_factory", "context", "prepare_threshold", "client_encoding", "pool")


class ToolFailedError(Exception):
    """The program was not found, or ended with an error; the message is the program's own."""


def run_tool(name: str, *arguments: str, tools: Path | None = None) -> None:
    """Run one of PostgreSQL's programs on the database of the settings, from ``tools`` if that is given.

    The embedded server has its own programs. For another server the system's programs are used, because they speak TLS,
    which the embedded server's do not; they must not be older than the server.
    """
    connection.ensure_connection()  # Connecting starts the embedded server, which the program could not start itself.
    parameters = connection.get_connection_params()
    password = parameters.pop("password", None)
    where = make_conninfo(**{key: value for key, value in parameters.items() if key not in OF_DJANGO})
    environment = os.environ | ({"PGPASSWORD": password} if password else {})  # Everybody can see arguments.
    program = _find(name, tools)
    done = subprocess.run(
        [program, f"--dbname={where}", *arguments], env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise ToolFailedError(done.stderr.strip() or f"{program} ended with {done.returncode}.")


def tables_of_backup(file: Path, tools: Path | None = None) -> set[str]:
    """The names of the tables whose rows are in a backup, read without a database."""
    done = subprocess.run(
        [_find("pg_restore", tools), "--list", str(file)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ToolFailedError(done.stderr.strip() or f"pg_restore ended with {done.returncode}.")
    return set(re.findall(r"^\d+; \d+ \d+ TABLE DATA \S+ (\S+) ", done.stdout, re.MULTILINE))


def _find(name: str, tools: Path | None) -> str:
    if tools is None and connection.settings_dict["ENGINE"] == "usage_dashboard.postgresql":
        tools = PROGRAMS
    found = shutil.which(name, path=tools)
    if found is None:
        raise ToolFailedError(f"There is no {name} in {tools or 'the PATH'}. --tools names the directory that has it.")
    return found
