"""A simulator of Groq over a real socket, and a ledger that really records."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization
from groq_client.simulator.server import SimulatorHandle, running_simulator
from pricing.models import Price
from tests.playground.asking import FAULTS, MODEL


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
    """The usual model's price. The models that stand for faults of the simulator have one too, since only models with a
    price are offered."""
    rates = {"input_usd_per_1k_tokens": Decimal("0.000075"), "output_usd_per_1k_tokens": Decimal("0.0003")}
    for fault in FAULTS:
        Price.objects.create(model=f"sim/{fault}", **rates)
    return Price.objects.create(model=MODEL, **rates)
