"""``manage.py demo`` in a process of its own, as a newcomer runs it, on a short history."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import psutil
import psycopg

from usage_dashboard.embedded_postgres import DATABASE, EmbeddedPostgres

ROOT = Path(__file__).parent.parent
EVENTS = 500
START_SECONDS = 180
STOP_SECONDS = 60
READY = "Ctrl-C stops everything."


class Demo:
    """A running demonstration and what it has printed so far."""

    def __init__(self, var_dir: Path, port: int, **environment: str) -> None:
        self.var_dir, self.port = var_dir, port
        unset = {"GROQ_API_KEY", "GROQ_BASE_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE", "JOURNAL_DIR"}
        self.environment = {name: value for name, value in os.environ.items() if name not in unset}
        self.environment |= {"VAR_DIR": str(var_dir), **environment}
        self.environment |= {"COMPRESS_STATIC": "0", "EMBEDDED_POSTGRES_SETTINGS": "fsync=off"}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", f"--port={port}", "--days=3", f"--events={EVENTS}"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line

    def wait_until_ready(self) -> None:
        wait_until(lambda: READY in self.said or self.process.poll() is not None, START_SECONDS)
        assert READY in self.said, self.said

    def wait_for_exit(self) -> int:
        status = self.process.wait(STOP_SECONDS)
        self._reader.join(5)
        return status

    def send(self, number: signal.Signals) -> int:
        """The exit status."""
        self.process.send_signal(number)
        return self.wait_for_exit()

    @property
    def logins(self) -> dict[str, str]:
        """Passwords by user name, as printed."""
        return dict(re.findall(r"^  (\w+) +(\S+) +(?:Super Admin|Admin|User) ", self.said, re.MULTILINE))

    @property
    def first_call(self) -> str:
        """The line that makes a call, as printed."""
        return re.findall(r"^curl .*$", self.said, re.MULTILINE)[0]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def browser_of(self, username: str) -> OpenerDirector:
        """A browser in which the person has signed in."""
        cookies = CookieJar()
        browser = build_opener(HTTPCookieProcessor(cookies))
        browser.open(self.url("/sign-in/"), timeout=30).read()
        token = next(cookie.value for cookie in cookies if cookie.name == "csrftoken")
        form = {"username": username, "password": self.logins[username], "csrfmiddlewaretoken": token}
        browser.open(self.url("/sign-in/"), urlencode(form).encode(), timeout=30).read()
        return browser

    def count(self, condition: str) -> int:
        host = str(EmbeddedPostgres(self.var_dir / "postgres").socket_dir)
        with psycopg.connect(host=host, user="postgres", dbname=DATABASE) as connection:
            row = connection.execute(f"SELECT count(*) FROM ledger_usageevent WHERE {condition}").fetchone()
        assert row is not None
        return int(row[0])

    def processes(self) -> list[str]:
        """The processes that use the demo's data: the server, workers, simulator, PostgreSQL and its watcher."""
        return [str(process) for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            is_zombie = process.status() == psutil.STATUS_ZOMBIE
            told = str(self.var_dir) in " ".join(process.cmdline())
            return not is_zombie and (told or process.environ().get("VAR_DIR") == str(self.var_dir))
        except psutil.Error:
            return False


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Ask again and again, at first after milliseconds: most conditions come true soon, and a test that sleeps on costs
    time. What takes long is asked ten times a second, since asking takes time from what is waited for."""
    begin, pause = time.monotonic(), 0.005
    while not condition():
        assert time.monotonic() < begin + seconds, "waited in vain"
        time.sleep(pause)
        pause = min(1.5 * pause, 0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
