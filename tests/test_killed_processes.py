"""Processes are killed at random moments, while they call and while they record: no call is lost, none counted twice.

``make kill-trials`` does it 200 times. A failure prints the seed: ``KILL_SEED=… KILL_TRIALS=…`` repeats its moments,
as far as the machine is as fast.
"""

import os
import random
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from accounts.models import Organization
from analytics import settling
from analytics.cubes import CUBES
from analytics.models import Rollup, UsageEvent
from analytics.replay import replay_journals
from groq_client.simulator.server import SimulatorHandle, running_simulator
from tests.doomed import CALL, FAILED

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parent.parent
TRIALS = int(os.environ.get("KILL_TRIALS", "50"))
SEED = int(os.environ.get("KILL_SEED", random.randrange(10**6)))


@pytest.fixture
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        handle.simulator.requests = deque()  # all of them, however many
        yield handle


def kill(simulator: SimulatorHandle, directory: Path, acknowledged: Path) -> None:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings",
        "JOURNAL_DIR": str(directory),
        "TEST_DATABASE": str(connection.settings_dict["NAME"]),
    }
    command = [sys.executable, "-m", "tests.doomed", simulator.base_url, str(TRIALS), str(SEED), str(acknowledged)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=60 + 6 * TRIALS)


def test_whenever_a_process_is_killed_its_calls_are_recorded_once(
    acme: Organization, simulator: SimulatorHandle, tmp_path: Path, settings: Any
) -> None:
    print(f"KILL_SEED={SEED} KILL_TRIALS={TRIALS}")  # noqa: T201 - pytest shows it where the test fails
    settings.JOURNAL_DIR = directory = tmp_path / "journal"
    kill(simulator, directory, tmp_path / "acknowledged")
    lines = (tmp_path / "acknowledged").read_text().splitlines()
    acknowledged = {line for line in lines if not line.startswith(FAILED)}
    arrived = {request.headers[CALL] for request in simulator.requests}
    assert len(acknowledged) == len(lines), [line for line in lines if line.startswith(FAILED)][:3]
    assert len(acknowledged) > TRIALS / 2  # else there was nothing to lose
    assert len(arrived - acknowledged) > TRIALS / 2  # else nothing was cut off

    assert replay_journals().waiting == 0
    assert replay_journals().files == 0
    assert not (directory / settling.REFUSED).exists()

    strangers = UsageEvent.objects.exclude(organization=acme)
    assert list(strangers) == [], "recorded late by a process of another test"
    events = {event.request_id: event for event in UsageEvent.objects.all()}
    assert acknowledged - events.keys() == set(), "acknowledged and lost"
    assert arrived - events.keys() == set(), "sent and not accounted for"
    assert all(events[name].status == "success" and not events[name].tokens_estimated for name in acknowledged)
    for name in events.keys() - acknowledged:
        event = events[name]
        assert (event.status, event.error_code) in (("success", ""), ("error", "interrupted"))
        assert event.tokens_estimated == (event.status == "error")
        assert event.input_tokens > 0
    interrupted = sum(event.status == "error" for event in events.values())
    print(f"{len(events)} calls, {len(acknowledged)} acknowledged, {interrupted} interrupted")  # noqa: T201
    assert_sums(len(events), interrupted)


def assert_sums(requests: int, errors: int) -> None:
    """The rollups tell the same, in every cube."""
    assert (UsageEvent.objects.count(), UsageEvent.objects.filter(status="error").count()) == (requests, errors)
    failed = Coalesce(Sum("requests", filter=Q(status="error")), 0)
    sums = Rollup.objects.values("cube").annotate(all=Sum("requests"), failed=failed)
    assert {(row["all"], row["failed"]) for row in sums} == {(requests, errors)}
    assert len(sums) == len(CUBES)
