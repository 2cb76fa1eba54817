"""Measures the recording client beside the bare SDK, against the local simulator in a process of its own.

``python -m benchmarks.client`` prints the figures. Calls of both sides alternate, so that both meet the same noise.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import groq

from groq_client import AsyncGroq, Call, Groq
from groq_client.call import Recorder

MODEL = "llama-3.1-8b-instant"
MESSAGES: Any = [{"role": "user", "content": "Name three rivers of Asia."}]
OPTIONS: dict[str, Any] = {"api_key": "gsk_benchmark", "max_retries": 0}
SHORT = {"x-sim-chunks": "10"}


class NullRecorder:
    """Drops all calls, so that only the client's own cost is measured."""

    start_is_blocking = False
    finish_is_blocking = False

    def start(self, call: Call) -> None: ...

    def finish(self, call: Call) -> None: ...


class BlockingNullRecorder(NullRecorder):
    """A null recorder that may block, so that an asyncio program hands every call to a thread."""

    start_is_blocking = True
    finish_is_blocking = True


@dataclass(frozen=True)
class Overhead:
    """Milliseconds per call. ``added_p50`` is the median of the differences between neighbouring calls."""

    kind: str
    calls: int
    bare_p50: float
    ours_p50: float
    bare_p99: float
    ours_p99: float
    added_p50: float
    added_p99: float


@dataclass(frozen=True)
class StreamRate:
    """Chunks per second on each side. ``ratio`` is the median over the rounds of our rate to the SDK's."""

    kind: str
    chunks: int
    rounds: int
    bare: float
    ours: float
    ratio: float


@contextlib.contextmanager
def simulator(port: int = 18599) -> Iterator[str]:
    """The address of a simulator that runs in another process."""
    command = [sys.executable, "-m", "groq_client.simulator", "--port", str(port), "--speed", "inf"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base_url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(base_url)
        yield base_url
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(base_url: str) -> None:
    with groq.Groq(base_url=base_url, **OPTIONS) as client:
        for _ in range(300):
            try:
                client.models.list()
            except groq.APIConnectionError:
                time.sleep(0.1)
            else:
                return
    raise RuntimeError("The simulator did not start.")


def sync_overhead(base_url: str, calls: int = 1000, recorder: Recorder | None = None) -> Overhead:
    """The overhead of synchronous calls with the null recorder, or with ``recorder`` (the ledger)."""
    with (
        groq.Groq(base_url=base_url, **OPTIONS) as bare,
        Groq(base_url=base_url, recorder=recorder or NullRecorder(), **OPTIONS) as ours,
    ):

        def timed(client: groq.Groq) -> float:
            began = time.perf_counter()
            client.chat.completions.create(model=MODEL, messages=MESSAGES)
            return (time.perf_counter() - began) * 1000

        pairs = [_in_turn(number, timed, bare, ours) for number in range(calls + 50)][50:]
    return _overhead("sync", pairs)


def async_overhead(base_url: str, calls: int = 1000, *, blocking: bool = False) -> Overhead:
    recorder = BlockingNullRecorder() if blocking else NullRecorder()

    async def run() -> list[tuple[float, float]]:
        pairs = []
        async with (
            groq.AsyncGroq(base_url=base_url, **OPTIONS) as bare,
            AsyncGroq(base_url=base_url, recorder=recorder, **OPTIONS) as ours,
        ):
            for number in range(calls + 50):
                times = {}
                for client in (bare, ours) if number % 2 else (ours, bare):
                    began = time.perf_counter()
                    await client.chat.completions.create(model=MODEL, messages=MESSAGES)
                    times[client] = (time.perf_counter() - began) * 1000
                pairs.append((times[bare], times[ours]))
        return pairs[50:]

    return _overhead("async, recorder in threads" if blocking else "async", asyncio.run(run()))


def sync_stream_rate(base_url: str, chunks: int = 5000, rounds: int = 10) -> StreamRate:
    headers = {"x-sim-chunks": str(chunks)}
    with (
        groq.Groq(base_url=base_url, **OPTIONS) as bare,
        Groq(base_url=base_url, recorder=NullRecorder(), **OPTIONS) as ours,
    ):

        def rate(client: groq.Groq) -> float:
            stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, extra_headers=headers)
            began = time.perf_counter()
            seen = sum(1 for _ in stream)
            return seen / (time.perf_counter() - began)

        pairs = [_in_turn(number, rate, bare, ours) for number in range(rounds + 1)][1:]
    return _stream_rate("sync", chunks, pairs)


def async_stream_rate(base_url: str, chunks: int = 5000, rounds: int = 10) -> StreamRate:
    headers = {"x-sim-chunks": str(chunks)}

    async def rate(client: groq.AsyncGroq) -> float:
        stream = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, extra_headers=headers
        )
        began = time.perf_counter()
        seen = 0
        async for _ in stream:
            seen += 1
        return seen / (time.perf_counter() - began)

    async def run() -> list[tuple[float, float]]:
        pairs = []
        async with (
            groq.AsyncGroq(base_url=base_url, **OPTIONS) as bare,
            AsyncGroq(base_url=base_url, recorder=NullRecorder(), **OPTIONS) as ours,
        ):
            for number in range(rounds + 1):
                rates = {client: await rate(client) for client in ((bare, ours) if number % 2 else (ours, bare))}
                pairs.append((rates[bare], rates[ours]))
        return pairs[1:]

    return _stream_rate("async", chunks, asyncio.run(run()))


def all_figures(base_url: str, *, calls: int = 1000, rounds: int = 10) -> list[Overhead | StreamRate]:
    return [
        sync_overhead(base_url, calls),
        async_overhead(base_url, calls),
        async_overhead(base_url, calls, blocking=True),
        sync_stream_rate(base_url, rounds=rounds),
        async_stream_rate(base_url, rounds=rounds),
    ]


def run() -> None:
    """Print the client's figures of docs/benchmarks.md in milliseconds and in units of a bare insert of a row."""
    from django.conf import settings

    from benchmarks.recording import bare_insert_ms
    from benchmarks.setup import report
    from ledger.journal.recorder import LedgerRecorder

    bare = statistics.median(bare_insert_ms())
    report("A bare one-row INSERT … COMMIT, p50", f"{bare:.2f} ms")
    ledger = LedgerRecorder()
    with simulator() as base_url:
        for name, recorder, is_synchronous, goal in (
            ("nothing", NullRecorder(), False, ""),
            ("the journal, then the ledger", ledger, False, "p99 ≤ 0.3 ms"),
            ("the ledger, and waiting for the row", ledger, True, ""),
        ):
            settings.RECORDING_SYNCHRONOUS = is_synchronous
            added = sync_overhead(base_url, recorder=recorder)
            value = f"{added.added_p50:.2f} ms | {added.added_p99:.2f} ms, p50 {added.added_p50 / bare:.1f} × bare"
            report(f"Our client adds, recording to {name}: p50 | p99", value, goal)
        settings.RECORDING_SYNCHRONOUS = False
        for stream in (sync_stream_rate(base_url), async_stream_rate(base_url)):
            report(
                f"Chunks/s of a stream of {stream.chunks:,} ({stream.kind})",
                f"{stream.ratio:.2f} × SDK",
                "goal ≥ 0.95 ×",
            )
    _report_journal()


def _report_journal() -> None:
    """Print the microseconds of a call's three parts in the journal: its start and its end, for which the caller waits,
    and its share of the line that marks a group of calls as recorded."""
    from benchmarks.recording import calls
    from benchmarks.setup import report
    from groq_client.journal.journal import Journal

    group = 20
    with tempfile.TemporaryDirectory() as directory:
        journal = Journal(Path(directory), 10**9)
        inline: list[float] = []
        marks: list[float] = []
        several = calls(20_000)
        for begin in range(0, len(several), group):
            for call in several[begin : begin + group]:
                started = time.perf_counter()
                journal.started(call)
                journal.ended(call)
                inline.append((time.perf_counter() - started) * 1e6)
            started = time.perf_counter()
            journal.settled(several[begin : begin + group])
            journal.rotate_if_large()
            marks.append((time.perf_counter() - started) * 1e6 / group)
        journal.close()
    value = f"{statistics.median(inline):.0f} µs | {_percentile(tuple(inline), 99):.0f} µs"
    report("The journal's start and end of a call: p50 | p99", value, "all three ≤ 60 µs")
    report(f"Its share of a mark, in groups of {group}: p50", f"{statistics.median(marks):.1f} µs")


def _in_turn(number: int, measure: Any, bare: groq.Groq, ours: groq.Groq) -> tuple[float, float]:
    """Measure both sides; the order alternates from one pair to the next."""
    if number % 2:
        return measure(bare), measure(ours)
    second = measure(ours)
    return measure(bare), second


def _overhead(kind: str, pairs: list[tuple[float, float]]) -> Overhead:
    bare, ours = zip(*pairs, strict=True)
    added = [one - other for other, one in pairs]
    return Overhead(
        kind=kind,
        calls=len(pairs),
        bare_p50=round(statistics.median(bare), 3),
        ours_p50=round(statistics.median(ours), 3),
        bare_p99=round(_percentile(bare, 99), 3),
        ours_p99=round(_percentile(ours, 99), 3),
        added_p50=round(statistics.median(added), 3),
        added_p99=round(_percentile(ours, 99) - _percentile(bare, 99), 3),
    )


def _stream_rate(kind: str, chunks: int, pairs: list[tuple[float, float]]) -> StreamRate:
    bare, ours = zip(*pairs, strict=True)
    return StreamRate(
        kind=kind,
        chunks=chunks,
        rounds=len(pairs),
        bare=round(statistics.median(bare)),
        ours=round(statistics.median(ours)),
        ratio=round(statistics.median(one / other for other, one in pairs), 3),
    )


def _percentile(values: tuple[float, ...], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--port", type=int, default=18599)
    arguments = parser.parse_args()
    with simulator(arguments.port) as base_url:
        for figure in all_figures(base_url, calls=arguments.calls, rounds=arguments.rounds):
            print(json.dumps({"figure": type(figure).__name__, **asdict(figure)}))


if __name__ == "__main__":
    main()
