"""Measures the server time of ``/metrics``, as Prometheus asks for it."""

from django.test import Client

from benchmarks.setup import median, report
from ledger.models import Counter
from ledger.upkeep.recount import recount

GOAL_MS = 50
REPEAT = 21


def run() -> None:
    recount()  # The benchmark's events were not recorded, but written in bulk.
    client = Client(headers={"Host": "localhost", "Accept-Encoding": "gzip"})
    size = len(client.get("/metrics").content)
    took = median(lambda: client.get("/metrics"), REPEAT)
    what = f"/metrics, {Counter.objects.count()} counters, {size / 1000:.0f} kB compressed"
    report(what, f"{took:.1f} ms", f"goal ≤ {GOAL_MS} ms")
