"""Measures the CSV export beside PostgreSQL's own ``COPY … TO STDOUT`` of the same rows, its memory, and Parquet beside
it.

It runs in a process of its own, because the system reports only the peak memory of a whole process.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from benchmarks.setup import prepare, report

if __name__ == "__main__":
    prepare()

from django.db import connection

from accounts.models import Role
from accounts.viewer import Viewer
from analytics.export.export import export_csv
from analytics.export.parquet import export_parquet
from analytics.reports import Log
from analytics.reports.selection import Selection

ROWS = 1_000_000
EVERYTHING = Viewer(Role.SUPER_ADMIN, None, None, sees_cost=True, may_export=True, may_edit_pricing=True)


def run() -> None:
    subprocess.run([sys.executable, "-m", "benchmarks.export"], check=True)


def measure() -> None:
    """Print the figures for the newest days, as many as hold about a million events."""
    selection = _newest(ROWS)
    condition = f"day BETWEEN '{selection.first_day}' AND '{selection.last_day}'"
    before = _peak_mb()
    started = time.perf_counter()
    size = _drain(export_csv(Log(EVERYTHING, selection)))
    ours, grown = time.perf_counter() - started, _peak_mb() - before
    started = time.perf_counter()
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY (SELECT * FROM ledger_usageevent WHERE {condition}) TO STDOUT CSV") as copy:
            _drain(copy)
        plain = time.perf_counter() - started
        cursor.execute(f"SELECT count(*) FROM ledger_usageevent WHERE {condition}")
        (rows,) = cursor.fetchone()
    report(
        f"CSV of {rows:,} rows ({size / 1e6:,.0f} MB)",
        f"{rows / ours:,.0f}/s = {plain / ours:.0%} of COPY",
        "goal ≥ 60 %",
    )
    report("Memory that the CSV took", f"{grown:.0f} MB", "goal ≤ 64 MB")
    before, started = _peak_mb(), time.perf_counter()
    size = _drain(export_parquet(Log(EVERYTHING, selection)))
    parquet, grown = time.perf_counter() - started, _peak_mb() - before
    what = f"Parquet of them ({size / 1e6:,.0f} MB)"
    report(what, f"{rows / parquet:,.0f}/s = {ours / parquet:.1f} × CSV", "goal ≥ 3 ×")
    report("Memory that Parquet took beyond that", f"{grown:.0f} MB")


def _newest(rows: int) -> Selection:
    today = datetime.now(UTC).date() + timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day FROM (SELECT day, sum(sum(requests)) OVER (ORDER BY day DESC) AS so_far FROM ledger_rollup"
            " WHERE cube = 1 GROUP BY day) AS days WHERE so_far <= %s ORDER BY day LIMIT 1",
            [rows * 1.02],
        )
        (first,) = cursor.fetchone()
    return Selection(first, today)


def _drain(chunks: Iterable[bytes | memoryview]) -> int:
    return sum(len(chunk) for chunk in chunks)


def _peak_mb() -> float:
    """The process's peak memory so far in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


if __name__ == "__main__":
    measure()
