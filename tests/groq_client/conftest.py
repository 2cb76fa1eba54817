"""One simulator for all tests of the client, over a real socket, and a recorder that remembers."""

from collections.abc import Iterator

import pytest

from groq_client.simulator.server import SimulatorHandle, running_simulator
from tests.groq_client.memory import Memory


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
