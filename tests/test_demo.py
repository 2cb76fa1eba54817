"""``manage.py demo``, run as a newcomer runs it, on a short history."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import psutil
import psycopg
import pytest

from usage_dashboard.embedded_postgres import DATABASE, EmbeddedPostgres

ROOT = Path(__file__).parent.parent
EVENTS = 500
FEWEST = 40
"""Right after midnight on a Monday: what the two days of a weekend have."""
START_SECONDS = 180
STOP_SECONDS = 60
READY = "Ctrl-C stops everything."

# As in the README: a program that is no Django project.
PROGRAM = """
import usage_dashboard

usage_dashboard.connect()

from groq_client import Groq
from groq_client.simulator.server import running_simulator

with running_simulator() as simulator:
    client = Groq(api_key="test", base_url=simulator.base_url, organization="acme-robotics", session="plain-program")
    client.chat.completions.create(model="openai/gpt-oss-20b", messages=[{"role": "user", "content": "Hello"}])
"""


class Demo:
    """A running demonstration and what it has printed so far."""

    def __init__(self, var_dir: Path, port: int) -> None:
        self.var_dir, self.port = var_dir, port
        unset = {"GROQ_API_KEY", "GROQ_BASE_URL", "DATABASE_URL", "DJANGO_SETTINGS_MODULE"}
        self.environment = {name: value for name, value in os.environ.items() if name not in unset}
        self.environment["VAR_DIR"] = str(var_dir)
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
            row = connection.execute(f"SELECT count(*) FROM analytics_usageevent WHERE {condition}").fetchone()
        assert row is not None
        return int(row[0])

    def processes(self) -> list[str]:
        """What runs with these data: the server, its workers, the simulator, PostgreSQL, its watcher."""
        return [str(process) for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            is_zombie = process.status() == psutil.STATUS_ZOMBIE
            told = str(self.var_dir) in " ".join(process.cmdline())
            return not is_zombie and (told or process.environ().get("VAR_DIR") == str(self.var_dir))
        except psutil.Error:
            return False


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def var_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="usage-demo-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture
def start(var_dir: Path) -> Iterator[Callable[..., Demo]]:
    """Starts demonstrations on the same data; kills what a failed test leaves."""
    demos: list[Demo] = []

    def start_one(port: int | None = None) -> Demo:
        demos.append(Demo(var_dir, port or free_port()))
        return demos[-1]

    yield start_one
    for demo in demos:
        if demo.process.poll() is None:
            demo.send(signal.SIGTERM)


def test_a_newcomer_sees_live_priced_calls(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.wait_until_ready()
    assert demo.url("/") in demo.said
    assert len(demo.logins) == 5

    page = demo.browser_of("sara").open(demo.url("/"), timeout=60).read().decode()
    assert "Total Cost" in page
    assert "Acme Robotics" in page
    assert "Globex Media" in page

    assert FEWEST < demo.count("request_id LIKE 'demo-%'") <= EVENTS
    live = "request_id NOT LIKE 'demo-%'"
    before = demo.count(live)
    wait_until(lambda: demo.count(f"{live} AND cost_usd > 0") > before + 3, 60)

    subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=demo.environment, check=True, timeout=60)
    assert demo.count("session_id = 'plain-program' AND cost_usd > 0") == 1

    other = start(demo.port)
    assert other.wait_for_exit() == 1
    assert f"Port {demo.port} is taken by another program." in other.said
    assert f"make demo PORT={demo.port + 1}" in other.said
    assert len(other.said.splitlines()) == 1

    assert demo.send(signal.SIGINT) == 0, demo.said
    assert demo.processes() == []


def test_a_second_run_adds_no_history(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.wait_until_ready()
    assert "The history is there already" in demo.said
    assert FEWEST < demo.count("request_id LIKE 'demo-%'") <= EVENTS
    assert demo.send(signal.SIGTERM) == 0, demo.said
    assert demo.processes() == []


def test_a_child_that_dies_ends_it_with_its_last_words(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.wait_until_ready()
    (simulator,) = (
        child for child in psutil.Process(demo.process.pid).children() if "groq_client.simulator" in child.cmdline()
    )
    simulator.kill()
    assert demo.wait_for_exit() == 1
    assert "The simulator has ended with status -9." in demo.said
    assert "The Groq simulator listens on" in demo.said
    assert demo.processes() == []


def test_ctrl_c_while_it_prepares(start: Callable[..., Demo]) -> None:
    demo = start()
    wait_until(lambda: "Preparing" in demo.said, START_SECONDS)
    assert demo.send(signal.SIGINT) == 0, demo.said
    assert "Traceback" not in demo.said
    assert demo.processes() == []
