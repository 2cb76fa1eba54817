"""Processes that record over HTTP are killed at random moments: the next ones send their calls, each once.

``KILL_TRIALS=200`` does this more often. A failure prints the seed, and ``KILL_SEED=… KILL_TRIALS=…`` repeats it.
"""

import os
import random
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.models import Organization
from groq_client.events_door import REJECTS
from groq_client.simulator.server import SimulatorHandle, running_simulator
from ledger.models import UsageEvent
from tests.doomed import CALL, FAILED
from tests.groq_client.over_http.conftest import KEY
from tests.running_demo import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

TRIALS = int(os.environ.get("KILL_TRIALS", "3"))
SEED = int(os.environ.get("KILL_SEED", random.randrange(10**6)))


@pytest.fixture
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        handle.simulator.requests = deque()  # unlimited, so that all requests are kept
        yield handle


def test_whenever_a_client_is_killed_the_next_one_sends_its_calls_once(
    acme: Organization, ledger: str, key: str, simulator: SimulatorHandle, tmp_path: Path
) -> None:
    print(f"KILL_SEED={SEED} KILL_TRIALS={TRIALS}")  # noqa: T201 - pytest shows it where the test fails
    acknowledgements, directory = tmp_path / "acknowledged", tmp_path / "journal"
    environment = os.environ | {"GROQ_LEDGER_URL": ledger, "GROQ_LEDGER_KEY": KEY}
    arguments = [simulator.base_url, str(TRIALS), str(SEED), str(acknowledgements), str(directory)]
    subprocess.run(
        [sys.executable, "-m", "tests.groq_client.over_http.doomed_clients", *arguments],
        cwd=ROOT,
        env=environment,
        check=True,
        timeout=120 + 6 * TRIALS,
    )
    lines = acknowledgements.read_text().splitlines()
    assert not [line for line in lines if line.startswith(FAILED)]
    acknowledged, arrived = set(lines), {request.headers.get(CALL, "last") for request in simulator.requests}
    assert len(acknowledged) > TRIALS // 4  # otherwise there were too few calls to lose
    assert not (directory / REJECTS).exists()
    assert list(directory.iterdir()) == []
    assert UsageEvent.objects.exclude(organization=acme).count() == 0
    events = {event.request_id: event for event in UsageEvent.objects.all()}
    assert len(events) == UsageEvent.objects.count()
    assert acknowledged - events.keys() == set(), "acknowledged and lost"
    assert arrived - events.keys() == set(), "sent and not accounted for"
    assert all(events[name].status == "success" and not events[name].tokens_estimated for name in acknowledged)
    others = {(event.status, event.error_code) for name, event in events.items() if name not in acknowledged}
    assert others <= {("success", ""), ("error", "interrupted")}
    interrupted = sum(event.status == "error" for event in events.values())
    print(f"{len(events)} calls, {len(acknowledged)} acknowledged, {interrupted} interrupted")  # noqa: T201
