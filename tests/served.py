"""The server that runs in production, in a process of its own, on the test database."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode

from django.db import connections

from tests.running_demo import ROOT, free_port, wait_until

START_SECONDS, STOP_SECONDS = 180, 60


@contextmanager
def served(
    application: str = "usage_dashboard.asgi:application",
    *,
    log: Path | None = None,
    arguments: Sequence[str] = (),
    **more: str,
) -> Iterator[str]:
    """Run gunicorn as in ``make demo``, with the given environment variables. Yields ``http://127.0.0.1:PORT`` when a
    worker answers: on a busy machine, that may be long after the port is open.

    ``log`` takes all that the server prints, and ``arguments`` are further ones of gunicorn's.
    """
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", application, "--worker-class", "asgi", "--workers", "2"]
    command += ["--bind", f"127.0.0.1:{port}", "--graceful-timeout", "3", "--no-control-socket", *arguments]
    environment = {**os.environ, "DATABASE_URL": database_url(), **more}
    output = log.open("wb") if log is not None else None
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        wait_until(lambda: _is_answering(port), START_SECONDS)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(STOP_SECONDS)
        if output is not None:
            output.close()


def database_url() -> str:
    """The URL of the test database, for another process."""
    parameters = connections["default"].get_connection_params()
    said = {name: parameters[name] for name in ("host", "port", "user", "password") if parameters.get(name)}
    return f"postgresql:///{parameters['dbname']}?{urlencode(said)}"


def _is_answering(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)) as probe:
        try:
            probe.request("GET", "/health/live/")
            return bool(probe.getresponse().status)
        except (OSError, HTTPException):  # nobody listens yet
            return False
