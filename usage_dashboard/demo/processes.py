"""The demonstration's child processes: the web server, the worker and the simulator. Each writes a log and ends with
the demonstration."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from django.conf import settings

START_SECONDS = 60
STOP_SECONDS = 8
LOG_LINES = 20


class ChildDiedError(Exception):
    """A child process ended by itself. The message has the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and its log file."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def check(self) -> None:
        """Raises ChildDiedError if the process has ended."""
        status = self.process.poll()
        if status is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            said = "\n".join(lines) or "(it said nothing)"
            raise ChildDiedError(
                f"The {self.name} has ended with status {status}. Its last words, from {self.log}:\n{said}"
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process and its own children."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def start_simulator() -> tuple[Child, str]:
    """Start the simulator on a free port; returns the child and its address."""
    child = _start("simulator", ["-m", "groq_client.simulator", "--port", "0"], {})
    addresses: list[str] = []

    def has_address() -> bool:
        addresses.extend(re.findall(r"http://\S+", child.log.read_text()))
        return bool(addresses)

    _wait_for(child, has_address)
    return child, addresses[0]


def start_web(port: int, environment: dict[str, str]) -> Child:
    """Start gunicorn and wait until it answers."""
    arguments = ["-m", "gunicorn", "usage_dashboard.asgi:application", "--worker-class", "asgi", "--workers", "2"]
    arguments += ["--bind", f"127.0.0.1:{port}", "--graceful-timeout", "3", "--no-control-socket"]
    child = _start("web server", arguments, environment)
    _wait_for(child, lambda: _answers(port))
    return child


def start_worker() -> Child:
    """Start the worker, which runs background jobs."""
    child = _start("worker", ["-m", "usage_dashboard", "worker"], {})
    _wait_for(child, lambda: bool(child.log.read_text()))
    return child


def stop(children: Sequence[Child]) -> None:
    """Ask all children to end, wait, and kill those that did not end."""
    for child in children:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, deadline - time.monotonic()))
    kill(children)  # This also ends processes that are left in the children's groups.
    for child in children:
        child.process.wait()


def kill(children: Sequence[Child]) -> None:
    for child in children:
        child.send(signal.SIGKILL)


def port_problem(port: int) -> str:
    """A sentence that says why this port of 127.0.0.1 cannot be used; "" if the port is free."""
    if not 0 < port < 65_536:
        return f"{port} is no port."
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return f"Port {port} is taken by another program."
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"Port {port} is taken by another program."
            return f"Port {port} cannot be used: {os.strerror(error.errno or 0)}."
    return ""


def _start(name: str, arguments: list[str], environment: dict[str, str]) -> Child:
    """Start a child in a process group of its own. Ctrl-C does not reach it, so that we end the children in order."""
    log = settings.VAR_DIR / "log" / f"{name.replace(' ', '-')}.log"
    log.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    log.unlink(missing_ok=True)  # A new file does not inherit the permissions of an older log.
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=settings.BASE_DIR,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Child(name, process, log)


def _wait_for(child: Child, is_ready: Callable[[], bool]) -> None:
    """Wait until the child is ready. Otherwise ends the child and raises ChildDiedError."""
    deadline = time.monotonic() + START_SECONDS
    try:
        while not is_ready():
            child.check()
            if time.monotonic() > deadline:
                raise ChildDiedError(f"The {child.name} did not start within {START_SECONDS} seconds; see {child.log}.")
            time.sleep(0.1)
    except BaseException:
        stop([child])
        raise


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/sign-in/")
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
