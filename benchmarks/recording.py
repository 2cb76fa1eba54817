"""What recording costs: one call inline, against a bare insert of the same row; in bulk, against a plain COPY of the
same rows into the same table with its indexes."""

import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from django.db import connection
from psycopg import RawCursor

from analytics.ledger_pool import ledger_connection
from analytics.recording import EVENTS, _rows, record
from analytics.rows import COLUMNS
from benchmarks.generate import MODELS
from benchmarks.setup import milliseconds, report
from groq_client.call import Attribution, Call, RateLimit, Usage, new_request_id

BATCH = 20_000
BULK_EVENTS = 100_000
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
    """Somebody's next message; ``said`` counts those before."""
    organization = f"org-{min(49, int(dice.paretovariate(0.7)) - 1):02}"
    user = f"u{int(200 * dice.random() ** 1.6)}"
    said[organization, user] += 1
    model = dice.choice(MODELS)
    tokens, answer = dice.randrange(50, 4000), dice.randrange(10, 900)
    return Call(
        "chat",
        model,
        stream=True,
        model=model,
        started_at=at,
        attribution=Attribution(
            organization=organization,
            project=f"p{dice.randrange(20)}",
            user=user,
            expert_id=f"expert-{dice.randrange(30)}",
            template_id=f"template-{dice.randrange(60)}",
            feature="chat",
            session_id=f"session-{said[organization, user] // MESSAGES}",
        ),
        provider_request_id=f"req_{new_request_id()}",
        http_status=200,
        attempts=1,
        latency_ms=dice.randrange(100, 8000),
        ttft_ms=90,
        service_tier="on_demand",
        usage=Usage(tokens, answer, tokens + answer, tokens // 4, queue_ms=1.5, prompt_ms=20.0, completion_ms=300.0),
        rate_limit=RateLimit(14_400, 14_370, 250_000, 249_000),
    )


def bare_insert_ms(repeat: int = 400) -> list[float]:
    """BEGIN, one prepared INSERT of an event's row, COMMIT: the unit that inline recording is measured in. Sorted."""
    with ledger_connection() as link, RawCursor(link) as cursor:
        (rows,) = _rows(link, calls(1)).values()
        (row,) = rows.values()

        def insert() -> None:
            ((sql, values),) = EVENTS.statements([(row[0], new_request_id(), *row[2:])])
            with link.transaction():
                cursor.execute(sql, [None if value is None else value.decode() for value in values], prepare=True)

        insert()
        return milliseconds(insert, repeat)


def inline_ms(repeat: int = 400) -> list[float]:
    """``record`` of one call. Sorted."""
    ready = iter(calls(repeat + 20))
    for _ in range(20):
        record([next(ready)])
    return milliseconds(lambda: record([next(ready)]), repeat)


def bulk_events_per_second() -> tuple[float, float]:
    """Through the writer, and by plain COPY of the same rows."""
    empty()
    made = calls(BULK_EVENTS)
    start = time.perf_counter()
    for at in range(0, BULK_EVENTS, BATCH):
        record(made[at : at + BATCH])
    ours = BULK_EVENTS / (time.perf_counter() - start)
    lines = _copied_out()
    empty()
    start = time.perf_counter()
    with connection.cursor() as cursor:
        for at in range(0, BULK_EVENTS, BATCH):
            with cursor.copy(f"COPY analytics_usageevent ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                copy.write(b"".join(lines[at : at + BATCH]))
    return ours, BULK_EVENTS / (time.perf_counter() - start)


def _copied_out() -> list[bytes]:
    with connection.cursor() as cursor, cursor.copy(f"COPY analytics_usageevent ({', '.join(COLUMNS)}) TO STDOUT") as c:
        return [bytes(line) for line in c]


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE analytics_usageevent, analytics_session, analytics_rollup")


def run() -> None:
    bare, inline = bare_insert_ms(), inline_ms()
    middle = len(bare) // 2
    report("A bare one-row INSERT … COMMIT", f"{bare[middle]:.2f} ms")
    report("Recording one call inline, p50", f"{inline[middle] / bare[middle]:.2f} × bare")
    report("Recording one call inline, p99", f"{inline[-len(inline) // 100] / bare[middle]:.2f} × bare")
    ours, plain = bulk_events_per_second()
    report("Bulk recording", f"{ours:,.0f}/s = {ours / plain:.0%} of COPY", "goal ≥ 25 %")
