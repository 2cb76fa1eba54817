"""One gateway for all tests of a module: gunicorn as in production, with the simulator as its Groq."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings

from accounts.models import ApiKey, Organization
from groq_client.simulator.server import SimulatorHandle, running_simulator
from tests.gateway.doors import PROVIDER_KEY_SECRET, Door, make_key
from tests.gateway.tap import Tap, tapped
from tests.served import served


@pytest.fixture(scope="session")
def groq_server() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


@pytest.fixture(scope="module")
def address(django_db_setup: None, django_db_blocker: Any, groq_server: SimulatorHandle) -> Iterator[str]:
    (django_settings.JOURNAL_DIR / "gateway.limits").unlink(missing_ok=True)  # An earlier run had keys of the same ids.
    settings = {"GROQ_API_KEY": "gsk_of_the_server", "GROQ_BASE_URL": groq_server.base_url}
    settings |= {"GATEWAY_FORWARD_HEADERS": "x-sim-*", "PROVIDER_KEY_SECRET": PROVIDER_KEY_SECRET}
    with django_db_blocker.unblock(), served(**settings) as address:
        yield address


@pytest.fixture
def key(address: str, acme: Organization) -> ApiKey:
    """The key with the secret CALL, which every worker of the gateway knows already."""
    return make_key(acme)


@pytest.fixture
def door(address: str, groq_server: SimulatorHandle, key: ApiKey) -> Iterator[Door]:
    """The gateway with a key of Acme. What was asked is recorded before the database is emptied."""
    groq_server.requests.clear()
    door = Door(address, groq_server)
    yield door
    door.settle()


@pytest.fixture
def tap(door: Door) -> Iterator[Tap]:
    """A relay in front of the gateway, for clients whose answers are compared with the simulator's own."""
    with tapped(door.address) as tap:
        yield tap
