"""A database server of the benchmarks' own, under ``var/bench``, with the settings that the product ships."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path


def prepare() -> None:
    """Point Django at the benchmark's server and bring its tables up to date. Call before importing any model."""
    root = Path(__file__).resolve().parent.parent
    os.environ.setdefault("VAR_DIR", str(root / "var" / "bench"))
    os.environ["DJANGO_SETTINGS_MODULE"] = "usage_dashboard.settings"
    os.environ.setdefault("RECORDING_TIMEOUT_MS", "600000")
    os.environ.setdefault("REPORT_TIMEOUT_MS", "600000")
    os.environ.setdefault("ALLOWED_HOSTS", "testserver,127.0.0.1")
    os.environ.setdefault("API_REQUESTS_PER_MINUTE", "1000000")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)


def milliseconds(work: Callable[[], object], repeat: int) -> list[float]:
    """The milliseconds of each of ``repeat`` runs, sorted."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


def median(work: Callable[[], object], repeat: int) -> float:
    """The median milliseconds of ``repeat`` runs after one run to warm up."""
    work()
    return statistics.median(milliseconds(work, repeat))


def report(what: str, value: str, goal: str = "") -> None:
    print(f"{what:<72}{value:>24}   {goal}", flush=True)
