"""Workers are killed and PostgreSQL goes away under load: every answer that came whole is recorded once."""

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from django.db import connection

from groq_client.call import new_request_id
from groq_client.simulator.server import SimulatorHandle
from ledger.journal.replay import replay_journals
from ledger.models import UsageEvent
from tests.gateway.doors import CALL, Door, question
from tests.gateway.workers import busy_workers_of, workers_of
from tests.running_demo import wait_until
from tests.served import served
from tests.test_database_faults import AWAY_SECONDS, Server, server, stopped  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db(transaction=True)

TRIALS = int(os.environ.get("KILL_TRIALS", "2"))
MAX_GROWTH = 50_000_000
"""Of both workers, in bytes, while the database is away."""
SLOWLY = {"x-sim-chunks": "12", "x-sim-chunk-delay-ms": "3"}


ROWS = ("accounts_organization", "accounts_apikey")


def copy_key(other: psycopg.Connection[Any]) -> None:
    """Give another database the organization and the key of this one."""
    for table in ROWS:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT row_to_json(r)::text FROM {table} r")
            rows = [row for (row,) in cursor.fetchall()]
        other.execute(f"DELETE FROM {table}")
        for row in rows:
            other.execute(f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, %s::json)", [row])


class Callers:
    """Threads that ask one question after the other. ``whole`` are the ids of the answers that came to their end."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(8)]
        self.whole: list[str] = []
        self.failed: list[str] = []

    @contextmanager
    def asking(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, stream: bool) -> None:
        with httpx.Client(base_url=self._address, timeout=30) as client:
            while not self._is_over.is_set():
                name = new_request_id()
                headers = {"authorization": f"Bearer {CALL}", "x-usage-request-id": name, **SLOWLY}
                try:
                    response = client.post("/v1/chat/completions", json=question(stream=stream), headers=headers)
                    response.raise_for_status()
                    assert not stream or response.text.endswith("[DONE]\n\n")
                    self.whole.append(name)
                except httpx.HTTPError as error:
                    self.failed.append(f"{name} {error!r}")


def test_a_killed_worker_loses_no_answer(door: Door) -> None:
    callers = Callers(door.address)
    with callers.asking():
        for _ in range(TRIALS):
            before = len(callers.whole)
            wait_until(lambda n=before: len(callers.whole) >= n + 10, 30)  # type: ignore[misc]
            time.sleep(random.uniform(0, 0.1))
            wait_until(lambda: bool(busy_workers_of(door)), 30)
            random.choice(busy_workers_of(door)).kill()
    names = set(callers.whole)
    replay_journals()
    wait_until(lambda: not names - recorded(), 30)
    events = {event.request_id: event for event in UsageEvent.objects.all()}
    assert {events[name].status for name in names} == {"success"}
    assert callers.failed
    cut = sum(event.error_code == "interrupted" for event in events.values())
    print(f"{TRIALS} killed: {len(names):,} whole answers, {len(events):,} events, {cut} interrupted")  # noqa: T201
    for name in events.keys() - names:
        assert (events[name].status, events[name].error_code) in (("success", ""), ("error", "interrupted"))


def recorded() -> set[str]:
    return set(UsageEvent.objects.values_list("request_id", flat=True))


def test_postgresql_may_go_away(
    server: Server,  # noqa: F811 - the fixture
    groq_server: SimulatorHandle,
    tmp_path: Path,
    door: Door,
) -> None:
    settings: dict[str, Any] = {"GROQ_API_KEY": "gsk", "GROQ_BASE_URL": groq_server.base_url}
    settings |= {"DATABASE_URL": server.url}
    settings |= {"JOURNAL_DIR": str(tmp_path / "journal"), "GATEWAY_FORWARD_HEADERS": "x-sim-*"}
    with server.connect() as other:
        copy_key(other)
    with served(**settings) as address:
        callers = Callers(address)
        workers = workers_of(Door(address, groq_server))
        with callers.asking():
            wait_until(lambda: len(callers.whole) > 10, 30)
            memory = memory_of(workers)
            stopped(server)
            before, growth = len(callers.whole), memory_of(workers) - memory
            wait_until(lambda: len(callers.whole) > before + 10, 30)
        assert callers.failed == []
        assert growth < MAX_GROWTH
        with server.connect() as other:
            wait_until(lambda: not set(callers.whole) - names_in(other), 60)
            assert len(names_in(other)) == len(callers.whole)
    told = f"{len(callers.whole):,} calls, {before:,} of them before it was back, none failed or lost"
    print(f"PostgreSQL away for {AWAY_SECONDS:.0f} s: {told}; memory {growth / 1e6:+.1f} MB")  # noqa: T201


def memory_of(workers: list[psutil.Process]) -> int:
    return sum(worker.memory_info().rss for worker in workers)


def names_in(other: psycopg.Connection[Any]) -> set[str]:
    return {name for (name,) in other.execute("SELECT request_id FROM ledger_usageevent")}
