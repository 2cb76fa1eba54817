"""Measures recording that goes on for minutes: groups of 50 events of 20 organizations as they come in, with folds, and
a page that another process reads every second.

``python -m benchmarks sustained --minutes 5``. It prints the events per second, how old and how long the tail got, how
many dead rows it had, and the times of the pages.
"""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from django.db import connection

from benchmarks.recording import calls, empty
from benchmarks.setup import report
from groq_client.call import Call, new_request_id
from ledger.recording.record import record

ORGANIZATIONS, GROUP = 20, 50
OFFERED = 3_300
"""Events per second that arrive; the goal is 3,000."""
PATTERN = 50_000
"""Different calls. When they have been recorded, they come again with other ids and in other sessions."""

# Runs in a process of its own, as a server does: the Super Admin's Overview of 30 days each second.
READER = """
import json, sys, time
sys.path.insert(0, ".")
from benchmarks.setup import prepare
prepare()
from django.conf import settings
from django.test import Client
from accounts.models import User
root, _ = User.objects.get_or_create(username="bench-root", handle="bench-root", is_superuser=True)
client = Client()
client.force_login(root, backend=settings.AUTHENTICATION_BACKENDS[-1])
client.get("/")
print("ready", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    assert client.get("/?range=30d").status_code == 200
    print(json.dumps((time.perf_counter() - start) * 1000), flush=True)
"""

TAIL = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8,
       (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'ledger_tail'),
       pg_total_relation_size('ledger_tail')
FROM ledger_tail
"""


@dataclass
class Seen:
    """What was sampled each second."""

    pages_ms: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    """Seconds since the oldest row of the tail was written."""
    dead: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)


def run(minutes: float) -> None:
    pattern = calls(PATTERN)
    record([_fresh(call, datetime.now(UTC), 0) for call in pattern])  # makes the people and projects
    empty()
    seen, is_ready, is_over = Seen(), threading.Event(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(seen, is_ready, is_over))
    watcher.start()
    is_ready.wait()
    try:
        recorded, seconds = _record(pattern, minutes * 60)
    finally:
        is_over.set()
        watcher.join()
    half = len(seen.bytes) // 2
    report(f"Sustained for {seconds / 60:.1f} minutes, groups of {GROUP}", f"{recorded / seconds:,.0f}/s", "≥ 3,000/s")
    report("The oldest row of the tail, p50 / longest", f"{_p50_max(seen.ages)} s", "≤ 5 s")
    report("Rows of the tail, p50 / most", _p50_max(seen.rows))
    report("Its dead rows, p50 / most", _p50_max(seen.dead))
    report("Its size with index, most in either half", _mb(seen.bytes[:half]) + " / " + _mb(seen.bytes[half:]))
    report("The Super Admin's Overview meanwhile, p50 / longest", f"{_p50_max(seen.pages_ms)} ms")


def _record(pattern: list[Call], seconds: float) -> tuple[int, float]:
    """Record groups as they arrive. Returns the number of recorded events, and the seconds that it took."""
    recorded, groups = 0, _groups(pattern)
    start = due = time.monotonic()
    while (now := time.monotonic()) < start + seconds:
        if now < due:
            time.sleep(due - now)
        due += GROUP / OFFERED
        recorded += record(next(groups)).events
    return recorded, time.monotonic() - start


def _groups(pattern: list[Call]) -> Iterator[list[Call]]:
    for number in count():
        for at in range(0, PATTERN, GROUP):
            now = datetime.now(UTC)
            yield [_fresh(call, now, number) for call in pattern[at : at + GROUP]]


def _fresh(call: Call, now: datetime, number: int) -> Call:
    who = call.attribution
    organization = f"org-{int(who.organization.removeprefix('org-')) % ORGANIZATIONS:02}"
    who = replace(who, organization=organization, session_id=f"{who.session_id}-{number}")
    return replace(call, started_at=now, request_id=new_request_id(), attribution=who)


def _watch(seen: Seen, is_ready: threading.Event, is_over: threading.Event) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER],
        cwd=Path(__file__).resolve().parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    try:
        next(line for line in reader.stdout if line == "ready\n")
        is_ready.set()
        while not is_over.wait(1):
            print(file=reader.stdin, flush=True)
            with connection.cursor() as cursor:
                cursor.execute(TAIL)
                rows, age, dead, size = cursor.fetchone()
            seen.rows.append(rows)
            seen.ages.append(age)
            seen.dead.append(dead)
            seen.bytes.append(size)
            seen.pages_ms.append(json.loads(reader.stdout.readline()))
    finally:
        is_ready.set()
        reader.stdin.close()
        reader.wait()
        connection.close()


def _p50_max(values: list[float] | list[int]) -> str:
    return f"{statistics.median(values):,.1f} / {max(values):,.1f}"


def _mb(sizes: list[int]) -> str:
    return f"{max(sizes) / 1e6:.1f} MB"
