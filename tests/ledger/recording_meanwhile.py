"""Writers that go on recording, and a thread that goes on folding, while something else is done to the ledger."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from accounts.models import Organization
from groq_client.call import Call
from ledger.recording.record import record
from ledger.rollups.fold import fold as fold_tail
from tests.cast import connect
from tests.ledger.calls import MODEL, NOON, call, usage

WRITERS = 3
PAUSE_SECONDS = 0.002
"""How long a writer rests after each batch, and once more for every few hundred calls that are written. Without that,
what is done to all calls of a ledger would never end on a busy machine, where more come than it gets done."""
CALLS_PER_PAUSE = 300


@contextmanager
def recording_meanwhile(
    organizations: Sequence[Organization], start: datetime = NOON, hours: int = 60
) -> Iterator[list[Call]]:
    """Record calls in threads and fold them in another until the block ends, and then raise the first error of a
    thread. The calls start at times over some hours. Yields the list of the calls, which is complete once the block has
    ended. What was not folded by then stays in the tail."""
    written: list[Call] = []
    failures: list[BaseException] = []
    ends = threading.Event()

    def write(seed: int) -> None:
        dice = random.Random(seed)
        try:
            while not ends.is_set():
                batch = [_call(dice, dice.choice(organizations), start, hours) for _ in range(dice.choice((1, 1, 7)))]
                record(batch)
                written.extend(batch)
                ends.wait(PAUSE_SECONDS * (1 + len(written) // CALLS_PER_PAUSE))
        except BaseException as error:
            failures.append(error)

    def fold() -> None:
        try:
            with connect() as connection:  # a connection without time limits, which a busy machine could exceed
                while not ends.wait(0.003):
                    fold_tail(connection)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(WRITERS)] + [
        threading.Thread(target=fold)
    ]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert failures == []


def _call(dice: random.Random, organization: Organization, start: datetime, hours: int) -> Call:
    return call(
        dice.choice((MODEL, "unpriced")),
        organization=organization.slug,
        at=start + timedelta(minutes=dice.randrange(60 * hours)),
        user=dice.choice(("", "ann", "ben")),
        session_id=dice.choice(("", "one", "two", "three")),
        latency_ms=dice.randrange(1, 3_000),
        usage=usage(dice.randrange(1, 5_000), dice.randrange(500)),
    )
