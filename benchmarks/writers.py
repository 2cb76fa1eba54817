"""The processor time of recording with two checkouts in turns, so that a machine that is now fast, now slow, is the
same for both.

``python -m benchmarks.writers OLD NEW [ROUNDS]``: two directories, each with a checkout that has a ``.venv``. Each gets
a small ledger of its own under ``var/writers``, so that a large one under ``var/bench`` stays. Prints microseconds of
processor time for an event: of Python, of the writer with its backend, and of both with the fold if there is one.
"""

import sys
from pathlib import Path

from benchmarks.turns import medians

EVENTS = 4_000
"""Events of each size of group in a turn."""

# Runs in each checkout, with its own code: it must work with the older one too.
TURN = """
import json, os, sys, time
sys.path.insert(0, ".")
os.environ["VAR_DIR"] = os.path.abspath("var/writers")
from benchmarks.setup import prepare
prepare()
from benchmarks import generate
from benchmarks.recording import calls
from django.db import connection
from ledger.recording.record import record
try:
    from ledger.recording.folder import folder
    from ledger.recording.folding import fold_tail
    folder.wrote = lambda events: None  # the fold is measured by itself
except ImportError:
    fold_tail = None
generate.people_and_prices()
tables = "ledger_usageevent, ledger_session, ledger_rollup" + (", ledger_tail" if fold_tail else "")
with connection.cursor() as cursor:
    cursor.execute("TRUNCATE " + tables)

def backends():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'usage-recorder'")
        stats = [open(f"/proc/{pid}/stat").read().rsplit(")")[1].split() for (pid,) in cursor]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")

print("ready", flush=True)
for number, line in enumerate(sys.stdin):
    took = {}
    for size in (1, 20, 50, 200, 2000):
        made = calls(int(line), seed=number)
        groups = [made[at : at + size] for at in range(0, len(made), size)]
        python, server = time.process_time(), backends()
        for group in groups:
            record(group)
        python, server = time.process_time() - python, backends() - server
        folding = 0.0
        if fold_tail:
            before = backends()
            fold_tail(wait=True)
            folding = backends() - before
        sums = {"Python": python, "writer": python + server, "with fold": python + server + folding}
        for what, seconds in sums.items():
            took[f"groups of {size}, {what}"] = [seconds / len(made) * 1e6]
    print(json.dumps(took), flush=True)
"""


def main() -> None:
    old, new, *rounds = sys.argv[1:]
    measured = medians(Path(old), Path(new), TURN, EVENTS, int(rounds[0]) if rounds else 5)
    for name, (before, after) in measured.items():
        print(f"{name:<28}{before:>8.0f} → {after:>6.0f} µs   {after / before:.2f} ×")


if __name__ == "__main__":
    main()
