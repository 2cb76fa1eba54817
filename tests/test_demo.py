"""``manage.py demo``, run as a newcomer runs it, on a short history."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

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
