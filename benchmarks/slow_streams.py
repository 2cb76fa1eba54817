"""Many slow streams through our gateway at once: how long they take, the memory of the server at their end, and how
long the pages of the same server take meanwhile."""

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection

import aiohttp

from benchmarks.client import simulator
from benchmarks.events_there import events, wait_for_events
from benchmarks.gateways import PATH, Gateway, ours
from benchmarks.http_upstream import MODEL
from benchmarks.setup import report

STREAMS = 500
CHUNK_SECONDS = 0.19
"""The time between two chunks of a stream. Streams that begin at the same moment send all their chunks at the same
moments, which programs do not; therefore pages are measured once more beside streams whose beginnings are spread over
this time."""
FEWEST_EVENTS, SOME_EVENTS = 50_000, 200_000
"""A ledger with fewer events of the benchmark's organizations than the first number is filled anew with the second,
since empty pages are no pages."""
PAGE_SECONDS, PAUSE = 10.0, 0.05
"""For how long pages are asked for without streams, and the pause between two of them."""
HOST = "testserver"


def run() -> None:
    fill_the_ledger()
    cookies = dict(_cookies())
    with (
        simulator() as groq,
        ours(int(groq.rpartition(":")[2]), GATEWAY_FORWARD_HEADERS="x-sim-*", ALLOWED_HOSTS=HOST) as gateway,
    ):
        for cookie in cookies.values():
            for _ in range(6):  # each worker has to load what a page takes
                _page(gateway, cookie)
        alone = _pages(gateway, cookies, _for_some_time)
        together = _beside(gateway, cookies, 0.0)
        spread = _beside(gateway, cookies, CHUNK_SECONDS)
        again = _pages(gateway, cookies, _for_some_time)
        alone = {who: times + again[who] for who, times in alone.items()}
    report(f"{STREAMS} streams of 10 s at once, with pages beside", str(together), "≤ 11.5 s, ≤ 250 MB")
    report("The same, begun within the time between two of their chunks", str(spread))
    for who, times in alone.items():
        report(f"Overview, {who}, alone: p50 | p95", f"{statistics.median(times):.0f} | {_p95(times):.0f} ms")
        for name, found in (("streams at once", together), ("streams spread", spread)):
            busy = found.pages[who]
            value = f"{statistics.median(busy):.0f} | {_p95(busy):.0f} ms, p95 {_p95(busy) / _p95(times):.2f} ×"
            report(f"Overview, {who}, beside {name} ({len(busy)} pages)", value, "p95 ≤ 2 ×")


@dataclass(frozen=True)
class Beside:
    """What was measured while the streams ran."""

    seconds: float
    memory: float
    pages: Mapping[str, list[float]]

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.memory:.0f} MB"


def _beside(gateway: Gateway, cookies: Mapping[str, str], spread: float) -> Beside:
    """Run the streams, whose beginnings are ``spread`` over this number of seconds, and ask for pages meanwhile."""
    before = events()
    streams = threading.Thread(target=lambda: asyncio.run(_streams(gateway, spread)))
    began = time.perf_counter()
    streams.start()
    pages = _pages(gateway, cookies, lambda _: streams.is_alive())
    streams.join()
    seconds = time.perf_counter() - began
    memory = gateway.memory_mb()
    wait_for_events(before + STREAMS)
    return Beside(seconds, memory, pages)


def fill_the_ledger() -> None:
    from benchmarks import generate
    from ledger.models import UsageEvent

    generate.people_and_prices()
    if UsageEvent.objects.filter(organization__slug__startswith="org-").count() < FEWEST_EVENTS:
        generate.events(SOME_EVENTS, datetime.now(UTC).date())


def _cookies() -> Iterator[tuple[str, str]]:
    """The cookies of an Admin and of a User."""
    from django.conf import settings
    from django.test import Client

    from benchmarks.pages import viewers

    people = dict(viewers())
    for who in ("Admin", "busiest User"):
        client = Client()
        client.force_login(people[who], backend=settings.AUTHENTICATION_BACKENDS[-1])
        yield who, "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())


def _pages(gateway: Gateway, cookies: Mapping[str, str], goes_on: Callable[[float], bool]) -> dict[str, list[float]]:
    """The milliseconds of each page, by viewer, asked for one after the other while ``goes_on(began)``."""
    times: dict[str, list[float]] = {who: [] for who in cookies}
    began = time.perf_counter()
    while goes_on(began):
        for who, cookie in cookies.items():
            start = time.perf_counter()
            _page(gateway, cookie)
            times[who].append((time.perf_counter() - start) * 1000)
            time.sleep(PAUSE)
    return times


def _for_some_time(began: float) -> bool:
    return time.perf_counter() - began < PAGE_SECONDS


def _page(gateway: Gateway, cookie: str) -> None:
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    connection.request("GET", "/?range=30d", headers={"Host": HOST, "Cookie": cookie})
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status == 200, response.status


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


async def _streams(gateway: Gateway, spread: float) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Name three rivers of Asia."}], "stream": True}
    headers = {"authorization": f"Bearer {gateway.key}", "x-sim-chunks": "50"}
    headers["x-sim-chunk-delay-ms"] = str(round(CHUNK_SECONDS * 1000))

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        await asyncio.sleep(spread * number / STREAMS)
        async with session.post(f"http://127.0.0.1:{gateway.port}{PATH}", json=body, headers=headers) as response:
            assert (await response.read()).endswith(b"[DONE]\n\n")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session, number) for number in range(STREAMS)))
