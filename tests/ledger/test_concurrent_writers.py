"""Eight processes write and fold at once. Their batches differ in order, and repeat some calls of the others."""

import multiprocessing
import random
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier

import pytest

from accounts.models import Organization
from groq_client.call import Call
from ledger.models import Rollup, Session, UsageEvent
from ledger.recording.pool import ledger_connection
from ledger.recording.record import record
from ledger.rollups import fold
from ledger.rollups.cubes import CUBES
from tests.ledger.calls import call, usage
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import fold_now

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
    """All calls in random order, each once, in batches of different sizes."""
    left, batches = dice.sample(calls, len(calls)), []
    while left:
        size = dice.choice(BATCHES)
        batches.append(left[:size])
        left = left[size:]
    return batches


def write(batches: list[list[Call]], start: Barrier) -> None:
    start.wait()
    for n, batch in enumerate(batches):
        record(batch)
        if n % 5 == 0:
            with ledger_connection() as link:
                fold.fold(link)


def test_they_neither_deadlock_nor_lose_nor_count_twice(acme: Organization, globex: Organization) -> None:
    shared = made((acme, globex), SHARED)
    record(shared[:3])  # these calls are duplicates for all writers
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
    assert wrong_sums() == []
    fold_now()
    assert wrong_sums() == []
    for cube in CUBES:
        assert sum(Rollup.objects.filter(cube=cube.number).values_list("requests", flat=True)) == events
    assert sum(Session.objects.values_list("requests", flat=True)) == events
