"""Server time of the Analytics page, whole (HTML of the full page), for each role: 30 days and all time.

The User is the busiest person of the largest organization.
"""

from collections.abc import Iterator

from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client

from accounts.models import Organization, Role, User
from benchmarks.setup import median, report

GOALS_MS = {Role.SUPER_ADMIN: 400, Role.ADMIN: 120, Role.USER: 60}
RANGES = {"30 days": "?range=30d", "all time": "?range=all"}


def viewers() -> Iterator[tuple[Role, User]]:
    """A Super Admin, the Admin of the largest organization, and its busiest User."""
    largest = Organization.objects.get(slug="org-00")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id FROM analytics_usageevent WHERE organization_id = %s GROUP BY 1 ORDER BY count(*) DESC",
            [largest.pk],
        )
        (busiest,) = cursor.fetchone()
    people = {
        Role.SUPER_ADMIN: _person("bench-root"),
        Role.ADMIN: _person("bench-admin", largest),
        Role.USER: User.objects.get(pk=busiest),
    }
    for role, user in people.items():
        user.groups.set([Group.objects.get(name=role)])
        yield role, user


def _person(username: str, organization: Organization | None = None) -> User:
    user, _ = User.objects.get_or_create(username=username, handle=username, organization=organization)
    return user


def measure(repeat: int = 15) -> dict[tuple[Role, str], float]:
    """Median server time in ms by role and range."""
    times = {}
    for role, user in viewers():
        User.objects.filter(pk=user.pk).update(is_active=True)
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        for name, query in RANGES.items():
            times[role, name] = median(lambda client=client, query=query: client.get("/" + query), repeat)
    return times


def compare(small: dict[tuple[Role, str], float], large: dict[tuple[Role, str], float]) -> None:
    """Print the page's times, and how they grew from 1M to 10M events."""
    for (role, name), time in large.items():
        goal = f"goal ≤ {GOALS_MS[role]} ms" if name == "30 days" else ""
        growth = time / small[role, name]
        report(f"Analytics page at 10M, {role}, {name}", f"{time:.0f} ms ({growth:.1f} × of 1M)", f"{goal}, ≤ 4 ×")
