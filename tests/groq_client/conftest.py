"""One simulator for all tests of the client, over a real socket, and a recorder that remembers."""

from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from groq_client.simulator.server import SimulatorHandle, running_simulator
from tests.groq_client.memory import Memory


@pytest.fixture(scope="session", autouse=True)
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every new client reads all the certificates there are. Nothing here speaks TLS, so that one will do."""
    end = "-----END CERTIFICATE-----\n"
    first = Path(certifi.where()).read_text().partition(end)[0] + end
    path = tmp_path_factory.mktemp("tls") / "one.pem"
    path.write_text(first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


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
