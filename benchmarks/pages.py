"""Measures the server time of the Analytics pages (HTML of the full page) for each role, over 30 days and all time, and
the time in which the event log reads a page of requests, the newest page and one in the middle of the ledger.

There are two Users, both of the largest organization: its busiest person and one of median use.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Max, Min
from django.test import Client

from accounts.models import Organization, Role, User
from accounts.viewer import Viewer
from analytics.reports import Log, LogCursor
from analytics.reports.selection import Dimension, Selection
from benchmarks.setup import median, report
from ledger.models import UsageEvent
from ledger.rollups.cubes import smallest_with

PAGES = {
    "Overview": "/",
    "later charts": "/charts/",
    "Requests": "/requests/",
    "Sessions": "/sessions/",
    "Models": "/models/",
}
GOALS_MS = {"Super Admin": 300, "Admin": 80, "median User": 40, "busiest User": 40}
RANGES = {"30 days": "?range=30d", "all time": "?range=all"}
LOG_GOAL_MS = 50
LOG_FILTERS: dict[str, dict[Dimension, tuple[str, ...]]] = {
    "no filter": {},
    "one model": {"model": ("openai/gpt-oss-120b",)},
    "errors": {"status": ("error",)},
    "a model that nobody uses": {"model": ("nothing/like-this",)},
}


def viewers() -> Iterator[tuple[str, User]]:
    """The people who look at the pages, each with its name in ``GOALS_MS``."""
    largest = Organization.objects.get(slug="org-00")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id FROM ledger_rollup WHERE cube = %s AND organization_id = %s"
            " GROUP BY 1 ORDER BY sum(requests) DESC",
            [smallest_with(frozenset({"user_id"})).number, largest.pk],
        )
        people = [user_id for (user_id,) in cursor]
    yield "Super Admin", _person(Role.SUPER_ADMIN, username="bench-root", handle="bench-root")
    yield "Admin", _person(Role.ADMIN, username="bench-admin", handle="bench-admin", organization=largest)
    yield "median User", _person(Role.USER, pk=people[len(people) // 2])
    yield "busiest User", _person(Role.USER, pk=people[0])


def _person(role: Role, **who: Any) -> User:
    user, _ = User.objects.get_or_create(**who)
    user.groups.set([Group.objects.get(name=role)])
    user.is_active = True
    user.save(update_fields=["is_active"])
    return user


def measure(repeat: int = 11) -> dict[tuple[str, str, str], float]:
    """The median server time in milliseconds by page, viewer and range."""
    times = {}
    for who, user in viewers():
        client = Client()
        client.force_login(user, backend="accounts.backends.Backend")
        for (page, path), (name, query) in product(PAGES.items(), RANGES.items()):
            times[page, who, name] = median(lambda client=client, url=path + query: client.get(url), repeat)
    return times


def measure_log(repeat: int = 15) -> dict[str, float]:
    """The median milliseconds to read a page of the event log of all time, by viewer, filter and depth."""
    times = {}
    newest, oldest = UsageEvent.objects.aggregate(newest=Max("day"), oldest=Min("day")).values()
    for who, user in viewers():
        viewer = Viewer.of(User.objects.get(pk=user.pk))
        for name, chosen in LOG_FILTERS.items():
            log = Log(viewer, Selection(oldest, newest, {"provider": ("groq",), **chosen}))
            middle = LogCursor(datetime.combine(oldest + (newest - oldest) / 2, datetime.min.time(), UTC), 0)
            times[f"{who}, {name}, newest"] = median(log.first, repeat)
            times[f"{who}, {name}, deep"] = median(lambda log=log, middle=middle: log.before(middle), repeat)
    return times


def compare_log(small: dict[str, float], large: dict[str, float]) -> None:
    """Print the event log's times, and how they grew from the small ledger to the large one."""
    for name, took in large.items():
        report(f"Requests, {name}", f"{took:.1f} ms{_growth(took, small.get(name))}", f"goal ≤ {LOG_GOAL_MS} ms")


def compare(small: dict[tuple[str, str, str], float], large: dict[tuple[str, str, str], float]) -> None:
    """Print the pages' times, and how they grew from the small ledger to the large one."""
    for key, time in large.items():
        page, who, name = key
        goal = f"goal ≤ {GOALS_MS[who]} ms, " if page == "Overview" and name == "30 days" else ""
        report(f"{page}, {who}, {name}", f"{time:.0f} ms{_growth(time, small.get(key))}", f"{goal}≤ 4 ×")


def _growth(large: float, small: float | None) -> str:
    return "" if small is None else f" ({large / small:.1f} × of the small ledger)"
