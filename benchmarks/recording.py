"""Measures recording: one call inline beside a bare insert of the same row, and bulk recording, folds included, beside
a plain COPY of such rows into the same table with its indexes. ``benchmarks.writers`` compares two checkouts."""

import json
import math
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

from django.db import connection
from psycopg import Connection, RawCursor

from benchmarks.generate import MODELS
from benchmarks.setup import milliseconds, report
from groq_client.call import Attribution, Call, RateLimit, Usage, new_request_id
from ledger.recording.event_row import COLUMNS
from ledger.recording.folding import fold_tail
from ledger.recording.pool import ledger_connection
from ledger.recording.record import _shares, record
from ledger.recording.shard_insert import EVENTS

COPY_EVENTS = f"COPY {EVENTS.table} ({', '.join(COLUMNS)}) FROM STDIN"
BATCH, BATCHES = 20_000, 3
"""The number of calls in a batch, and of batches that each writer records in a turn."""
ROUNDS, REPEAT = 5, 200
CALLERS, WRITERS_BATCH = 300, 500
A_DAY = 111_000
"""Events per day, as in the large ledger. The number decides how often a batch adds to the same sums."""
MESSAGES = 5
"""Messages in each conversation."""


def calls(number: int, seed: int = 1) -> list[Call]:
    """``number`` calls in order of time, as in an import."""
    return list(islice(endless_calls(seed), number))


def endless_calls(seed: int = 1) -> Iterator[Call]:
    dice = random.Random(seed)
    start = datetime.now(UTC) - timedelta(days=30)
    said: Counter[tuple[str, str]] = Counter()
    return (_call(dice, start + timedelta(days=n / A_DAY), said) for n in count())


def _call(dice: random.Random, at: datetime, said: Counter[tuple[str, str]]) -> Call:
    """A person's next message; ``said`` counts the earlier ones. As in the large ledger, a conversation has one
    project, expert and template, and one model for nine of ten messages."""
    organization = f"org-{min(49, int(dice.paretovariate(0.7)) - 1):02}"
    user = f"u{int(200 * dice.random() ** 1.6)}"
    session = f"session-{said[organization, user] // MESSAGES}"
    said[organization, user] += 1
    topic = random.Random(f"{organization} {user} {session}")
    usual_model = topic.choice(MODELS)
    model = usual_model if dice.random() < 0.9 else dice.choice(MODELS)
    tokens, answer = dice.randrange(50, 4000), dice.randrange(10, 900)
    return Call(
        "chat",
        model,
        stream=True,
        model=model,
        started_at=at,
        attribution=Attribution(
            organization=organization,
            project=f"p{topic.randrange(20)}",
            user=user,
            expert_id=f"expert-{topic.randrange(30)}",
            template_id=f"template-{topic.randrange(60)}",
            feature=topic.choice(("chat", "rag", "tools", "playground")),
            session_id=session,
        ),
        provider_request_id=f"req_{new_request_id()}",
        http_status=200,
        attempts=1,
        latency_ms=round(math.exp(5.0 + 2.8 * dice.random())),
        ttft_ms=90,
        service_tier="on_demand",
        usage=Usage(tokens, answer, tokens + answer, tokens // 4, queue_ms=1.5, prompt_ms=20.0, completion_ms=300.0),
        rate_limit=RateLimit(14_400, 14_370, 250_000, 249_000),
    )


def bare_insert(link: Connection[Any]) -> Callable[[], None]:
    """A function that does BEGIN, one prepared INSERT of an event's row, and COMMIT: the unit for inline recording."""
    (share,) = _shares(link, calls(1))
    (row,) = share.first.values()
    cursor = RawCursor(link)

    def insert() -> None:
        ((sql, values),) = EVENTS.statements([(row[0], new_request_id(), *row[2:])])
        with link.transaction():
            cursor.execute(sql, [None if value is None else value.decode() for value in values], prepare=True)

    insert()
    return insert


def bare_insert_ms(repeat: int = 400) -> list[float]:
    """The milliseconds of each of ``repeat`` bare inserts, sorted."""
    with ledger_connection() as link:
        return milliseconds(bare_insert(link), repeat)


def inline() -> tuple[float, list[float]]:
    """The median milliseconds of the bare insert, and the times of recording one call in multiples of it, sorted. Both
    are measured in turns, because the speed of a shared machine varies."""
    ready = iter(calls(ROUNDS * REPEAT + 20))
    for _ in range(20):
        record([next(ready)])
    units, ratios = [], []
    with ledger_connection() as link:
        insert = bare_insert(link)
        for _ in range(ROUNDS):
            units.append(statistics.median(milliseconds(insert, REPEAT)))
            ratios += [took / units[-1] for took in milliseconds(lambda: record([next(ready)]), REPEAT)]
    return statistics.median(units), sorted(ratios)


def bulk(writers: int) -> list[tuple[float, float]]:
    """Pairs of events per second: through ``writers`` concurrent writers until all is folded, and by plain COPY of
    similar rows into the same table. Both are measured in turns."""
    empty()
    made, speeds = endless_calls(), []
    record(list(islice(made, BATCH)))
    with ThreadPoolExecutor(writers) as pool:
        for _ in range(ROUNDS):
            batches = [list(islice(made, BATCH)) for _ in range(writers * BATCHES)]
            start = time.perf_counter()
            list(pool.map(record, batches))
            fold_tail(wait=True)  # the rest, since the folder's thread has moved most of it meanwhile
            ours = len(batches) * BATCH / (time.perf_counter() - start)
            speeds.append((ours, _copied_per_second()))
    return speeds


def _copied_per_second() -> float:
    """COPY as many rows as a batch has, made from the newest ones."""
    newest = f"SELECT {', '.join(COLUMNS)} FROM {EVENTS.table} ORDER BY id DESC LIMIT {BATCH}"
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY ({newest}) TO STDOUT") as lines:
            fresh = [_with_new_id(bytes(line)) for line in lines]
        start = time.perf_counter()
        with cursor.copy(COPY_EVENTS) as copy:
            copy.write(b"".join(fresh))
    return BATCH / (time.perf_counter() - start)


def _with_new_id(line: bytes) -> bytes:
    organization, _, rest = line.split(b"\t", 2)
    return b"\t".join((organization, new_request_id().encode(), rest))


def callers_wait() -> tuple[list[float], list[float]]:
    """The sorted milliseconds that a thread takes for a little work and a little waiting, first alone and then while
    another thread of the process records batches as the writer's thread does."""

    def turn() -> None:
        reader, writer = os.pipe()
        for n in range(20):
            os.write(writer, b"x")
            os.read(reader, 1)
            json.dumps({"n": list(range(50)), "of": n})
        os.close(reader)
        os.close(writer)

    alone = milliseconds(turn, CALLERS)
    made, is_over = iter(calls(CALLERS * WRITERS_BATCH)), threading.Event()

    def write() -> None:
        while not is_over.is_set():
            record(list(islice(made, WRITERS_BATCH)))

    thread = threading.Thread(target=write)
    thread.start()
    beside = milliseconds(turn, CALLERS)
    is_over.set()
    thread.join()
    return alone, beside


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ledger_usageevent, ledger_tail, ledger_session, ledger_rollup")


def run() -> None:
    bare, ratios = inline()
    report("A bare one-row INSERT … COMMIT", f"{bare:.2f} ms")
    report("Recording one call inline, p50", f"{statistics.median(ratios):.2f} × bare", "goal ≤ 1.5 ×")
    report("Recording one call inline, p99", f"{ratios[-len(ratios) // 100]:.2f} × bare")
    alone, beside = callers_wait()
    middle, late = len(alone) // 2, -len(alone) // 100
    report("A caller's thread while batches are recorded, p50", f"{alone[middle]:.2f} → {beside[middle]:.2f} ms")
    report("The same, p99", f"{alone[late]:.2f} → {beside[late]:.2f} ms")
    for writers, goal in ((1, 25), (2, 35)):
        speeds = bulk(writers)
        ours = statistics.median(ours for ours, _ in speeds)
        share = statistics.median(ours / plain for ours, plain in speeds)
        report(
            f"Bulk recording with folds, writers at once: {writers}",
            f"{ours:,.0f}/s = {share:.0%} of COPY",
            f"goal ≥ {goal} %",
        )
