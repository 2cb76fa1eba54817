"""Eight processes write to the same hot sums, each batch in another order and with a share of the others' calls."""

import multiprocessing
import random
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier

import pytest

from accounts.models import Organization
from analytics.cubes import CUBES
from analytics.models import Rollup, Session, UsageEvent
from analytics.recording import record
from groq_client.call import Call
from tests.analytics.calls import call, usage
from tests.analytics.test_sums import rollups_as_sql_sums_them, sessions_as_sql_sums_them

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES = 8
SHARED = 120
OWN = 60
BATCHES = (1, 7, 100)
"""Sizes: alone, together, and so many of one organization that they are copied."""


def made(organizations: Sequence[Organization], count: int) -> list[Call]:
    return [
        call(
            organization=organizations[n % len(organizations)].slug,
            project=f"p{n % 3}",
            user=f"u{n % 4}",
            session_id=f"s{n % 5}",
            latency_ms=10 * n,
            usage=usage(n, 2 * n),
        )
        for n in range(count)
    ]


def shuffled(calls: Sequence[Call], dice: random.Random) -> list[list[Call]]:
    """Each call once, in batches of all sizes."""
    left, batches = dice.sample(calls, len(calls)), []
    while left:
        size = dice.choice(BATCHES)
        batches.append(left[:size])
        left = left[size:]
    return batches


def write(batches: list[list[Call]], start: Barrier) -> None:
    start.wait()
    for batch in batches:
        record(batch)


def test_they_neither_deadlock_nor_lose_nor_count_twice(acme: Organization, globex: Organization) -> None:
    shared = made((acme, globex), SHARED)
    record(shared[:3])  # what everybody has is refused to everybody
    context = multiprocessing.get_context("fork")
    start = context.Barrier(PROCESSES)
    writers = []
    for number in range(PROCESSES):
        batches = shuffled(shared + made((acme, globex), OWN), random.Random(number))
        writers.append(context.Process(target=write, args=(batches, start), daemon=True))
        writers[-1].start()
    for writer in writers:
        writer.join(timeout=60)
    assert [writer.exitcode for writer in writers] == [0] * PROCESSES
    events = SHARED + PROCESSES * OWN
    assert UsageEvent.objects.count() == events
    for cube in CUBES:
        assert sum(Rollup.objects.filter(cube=cube.number).values_list("requests", flat=True)) == events
    assert sum(Session.objects.values_list("requests", flat=True)) == events
    assert list(Rollup.objects.order_by("pk").values_list()) == rollups_as_sql_sums_them()
    assert list(Session.objects.order_by("pk").values_list()) == sessions_as_sql_sums_them()
