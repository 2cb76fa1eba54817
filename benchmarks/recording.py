"""What recording costs: one call inline, against a bare insert of the same row; in bulk, against a plain COPY of the
same rows into the same table with its indexes."""

import json
import math
import os
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection
from psycopg import Connection, RawCursor

from analytics.ledger_pool import ledger_connection
from analytics.recording import COPY_EVENTS, EVENTS, _rows, record
from analytics.rows import COLUMNS
from benchmarks.generate import MODELS
from benchmarks.setup import milliseconds, report
from groq_client.call import Attribution, Call, RateLimit, Usage, new_request_id

BATCH = 20_000
ROUNDS, REPEAT = 5, 200
CALLERS, WRITERS_BATCH = 300, 500
A_DAY = 111_000
"""Events of a day, as in the large ledger: how often a batch meets the same sums again depends on it."""
MESSAGES = 5
"""Of a conversation."""


def calls(count: int, seed: int = 1) -> list[Call]:
    """Calls in the order of their time, as an import brings them."""
    dice = random.Random(seed)
    start = datetime.now(UTC) - timedelta(days=30)
    said: Counter[tuple[str, str]] = Counter()
    return [_call(dice, start + timedelta(days=n / A_DAY), said) for n in range(count)]


def _call(dice: random.Random, at: datetime, said: Counter[tuple[str, str]]) -> Call:
    """Somebody's next message; ``said`` counts those before. A conversation is about one thing, as in the large ledger:
    one project, expert and template, and one model for nine messages of ten."""
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
    """BEGIN, one prepared INSERT of an event's row, COMMIT: the unit that inline recording is measured in."""
    (rows,) = _rows(link, calls(1)).values()
    (row,) = rows.values()
    cursor = RawCursor(link)

    def insert() -> None:
        ((sql, values),) = EVENTS.statements([(row[0], new_request_id(), *row[2:])])
        with link.transaction():
            cursor.execute(sql, [None if value is None else value.decode() for value in values], prepare=True)

    insert()
    return insert


def bare_insert_ms(repeat: int = 400) -> list[float]:
    """Sorted."""
    with ledger_connection() as link:
        return milliseconds(bare_insert(link), repeat)


def inline() -> tuple[float, list[float]]:
    """Milliseconds of the bare insert, the median; and those of ``record`` of one call in multiples of it, sorted. In
    turns, since a shared machine is now fast, now slow."""
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
    """Events per second through so many writers at once, and by plain COPY of as many like them into the same table, in
    turns."""
    step = writers + 1
    made = calls(ROUNDS * step * BATCH)
    batches = [made[at : at + BATCH] for at in range(0, len(made), BATCH)]
    empty()
    for batch in batches:
        record(batch)
    lines = _copied_out()
    empty()
    speeds = []
    with ThreadPoolExecutor(writers) as pool:
        for n in range(0, len(batches), step):
            start = time.perf_counter()
            list(pool.map(record, batches[n : n + writers]))
            ours = writers * BATCH / (time.perf_counter() - start)
            start = time.perf_counter()
            with connection.cursor() as cursor, cursor.copy(COPY_EVENTS) as copy:
                copy.write(b"".join(lines[(n + writers) * BATCH : (n + step) * BATCH]))
            speeds.append((ours, BATCH / (time.perf_counter() - start)))
    return speeds


def callers_wait() -> tuple[list[float], list[float]]:
    """Milliseconds that a thread of the same process takes for a little work and a little waiting, alone and while
    another thread records batches as the writer's thread does. Sorted."""

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


def _copied_out() -> list[bytes]:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY (SELECT {', '.join(COLUMNS)} FROM {EVENTS.table} ORDER BY id) TO STDOUT") as lines,
    ):
        return [bytes(line) for line in lines]


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE analytics_usageevent, analytics_session, analytics_rollup")


def run() -> None:
    bare, ratios = inline()
    report("A bare one-row INSERT … COMMIT", f"{bare:.2f} ms")
    report("Recording one call inline, p50", f"{statistics.median(ratios):.2f} × bare", "goal ≤ 1.5 ×")
    report("Recording one call inline, p99", f"{ratios[-len(ratios) // 100]:.2f} × bare")
    alone, beside = callers_wait()
    middle, late = len(alone) // 2, -len(alone) // 100
    report("A caller's thread while batches are recorded, p50", f"{alone[middle]:.2f} → {beside[middle]:.2f} ms")
    report("The same, p99", f"{alone[late]:.2f} → {beside[late]:.2f} ms")
    for writers in (1, 2):
        speeds = bulk(writers)
        ours = statistics.median(ours for ours, _ in speeds)
        share = statistics.median(ours / plain for ours, plain in speeds)
        report(f"Bulk recording, writers at once: {writers}", f"{ours:,.0f}/s = {share:.0%} of COPY", "goal ≥ 40 %")
