"""One simulator for all tests of the client, over a real socket, and a recorder that remembers."""

from collections.abc import Iterator
from pathlib import Path

import groq
import pytest

from groq_client.simulator.server import SimulatorHandle, running_simulator
from tests.groq_client.capabilities import CAN
from tests.groq_client.memory import Memory


def pytest_report_header() -> str:
    return f"groq {groq.__version__} in {Path(groq.__file__).parents[1]}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test is chosen if the SDK can do what it needs; on the newest SDK that is every test."""
    beyond = {item for item in items if not all(CAN[mark.args[0]] for mark in item.iter_markers("needs_sdk_to"))}
    config.hook.pytest_deselected(items=beyond)
    items[:] = [item for item in items if item not in beyond]


@pytest.fixture(scope="session")
def groq_server() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


@pytest.fixture
def sim(groq_server: SimulatorHandle) -> SimulatorHandle:
    groq_server.requests.clear()
    return groq_server


@pytest.fixture
def memory() -> Memory:
    return Memory()
