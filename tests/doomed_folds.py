"""Processes that are cut off during a fold: ``python -m tests.doomed_folds TRIALS SEED``.

For each trial, a child is forked that records calls and folds. At a random moment of the fold the child is killed, or
the server ends its connections. Another process records and folds at the same time. The number of folds that were cut
off is printed.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groq_client.call import Call

EVENTS = 60
BEGINS, ENDED = b"b", b"e"
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"


def main() -> None:
    import django

    django.setup()
    from django.db import connections

    connections["default"].settings_dict["NAME"] = os.environ["TEST_DATABASE"]
    from tests.cast import connect

    trials, dice = int(sys.argv[1]), random.Random(int(sys.argv[2]))
    duration = sorted(a_fold(dice)[1] for _ in range(5))[2]
    other = forked(record_and_fold_for_ever)
    cut_off = 0
    with connect() as link:
        ways = kill, lambda child: link.execute(CUT, [name_of(child)])
        for trial in range(trials):
            was_cut_off, _ = a_fold(dice, dice.random() * duration, by=ways[trial % 2])
            cut_off += was_cut_off
    kill(other)
    os.waitpid(other, 0)
    print(cut_off)  # noqa: T201


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def forked(work: Callable[[], None]) -> int:
    """The id of a child that does the work, and ends."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return child


def a_fold(
    dice: random.Random, moment: float | None = None, *, by: Callable[[int], object] = kill
) -> tuple[bool, float]:
    """Fork a child that folds, and cut it off ``moment`` seconds after the beginning of its fold. Returns whether the
    fold was cut off, and how long it has run."""
    reading, writing = os.pipe()
    seed = dice.randrange(10**9)
    child = forked(lambda: record_and_fold(seed, lambda word: os.write(writing, word)))
    os.close(writing)
    assert os.read(reading, 1) == BEGINS
    start = time.monotonic()
    if moment is not None:
        time.sleep(moment)
        by(child)
    is_whole = os.read(reading, 1) == ENDED
    took = time.monotonic() - start
    os.close(reading)
    os.waitpid(child, 0)
    return not is_whole, took


def name_of(process: int) -> str:
    return f"doomed {process}"


def record_and_fold(seed: int, say: Callable[[bytes], object]) -> None:
    from ledger.recording.pool import ledger_connection
    from ledger.recording.record import record
    from ledger.rollups import fold

    record(calls(random.Random(seed)))
    with ledger_connection() as link:
        link.execute("SELECT set_config('application_name', %s, false)", [name_of(os.getpid())])
        say(BEGINS)
        fold.fold(link, wait=True)
        say(ENDED)


def record_and_fold_for_ever() -> None:
    """A fold is cut off in other processes, while this one does not stop."""
    dice = random.Random(0)
    while True:
        record_and_fold(dice.randrange(10**9), lambda _: None)
        time.sleep(0.05)


def calls(dice: random.Random) -> "list[Call]":
    from tests.ledger.calls import call

    return [
        call(
            organization=dice.choice(("acme", "globex")),
            project=f"p{dice.randrange(2)}",
            user=f"u{dice.randrange(3)}",
            session_id=f"s{dice.randrange(9)}",
            latency_ms=dice.randrange(9_000),
        )
        for _ in range(EVENTS)
    ]


if __name__ == "__main__":
    main()
