"""No page reads the event table whole: what PostgreSQL plans for every question of a page, on a ledger large enough for
it to choose as it does at scale."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, Role, User
from accounts.viewer import Viewer
from analytics import export
from analytics.models import Rollup, Session, UsageEvent
from analytics.recording import record
from analytics.reports import Log, Place, Report, version
from analytics.selection import Selection
from benchmarks import generate
from tests.analytics.calls import NOON, call
from tests.cast import make_user, signed_in

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = 40_000
DAYS = 60
TODAY = datetime.now(UTC).date()
MEASURED = "ANALYZE, BUFFERS"
IN_THE_MIDDLE, LONG_AGO = (Place(datetime.now(UTC) - timedelta(days=days), 0) for days in (DAYS // 2, DAYS - 2))
PATHS = (
    "/?range=7d", "/?range=all", "/?range=7d&feature=rag&model=groq/compound", "/charts/?range=7d", "/models/?range=7d",
    "/sessions/?range=all", "/my-usage/", "/choices/model/?range=7d", "/choices/user/?range=7d",
    "/requests/?range=all", "/requests/?range=all&status=error", "/requests/?range=all&q=req_1",
    "/requests/?range=all&model=groq/compound", "/requests/?range=all&model=nobody/uses-it",
    f"/requests/?range=all&before={IN_THE_MIDDLE}", f"/requests/?range=all&after={IN_THE_MIDDLE}",
    f"/requests/?range=all&before={LONG_AGO}",
)  # fmt: skip


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> list[User]:
    """One of each role; the Admin and the User are of the largest organization."""
    monkeypatch.setattr(generate, "DAYS", DAYS)
    monkeypatch.setattr(generate, "ORGANIZATIONS", 10)
    generate.people_and_prices()
    largest = Organization.objects.get(slug="org-00")
    boss = make_user("one-super", Role.SUPER_ADMIN), make_user("one-admin", Role.ADMIN, largest)
    user = make_user("one-user", Role.USER, largest)
    User.objects.filter(organization=largest, handle="u0").update(handle="")
    User.objects.filter(pk=user.pk).update(handle="u0")
    generate.add(EVENTS, TODAY)
    with connection.cursor() as cursor:
        for model in (UsageEvent, Session, Rollup):
            cursor.execute(f"VACUUM ANALYZE {model._meta.db_table}")
    return [*boss, user]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def explained(options: str, sql: str, parameters: tuple[object, ...] | None = None) -> Iterator[dict[str, Any]]:
    """The nodes of the plan, the whole first."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ({options}, FORMAT JSON) {sql}", parameters)
        (((said,),),) = (cursor.fetchall(),)
    (whole,) = json.loads(said) if isinstance(said, str) else said
    yield from nodes(whole["Plan"])


def reads_all_events(sql: str, parameters: tuple[object, ...] | None = None) -> bool:
    return any(
        node["Node Type"] == "Seq Scan" and node["Relation Name"] == UsageEvent._meta.db_table
        for node in explained("ANALYZE false", sql, parameters)
    )


def test_no_page_reads_all_events(people: list[User]) -> None:
    found, asked = [], 0
    for person in people:
        client = signed_in(person)
        for path in PATHS:
            with CaptureQueriesContext(connection) as queries:
                response = client.get(path, follow=True)
            assert response.status_code in (200, 404), path
            questions = {query["sql"] for query in queries if query["sql"].lstrip().startswith(("SELECT", "WITH"))}
            asked += len(questions)
            found += [f"{person} {path}: {sql}" for sql in questions if reads_all_events(sql)]
        for days in (1, 7):
            log = Log(Viewer.of(person), Selection(TODAY - timedelta(days=days), TODAY))
            if reads_all_events(*export.select(log, "event.*")):
                found.append(f"{person} export of {days} days")
    assert not found, "\n".join(found)
    assert asked > 200
    assert reads_all_events("SELECT sum(input_tokens) FROM analytics_usageevent"), "it would be seen"


def test_a_page_of_a_busy_persons_log_reads_little_more_than_it_shows(acme: Organization, user: User) -> None:
    """One of thirty in an organization, with seven hundred calls on a day."""
    record(
        call(organization="acme", user="ann" if n % 30 == 0 else "somebody", at=NOON + timedelta(seconds=n))
        for n in range(21_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE analytics_usageevent")
    log = Log(Viewer.of(user), Selection(NOON.date(), NOON.date()))
    with CaptureQueriesContext(connection) as queries:
        assert len(log.newest().events) == 50
        assert len(log.before(Place(NOON + timedelta(hours=3), 0)).events) == 50
    pages = [query["sql"] for query in queries if "analytics_usageevent" in query["sql"]]
    assert len(pages) == 2
    assert [sql for sql in pages if not 0 < rows_read(sql, "analytics_usageevent") <= 100] == []


def test_a_persons_sums_are_found_without_reading_everybodys(acme: Organization, user: User) -> None:
    """One of two hundred in an organization, on each of thirty days."""
    people = ["ann", *(f"colleague-{n}" for n in range(199))]
    record(
        call(organization="acme", user=person, at=NOON + timedelta(days=day)) for day in range(30) for person in people
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE analytics_rollup")
    report = Report(Viewer.of(user), Selection(NOON.date(), NOON.date() + timedelta(days=29)))
    with CaptureQueriesContext(connection) as queries:
        assert version(report.viewer) == "30"
        assert len(report.series("day")) == 30
        assert report.totals().requests == 30
    sums = [query["sql"] for query in queries if "analytics_rollup" in query["sql"]]
    assert len(sums) == 3
    assert [sql for sql in sums if not 0 < blocks_read(sql) < 50] == []


def rows_read(sql: str, table: str) -> int:
    """How many rows of this table the server looked at to answer."""
    return sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for node in explained(MEASURED, sql)
        if node.get("Relation Name") == table
    )


def blocks_read(sql: str) -> int:
    """How much of tables and indexes the server looked at to answer, in blocks of 8 kB."""
    whole = next(explained(MEASURED, sql))
    return int(whole["Shared Hit Blocks"] + whole["Shared Read Blocks"])
