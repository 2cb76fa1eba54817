"""The pages of two checkouts in turns, so that a machine that is now fast, now slow, is the same for both.

``python -m benchmarks.turns OLD NEW``: two directories, each with a checkout that has a ``.venv`` and a large ledger of
its own under ``var/bench`` (``make bench ARGS=pages`` makes one). Prints the medians of each page for each viewer,
and the ratio of the new to the old.

``--tail 2000`` first records this number of calls of twenty organizations in both ledgers, and does not fold them.
``--own`` is the share of the calls that belong to the organization of the Admin and the Users (a tenth).
``--processor`` measures the processor time of Python and of its PostgreSQL process instead of the time that passes, for
a machine that does other work meanwhile (Linux).
"""

import argparse
import json
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

REQUESTS = 3
"""How often each page is asked for in a turn."""

# Runs in each checkout, with its own code: it must work with the older one too.
TURN = """
import json, sys, time
from itertools import product
sys.path.insert(0, ".")
from benchmarks.setup import prepare
prepare()
from benchmarks import pages
from django.conf import settings
from django.db import connection
from django.test import Client
tail, own = int(sys.argv[1]), float(sys.argv[2])
if tail:
    from dataclasses import replace
    from datetime import UTC, datetime, timedelta
    from benchmarks.recording import calls
    from ledger.recording import record as recorder
    if hasattr(recorder, "folder"):
        recorder.folder.wrote = lambda events: None
    now, made = datetime.now(UTC), []
    for n, call in enumerate(calls(tail, seed=time.time_ns())):
        organization = "org-00" if n % 100 < 100 * own else f"org-{1 + n % 19:02}"
        session = f"{call.attribution.organization} {call.attribution.session_id}"
        who = replace(call.attribution, organization=organization, session_id=session)
        made.append(replace(call, started_at=now - timedelta(milliseconds=tail - n), attribution=who))
    recorder.record(made)
def spent():
    if sys.argv[3] == "wall":
        return time.perf_counter()
    with open(f"/proc/{server}/schedstat") as file:
        return time.process_time() + int(file.read().split()[0]) / 1e9
with connection.cursor() as cursor:
    cursor.execute("SELECT pg_backend_pid()")
    (server,) = cursor.fetchone()
    if sys.argv[3] != "wall":
        cursor.execute("SET max_parallel_workers_per_gather = 0")
clients = {}
for who, user in pages.viewers():
    clients[who] = Client()
    clients[who].force_login(user, backend=settings.AUTHENTICATION_BACKENDS[-1])
print("ready", flush=True)
for line in sys.stdin:
    took = {}
    for who, client in clients.items():
        for (page, path), (name, query) in product(pages.PAGES.items(), pages.RANGES.items()):
            times = took[f"{page}, {who}, {name}"] = []
            for _ in range(int(line)):
                start = spent()
                assert client.get(path + query).status_code == 200
                times.append((spent() - start) * 1000)
    print(json.dumps(took), flush=True)
"""


class Side:
    """A process that runs a script with the code of one checkout. The script prints ``ready``, and then for each line
    that it reads a JSON object with lists of measurements."""

    def __init__(self, checkout: Path, script: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [checkout / ".venv" / "bin" / "python", "-c", script, *arguments],
            cwd=checkout,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.times: dict[str, list[float]] = defaultdict(list)
        self._answer("ready")

    def turn(self, number: int) -> dict[str, list[float]]:
        assert self._process.stdin is not None
        print(number, file=self._process.stdin, flush=True)
        answer: dict[str, list[float]] = json.loads(self._answer("{"))
        return answer

    def _answer(self, beginning: str) -> str:
        assert self._process.stdout is not None
        return next(line for line in self._process.stdout if line.startswith(beginning))


def medians(
    old: Path, new: Path, script: str, number: int, rounds: int, *arguments: str
) -> Mapping[str, tuple[float, float]]:
    """The medians of each measurement of the old and the new checkout, after ``rounds`` turns of each."""
    sides = Side(old, script, *arguments), Side(new, script, *arguments)
    for turn in range(rounds + 1):
        for side in sides:
            for name, times in side.turn(number).items():
                if turn:  # the first round is to warm up
                    side.times[name] += times
    before, after = sides
    return {
        name: (statistics.median(before.times[name]), statistics.median(after.times[name])) for name in before.times
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--tail", type=int, default=0)
    parser.add_argument("--own", type=float, default=0.1)
    parser.add_argument("--processor", action="store_true")
    options = parser.parse_args()
    arguments = str(options.tail), str(options.own), "processor" if options.processor else "wall"
    measured = medians(options.old, options.new, TURN, REQUESTS, options.rounds, *arguments)
    for name, (before, after) in measured.items():
        print(f"{name:<46}{before:>8.1f} → {after:>6.1f} ms   {after / before:.2f} ×")


if __name__ == "__main__":
    main()
