"""Measures fifty viewers of the Overview, which refreshes itself, while 500 events arrive per second."""

import random
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPConnection

from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import Role, User
from benchmarks.recording import calls
from benchmarks.setup import report
from groq_client.call import new_request_id
from ledger.recording.record import record

VIEWERS = 50
REFRESH_SECONDS = 5
EVENTS_PER_SECOND = 500
GROUPS_PER_SECOND = 25
SECONDS = 60
PORT = 8765
SERVER = (
    "-m", "gunicorn", "usage_dashboard.asgi:application", "--worker-class", "asgi", "--workers", "2",
    "--no-control-socket",
)  # fmt: skip
REFRESH = {"Host": "testserver", "HX-Request": "true", "HX-Request-Type": "partial"}
REFRESH |= dict.fromkeys(("HX-Target", "HX-Source"), "div#results")


def run() -> None:
    web = subprocess.Popen([sys.executable, *SERVER, "--bind", f"127.0.0.1:{PORT}"])
    try:
        time.sleep(15)
        end = time.monotonic() + SECONDS
        pages: list[float] = []
        failures: list[int] = []
        threads = [threading.Thread(target=_look, args=(cookie, end, pages, failures)) for cookie in _cookies()]
        for thread in threads:
            thread.start()
        groups, late = _record(end)
        for thread in threads:
            thread.join()
    finally:
        web.terminate()
        web.wait()
    arrived = len(groups) * EVENTS_PER_SECOND // GROUPS_PER_SECOND / SECONDS
    report(f"Page, {VIEWERS} viewers every {REFRESH_SECONDS} s, p50 / p95", _p50_p95(pages))
    report("Pages that were got, and that failed", f"{len(pages)} / {len(failures)}")
    report(f"Recording of {EVENTS_PER_SECOND // GROUPS_PER_SECOND} events, p50 / p95", _p50_p95(groups))
    report("Events recorded", f"{arrived:.0f}/s, {late} groups late")


def _cookies() -> list[str]:
    """The cookies of the viewers: half of them Admins, the other half Users, and two Super Admins."""
    people = User.objects.filter(organization__slug__regex="org-0[0-9]", handle__regex="^u[0-9]+$").order_by("pk")
    found = []
    for number, user in enumerate(people[:VIEWERS]):
        role = Role.USER if number % 2 else Role.ADMIN
        user.groups.set([Group.objects.get(name=role)])
        User.objects.filter(pk=user.pk).update(is_active=True)
        found.append(user)
    found[:2] = list(User.objects.filter(username="bench-root")) * 2
    clients = []
    for user in found:
        client = Client()
        client.force_login(user, backend="accounts.backends.Backend")
        clients.append("; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items()))
    return clients


def _look(cookie: str, end: float, times: list[float], failures: list[int]) -> None:
    time.sleep(random.random() * REFRESH_SECONDS)
    while time.monotonic() < end:
        start = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", PORT, timeout=30)
        connection.request("GET", "/?range=30d", headers={"Cookie": cookie, **REFRESH})
        response = connection.getresponse()
        response.read()
        connection.close()
        times.append((time.perf_counter() - start) * 1000)
        if response.status != 200:
            failures.append(response.status)
        time.sleep(REFRESH_SECONDS)


def _record(end: float) -> tuple[list[float], int]:
    """The milliseconds of each group of events, and the number of groups that began late."""
    size = EVENTS_PER_SECOND // GROUPS_PER_SECOND
    pattern = calls(size * 500)
    times, late, due = [], 0, time.monotonic()
    for number in range(SECONDS * GROUPS_PER_SECOND):
        due += 1 / GROUPS_PER_SECOND
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        else:
            late += 1
        if time.monotonic() > end:
            break
        at = number * size % len(pattern)
        now = datetime.now(UTC)
        group = [replace(one, started_at=now, request_id=new_request_id()) for one in pattern[at : at + size]]
        start = time.perf_counter()
        record(group)
        times.append((time.perf_counter() - start) * 1000)
    return times, late


def _p50_p95(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} / {statistics.quantiles(times, n=20)[-1]:.0f} ms"
