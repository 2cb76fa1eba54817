"""``manage.py demo``, run as a newcomer runs it, on a short history."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.places import open_directory
from tests.running_demo import EVENTS, ROOT, START_SECONDS, Demo, free_port, wait_until

FEWEST = 40
"""Right after midnight on a Monday: what the two days of a weekend have."""

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


FROM_THE_TERMINAL = "project_id IN (SELECT id FROM accounts_project WHERE slug = 'terminal') AND status = 'success'"

WITH_ONE_KEY = "(SELECT count(*) FROM accounts_apikey WHERE name = 'Terminal') = 1"


def pasted(line: str) -> dict[str, object]:
    """What a line prints that is pasted into a shell."""
    done = subprocess.run(["sh", "-c", line], check=True, capture_output=True, text=True, timeout=60)
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def var_dir() -> Iterator[Path]:
    with open_directory() as path:
        yield path


@pytest.fixture
def start(var_dir: Path) -> Iterator[Callable[..., Demo]]:
    """Starts demonstrations on the same data; kills what a failed test leaves."""
    demos: list[Demo] = []

    def start_one(port: int | None = None, elsewhere: Path | None = None) -> Demo:
        demos.append(Demo(elsewhere or var_dir, port or free_port()))
        return demos[-1]

    yield start_one
    for demo in demos:
        if demo.process.poll() is None:
            demo.send(signal.SIGTERM)


def test_a_newcomer_sees_live_priced_calls(start: Callable[..., Demo], var_dir: Path) -> None:
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

    assert "choices" in pasted(demo.first_call)
    wait_until(lambda: demo.count(FROM_THE_TERMINAL) == 1, 20)
    assert "terminal" in demo.browser_of("adam").open(demo.url("/requests/"), timeout=60).read().decode()

    subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=demo.environment, check=True, timeout=60)
    assert demo.count("session_id = 'plain-program' AND cost_usd > 0") == 1

    before = {path: path.stat() for path in [var_dir, *var_dir.glob("log/*"), *var_dir.glob("static/*")]}
    second = start()
    assert second.wait_for_exit() == 1
    assert f"is running already: {demo.url('/')} (process {demo.process.pid})" in second.said
    assert f"VAR_DIR=var/second make demo PORT={second.port + 1}" in second.said
    assert {path: path.stat().st_ino for path in before} == {path: found.st_ino for path, found in before.items()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in var_dir.glob("log/*")} == {0o640}

    with open_directory() as elsewhere:
        other = start(demo.port, elsewhere)
        assert other.wait_for_exit() == 1
    assert f"Port {demo.port} is taken by another program." in other.said
    assert f"make demo PORT={demo.port + 1}" in other.said
    assert len(other.said.splitlines()) == 1

    assert demo.send(signal.SIGINT) == 0, demo.said
    wait_until(lambda: demo.processes() == [], 30)


def test_a_second_run_adds_no_history(start: Callable[..., Demo]) -> None:
    demo = start()
    demo.wait_until_ready()
    assert "The history is there already" in demo.said
    assert "choices" in pasted(demo.first_call)
    wait_until(lambda: demo.count(f"{FROM_THE_TERMINAL} AND {WITH_ONE_KEY}") == 2, 20)
    assert FEWEST < demo.count("request_id LIKE 'demo-%'") <= EVENTS
    assert demo.send(signal.SIGTERM) == 0, demo.said
    wait_until(lambda: demo.processes() == [], 30)


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
    wait_until(lambda: demo.processes() == [], 30)


def test_ctrl_c_while_it_prepares(start: Callable[..., Demo]) -> None:
    demo = start()
    wait_until(lambda: "Preparing" in demo.said, START_SECONDS)
    assert demo.send(signal.SIGINT) == 0, demo.said
    assert "Traceback" not in demo.said
    wait_until(lambda: demo.processes() == [], 30)
