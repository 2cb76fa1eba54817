"""``make bench-gateway``: our gateway beside a straight call, a bare pass-through, LiteLLM's proxy and Portkey's
gateway, against the same upstream, in turns; then many slow streams with pages beside them, the memory of
uploads, and ingestion.

Every event of ours is in PostgreSQL when its figure is taken: the rate counts the time until the last one is there. The
others record nothing.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks import slow_streams, uploads
from benchmarks.events_there import events, wait_for_events
from benchmarks.gateways import ROOT, Gateway, bare, litellm, missing_parts, ours, portkey, upstream
from benchmarks.setup import prepare, report

CALLERS = (1, 16, 64)
OUR_OWN = ("straight", "bare", "ours")
PARTS = ("rates", "streams", "uploads", "ingestion")
GOALS = {"answers": {"bare": 0.4, "Portkey": 4, "LiteLLM": 20}, "streams": {"bare": 0.6}}
"""The rate that ours should have, as a multiple of that of others."""


@dataclass
class Figures:
    """What was measured of one gateway with one kind of load: a list for each, with one value for a turn."""

    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    memory: float = 0.0

    def add(self, done: Mapping[str, float], memory: float) -> None:
        self.rates.append(done["answers"] / done["seconds"])
        self.p50.append(done["p50"])
        self.p99.append(done["p99"])
        self.memory = max(self.memory, memory)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def __str__(self) -> str:
        times = f"{statistics.median(self.p50):.2f} | {statistics.median(self.p99):.2f} ms"
        return f"{self.rate:,.0f}/s, {times}, {self.memory:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of: {' '.join(PARTS)} (all)")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--callers", type=int, nargs="*", default=CALLERS)
    options = parser.parse_args()
    parts = set(options.parts) or set(PARTS)
    prepare()
    if "rates" in parts:
        with upstream() as groq, _gateways(groq) as gateways:
            for kind in ("answers", "streams"):
                for callers in options.callers:
                    compare(kind, callers, in_turns(gateways, kind, callers, options.turns, options.seconds))
    if "streams" in parts:
        slow_streams.run()
    if "uploads" in parts:
        uploads.run()
    if "ingestion" in parts:
        from benchmarks import generate, ingestion

        generate.people_and_prices()
        ingestion.run()


@contextlib.contextmanager
def _gateways(groq: int) -> Iterator[list[Gateway]]:
    """All gateways that can run here. What cannot is told, and left out."""
    missing = missing_parts()
    with contextlib.ExitStack() as stack:
        found = [Gateway("straight", groq), *(stack.enter_context(side(groq)) for side in (bare, ours))]
        for name, side in (("Portkey", portkey), ("LiteLLM", litellm)):
            if name not in missing:
                try:
                    found.append(stack.enter_context(side(groq)))
                except (RuntimeError, OSError) as error:
                    missing[name] = str(error)
        for name, reason in missing.items():
            report(f"{name} is left out", "", reason)
        yield found


def in_turns(gateways: list[Gateway], kind: str, callers: int, turns: int, seconds: float) -> Mapping[str, Figures]:
    """The figures of each gateway by its name. Each turn asks all of them, one after the other."""
    figures = {gateway.name: Figures() for gateway in gateways}
    for turn in range(turns + 1):
        for gateway in [gateway for gateway in gateways if gateway.name in figures]:
            try:
                done = measure(gateway, callers, seconds if turn else 0.5, stream=kind == "streams")
            except subprocess.CalledProcessError:
                if gateway.name in OUR_OWN:
                    raise
                report(f"{kind}, {callers} callers, {gateway.name} is left out", "", "it did not answer all requests")
                del figures[gateway.name]
                continue
            if turn:  # the first one is to warm up
                figures[gateway.name].add(done, gateway.memory_mb())
    return figures


def measure(gateway: Gateway, callers: int, seconds: float, *, stream: bool) -> dict[str, float]:
    """One turn of one gateway. Of ours, the seconds end when the last event is in PostgreSQL."""
    if gateway.name != "ours":
        return load(gateway, callers, seconds, stream=stream)
    before = events()
    done = load(gateway, callers, seconds, stream=stream)
    ended = time.perf_counter()
    wait_for_events(before + done["answers"])
    return done | {"seconds": done["seconds"] + time.perf_counter() - ended}


def compare(kind: str, callers: int, figures: Mapping[str, Figures]) -> None:
    """Print the figures, and what ours are as multiples of those of others."""
    plural = "callers" if callers > 1 else "caller"
    for name, found in figures.items():
        report(f"{kind}, {callers} {plural}, {name}: a second, p50 | p99, memory", str(found))
    us = figures["ours"]
    for name, goal in {"bare": 0.0, "Portkey": 0.0, "LiteLLM": 0.0, **GOALS[kind]}.items():
        if name in figures:
            goal_text = f"≥ {goal} ×" if goal and callers > 1 else ""
            report(f"{kind}, {callers} {plural}: ours, by {name}", f"{us.rate / figures[name].rate:.2f} ×", goal_text)
    added = {name: _added(figures[name], figures["straight"]) for name in figures if name != "straight"}
    if callers == 1:
        for name, (p50, p99) in added.items():
            goal_text = f"p50 ≤ {added['bare'][0] + 0.4:.2f} ms, p99 ≤ 4" if name == "ours" else ""
            report(f"{kind}, added by {name}: p50 | p99", f"{p50:.2f} | {p99:.2f} ms", goal_text)


def _added(found: Figures, straight: Figures) -> tuple[float, float]:
    return (
        statistics.median(found.p50) - statistics.median(straight.p50),
        statistics.median(found.p99) - statistics.median(straight.p99),
    )


def load(gateway: Gateway, callers: int, seconds: float, *, stream: bool) -> dict[str, float]:
    """Callers that ask one after the other, in a process of their own (``benchmarks.http_load``)."""
    headers = json.dumps({"Authorization": f"Bearer {gateway.key}", **gateway.headers})
    command = [sys.executable, "-m", "benchmarks.http_load", str(gateway.port), gateway.path, headers]
    command += [str(callers), str(seconds), *(["stream"] if stream else [])]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    main()
