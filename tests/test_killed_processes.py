"""Processes are killed at random moments, while they call, record and fold. No call is lost or counted twice.

``make kill-trials`` does this 200 times. A failure prints the seed, and ``KILL_SEED=… KILL_TRIALS=…`` repeats the same
moments, if the machine is as fast as before.
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
from groq_client.simulator.server import SimulatorHandle, running_simulator
from ledger.journal import dead_letters
from ledger.journal.replay import replay_journals
from ledger.models import Rollup, UsageEvent
from ledger.rollups.cubes import CUBES
from tests.doomed import CALL, FAILED
from tests.doomed_folds import EVENTS
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import fold_now

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parent.parent
TRIALS = int(os.environ.get("KILL_TRIALS", "50"))
SEED = int(os.environ.get("KILL_SEED", random.randrange(10**6)))


@pytest.fixture
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        handle.simulator.requests = deque()  # unlimited, so that all requests are kept
        yield handle


def kill(module: str, *arguments: str, directory: Path) -> str:
    """Run a module that kills processes. Returns what it prints."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "usage_dashboard.settings",
        "JOURNAL_DIR": str(directory),
        "TEST_DATABASE": str(connection.settings_dict["NAME"]),
    }
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, timeout=60 + 6 * TRIALS, stdout=subprocess.PIPE, text=True
    ).stdout


def test_whenever_a_process_is_killed_its_calls_are_recorded_once(
    acme: Organization, simulator: SimulatorHandle, tmp_path: Path, settings: Any
) -> None:
    print(f"KILL_SEED={SEED} KILL_TRIALS={TRIALS}")  # noqa: T201 - pytest shows it where the test fails
    settings.JOURNAL_DIR = directory = tmp_path / "journal"
    acknowledgements = str(tmp_path / "acknowledged")
    kill("tests.doomed", simulator.base_url, str(TRIALS), str(SEED), acknowledgements, directory=directory)
    lines = (tmp_path / "acknowledged").read_text().splitlines()
    acknowledged = {line for line in lines if not line.startswith(FAILED)}
    arrived = {request.headers[CALL] for request in simulator.requests}
    assert len(acknowledged) == len(lines), [line for line in lines if line.startswith(FAILED)][:3]
    assert len(acknowledged) > TRIALS / 2  # otherwise there were too few calls to lose
    assert len(arrived - acknowledged) > TRIALS / 2  # otherwise too few calls were interrupted

    assert replay_journals().waiting == 0
    assert replay_journals().files == 0
    assert not (directory / dead_letters.DEAD_LETTERS).exists()

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
    """Assert that the rollups of every cube add up to the events."""
    assert wrong_sums() == []
    fold_now()
    assert wrong_sums() == []
    assert (UsageEvent.objects.count(), UsageEvent.objects.filter(status="error").count()) == (requests, errors)
    failed = Coalesce(Sum("requests", filter=Q(status="error")), 0)
    sums = Rollup.objects.values("cube").annotate(all=Sum("requests"), failed=failed)
    assert {(row["all"], row["failed"]) for row in sums} == {(requests, errors)}
    assert len(sums) == len(CUBES)


def test_whenever_a_fold_is_cut_off_sums_are_those_of_the_events(
    acme: Organization, globex: Organization, tmp_path: Path
) -> None:
    """By turns the process is killed, or the server ends its connection. Another process records and folds meanwhile,
    and the processes' own folders do."""
    print(f"KILL_SEED={SEED} KILL_TRIALS={TRIALS}")  # noqa: T201 - pytest shows it where the test fails
    cut_off = int(kill("tests.doomed_folds", str(TRIALS), str(SEED), directory=tmp_path))
    print(f"{cut_off} of {TRIALS} folds were cut off")  # noqa: T201
    assert cut_off > TRIALS / 5  # otherwise too few folds were cut off
    assert UsageEvent.objects.count() >= TRIALS * EVENTS
    assert_sums(UsageEvent.objects.count(), 0)
