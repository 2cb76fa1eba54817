"""A simulator of Groq over a real socket, and a ledger that really records."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization
from groq_client.simulator.server import SimulatorHandle, running_simulator
from pricing.models import Price
from tests.playground.asking import MODEL


@pytest.fixture(scope="package")
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


@pytest.fixture
def groq(simulator: SimulatorHandle, settings: Any) -> SimulatorHandle:
    """The simulator, as this server's Groq."""
    simulator.requests.clear()
    settings.GROQ_API_KEY, settings.GROQ_BASE_URL = "gsk_test_0123456789abcdef", simulator.base_url
    return simulator


@pytest.fixture(autouse=True)
def price(default_organization: Organization) -> Price:
    return Price.objects.create(
        model=MODEL, input_usd_per_1k_tokens=Decimal("0.000075"), output_usd_per_1k_tokens=Decimal("0.0003")
    )
