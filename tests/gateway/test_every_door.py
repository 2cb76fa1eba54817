"""Any bytes at any door: no answer is an error of ours, memory stays, and a well-behaved program hardly notices.

``make hostile`` sends 10,000 requests to each door and prints what came of them.
"""

import json
import multiprocessing
import os
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from accounts.models import Organization
from groq_client.call import new_request_id
from groq_client.simulator.server import SimulatorHandle
from tests.gateway.attack import fire
from tests.gateway.doors import PROVIDER_KEY_SECRET, Door, make_key
from tests.gateway.raw_http import TARGETS, Odd, Target, requests, shown
from tests.gateway.workers import workers_of
from tests.served import served

pytestmark = pytest.mark.django_db(transaction=True)

CASES = int(os.environ.get("HOSTILE_CASES", "60"))
IS_MEASURED = CASES >= 1_000
"""With fewer requests there is not enough to measure, and the suite's own load counts as well."""
ROUNDS = 10 if IS_MEASURED else 1
QUIET_SECONDS = 3.0 if IS_MEASURED else 0.1
SLOW = 200 if IS_MEASURED else 20
MAX_GROWTH = 50_000_000
MAX_SLOWER = 2.0
UNKNOWN_CODING = 501
"""gunicorn's answer to a transfer coding that nobody knows, as RFC 9112 wants it."""


@pytest.fixture(scope="module")
def address(django_db_setup: None, django_db_blocker: Any, groq_server: SimulatorHandle) -> Iterator[str]:
    """A server that has room for all that is sent at once, so that no request is refused for want of it."""
    environment = {"GROQ_API_KEY": "gsk_of_the_server", "GROQ_BASE_URL": groq_server.base_url, "INGEST_AT_ONCE": "16"}
    environment |= {"PROVIDER_KEY_SECRET": PROVIDER_KEY_SECRET}
    with django_db_blocker.unblock(), served(**environment) as address:
        yield address


def cases_of(target: Target, secrets: Sequence[str]) -> list[Odd]:
    """As many odd requests as there shall be, the same in each run of the suite."""
    found: list[Odd] = []

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        derandomize=not IS_MEASURED,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(target, secrets))
    def collect(odd: Odd) -> None:
        found.append(odd)

    collect()
    return found


class Bystander:
    """A program that sends what it should to the same door, again and again, on a connection that it keeps."""

    def __init__(self, address: str, target: Target, secret: str) -> None:
        self._link = HTTPConnection(address.removeprefix("http://"), timeout=30)
        self._target = target
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": target.content_type.decode()}

    def ask(self) -> float:
        """The milliseconds that one request took."""
        body = self._target.valid
        if self._target.path.endswith("/events"):
            body = json.dumps(json.loads(body)[0] | {"request_id": new_request_id()}).encode()
        began = time.perf_counter()
        self._link.request("POST", self._target.path, body, self._headers)
        answer = self._link.getresponse()
        answer.read()
        assert answer.status == 200
        return (time.perf_counter() - began) * 1000

    def ask_until(self, is_over: threading.Event) -> list[float]:
        times = [self.ask()]
        while not is_over.wait(0.005):
            times.append(self.ask())
        return times


@pytest.fixture(scope="module")
def attacker() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as attacker:
        attacker.submit(fire, "", 0, []).result()  # It has begun.
        yield attacker


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes(
    door: Door, attacker: ProcessPoolExecutor, name: str, acme: Organization, globex: Organization
) -> None:
    target, secrets = TARGETS[name], [f"gul_hostile_{number}" for number in range(8)]
    for secret in secrets:
        make_key(acme, secret, may_ingest=True)
    make_key(globex, "gul_bystander", may_ingest=True)
    odd = cases_of(target, secrets)
    bystander = Bystander(door.address, target, "gul_bystander")
    quiet, busy, answers = list[float](), list[float](), list[list[int]]()
    host, port = door.address.removeprefix("http://").split(":")
    memory = memory_of(door)
    with slow_senders(host, int(port), target, secrets[0]):
        for number in range(ROUNDS):
            quiet += bystander.ask_until(over_after(QUIET_SECONDS))
            is_over = threading.Event()
            sent = attacker.submit(fire, host, int(port), [one.pieces for one in odd[number::ROUNDS]])
            sent.add_done_callback(lambda _, event=is_over: event.set())
            busy += bystander.ask_until(is_over)
            answers += sent.result()
    growth = memory_of(door) - memory
    slower = statistics.median(busy) / statistics.median(quiet)
    ordered = [one for number in range(ROUNDS) for one in odd[number::ROUNDS]]
    report(name, answers, growth, quiet, busy)
    for one, statuses in zip(ordered, answers, strict=True):
        assert all(status < 500 or status == UNKNOWN_CODING for status in statuses), shown(one)
        if one.is_ambiguous:
            assert len(statuses) <= 1, shown(one)
            assert set(statuses) <= {400, 414, 431, 501}, shown(one)
    assert growth <= MAX_GROWTH
    assert slower <= MAX_SLOWER or not IS_MEASURED
    for request in door.groq.requests:
        assert request.headers["authorization"] == "Bearer gsk_of_the_server"


@contextmanager
def slow_senders(host: str, port: int, target: Target, secret: str) -> Iterator[None]:
    """Connections on which half a head, or a head and the first byte of a body, has come."""
    head = f"POST {target.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
    with ExitStack() as links:
        for begun in (head, f"{head}Content-Length: 100\r\n\r\n[") * (SLOW // 2):
            links.enter_context(socket.create_connection((host, port))).sendall(begun.encode())
        yield


def over_after(seconds: float) -> threading.Event:
    event = threading.Event()
    threading.Timer(seconds, event.set).start()
    return event


def memory_of(door: Door) -> int:
    return sum(worker.memory_info().rss for worker in workers_of(door))


def report(name: str, answers: list[list[int]], growth: int, quiet: list[float], busy: list[float]) -> None:
    counts = Counter(status for statuses in answers for status in statuses)
    unanswered = sum(not statuses for statuses in answers)
    told = ", ".join(f"{status} × {count:,}" for status, count in sorted(counts.items()))
    before, meanwhile = statistics.median(quiet), statistics.median(busy)
    print(f"\n{name}: {len(answers):,} requests; no answer to {unanswered:,}; {told}")  # noqa: T201
    print(f"  memory of both workers: {growth / 1e6:+.1f} MB")  # noqa: T201
    print(f"  a bystander's median: {before:.2f} ms without, {meanwhile:.2f} ms with: × {meanwhile / before:.2f}")  # noqa: T201
