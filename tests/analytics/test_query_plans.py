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
from analytics.export import export
from analytics.reports import GroupedTable, Log, LogCursor, Report, largest_first, number_recorded, provider_health
from analytics.reports.selection import Selection
from benchmarks import generate
from ledger.models import Rollup, Session, UsageEvent
from ledger.recording.record import record
from ledger.rollups.cubes import OF_ALL
from tests.cast import make_user, signed_in
from tests.ledger.calls import NOON, call
from tests.ledger.folding import fold_now

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = 40_000
DAYS = 60
NOW = datetime.now(UTC)
TODAY = NOW.date()
MEASURED = "ANALYZE, BUFFERS"
SUMS_OF_ALL = {f"ledger_rollup_{cube.number}" for cube in OF_ALL}
IN_THE_MIDDLE, LONG_AGO = (LogCursor(NOW - timedelta(days=days), 0) for days in (DAYS // 2, DAYS - 2))
PATHS = (
    "/?range=7d&group=model", "/?range=all&group=user", "/?range=all&group=feature",
    "/?range=7d", "/?range=all", "/?range=7d&feature=rag&model=groq/compound", "/charts/?range=7d", "/models/?range=7d",
    "/models/?range=all&provider=all&cost_on=openai/gpt-oss-20b",
    "/sessions/?range=all", "/my-usage/", "/choices/model/?range=7d", "/choices/user/?range=7d",
    "/my-usage/?range=all", "/my-usage/?range=all&group=model", "/my-usage/charts/?range=7d",
    "/requests/?range=all", "/requests/?range=all&status=error", "/requests/?range=all&q=req_1",
    "/requests/?range=all&model=groq/compound", "/requests/?range=all&model=nobody/uses-it",
    f"/requests/?range=all&before={IN_THE_MIDDLE}", f"/requests/?range=all&after={IN_THE_MIDDLE}",
    f"/requests/?range=all&before={LONG_AGO}", "/?range=7d&change=1", "/requests/?range=all&sort=oldest",
    "/requests/?range=all&sort=cost", "/requests/?range=all&sort=tokens&feature=rag&model=groq/compound",
)  # fmt: skip


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> list[User]:
    """One of each role; the Admin and the User are of the largest organization."""
    monkeypatch.setattr(generate, "DAYS", DAYS)
    generate.people_and_prices(organizations=10)
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


def test_no_page_reads_all_events(people: list[User], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(largest_first, "AT_MOST", EVENTS // 100)
    found, count = [], 0
    for person in people:
        client = signed_in(person)
        for path in PATHS:
            with CaptureQueriesContext(connection) as queries:
                response = client.get(path, follow=True)
            assert response.status_code in (200, 404), path
            questions = {query["sql"] for query in queries if query["sql"].lstrip().startswith(("SELECT", "WITH"))}
            count += len(questions)
            found += [f"{person} {path}: {sql}" for sql in questions if reads_all_events(sql)]
        for days in (1, 7):
            log = Log(Viewer.of(person), Selection(TODAY - timedelta(days=days), TODAY))
            if reads_all_events(*export.select(log, "event.*")):
                found.append(f"{person} export of {days} days")
    assert not found, "\n".join(found)
    assert count > 200
    assert reads_all_events("SELECT sum(input_tokens) FROM ledger_usageevent"), "it would be seen"


def test_a_page_of_a_busy_persons_log_reads_little_more_than_it_shows(acme: Organization, user: User) -> None:
    """One of thirty in an organization, with seven hundred calls on a day."""
    record(
        call(organization="acme", user="ann" if n % 30 == 0 else "somebody", at=NOON + timedelta(seconds=n))
        for n in range(21_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ledger_usageevent")
    log = Log(Viewer.of(user), Selection(NOON.date(), NOON.date()))
    with CaptureQueriesContext(connection) as queries:
        assert len(log.first().events) == 50
        assert len(log.before(LogCursor(NOON + timedelta(hours=3), 0)).events) == 50
    pages = [query["sql"] for query in queries if "ledger_usageevent" in query["sql"]]
    assert len(pages) == 2
    assert [sql for sql in pages if not 0 < rows_read(sql, "ledger_usageevent") <= 100] == []


def test_a_persons_sums_are_found_without_reading_everybodys(acme: Organization, user: User) -> None:
    """One of two hundred in an organization, on each of thirty days."""
    people = ["ann", *(f"colleague-{n}" for n in range(199))]
    record(
        call(organization="acme", user=person, at=NOON + timedelta(days=day)) for day in range(30) for person in people
    )
    fold_now()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ledger_rollup, ledger_tail")
    report = Report(Viewer.of(user), Selection(NOON.date(), NOON.date() + timedelta(days=29)))
    with CaptureQueriesContext(connection) as queries:
        assert number_recorded(report.viewer) == 30
        assert len(report.series("day")) == 30
        assert report.totals().requests == 30
    sums = [query["sql"] for query in queries if "ledger_current_rollup" in query["sql"]]
    assert len(sums) == 3
    assert [sql for sql in sums if not 0 < blocks_read(sql) < 50] == []


def test_the_page_of_a_session_reads_the_days_of_its_person_alone(acme: Organization, user: User) -> None:
    """One of forty in an organization, half of whose calls are in the session."""
    record(
        call(
            organization="acme", user="somebody" if n % 40 else "ann",
            session_id="talk" if n % 80 == 0 else f"other-{n}", at=NOON + timedelta(seconds=n),
        )
        for n in range(8_000)
    )  # fmt: skip
    fold_now()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ledger_usageevent, ledger_session, ledger_tail")
    path = f"/sessions/{acme.pk}-{user.pk}/?id=talk"
    questions = asked(user, path, '"ledger_usageevent"')
    assert len(questions) == 2, "messages and sums"
    assert [sql for sql in questions if not 0 < rows_read(sql, "ledger_usageevent") <= 200] == []
    (sql,) = asked(user, path, "ledger_current_session")
    assert blocks_read(sql) < 50


def test_a_tail_costs_a_page_little(people: list[User]) -> None:
    """Of two thousand events of ten organizations, two hundred of them of the largest."""
    record(
        call(generate.MODELS[0], organization=f"org-{n % 10:02}", session_id=f"tail-{n}", at=NOW, user=f"u{n % 3}")
        for n in range(2_000)
    )
    boss, admin, user = people
    for path in ("/charts/?range=7d", "/charts/?range=all", "/models/?range=all", "/choices/feature/?range=7d"):
        for sql in asked(boss, path, "ledger_current_rollup"):
            assert tables_read(sql) - {"ledger_tail"} < SUMS_OF_ALL, f"{path} {sql}"
    assert "ledger_rollup_5" in tables_read(asked(boss, "/choices/user/?range=7d", "ledger_current_rollup")[-1])
    for person in (admin, user):
        for path in ("/?range=7d", "/charts/?range=7d", "/models/?range=7d"):
            for sql in asked(person, path, "ledger_current_rollup"):
                assert rows_read(sql, "ledger_tail") == 200, f"{person} {path} {sql}"
        (sql,) = asked(person, "/sessions/?range=all", "ledger_tail_session")
        assert rows_read(sql, "ledger_tail") == 200
    for sort in ("recent", "cost", "tokens", "requests"):
        for person in (boss, admin):
            (sql,) = asked(person, f"/sessions/?range=all&sort={sort}", "ledger_tail_session")
            assert is_read_along_an_index(sql), f"{person} {sort} {sql}"


def test_the_health_of_the_last_hour_reads_little_more_than_the_hour(people: list[User]) -> None:
    """Two hundred calls of ten organizations in the last hour, beside the forty thousand of sixty days."""
    last_hour = [NOW - timedelta(seconds=15 * n) for n in range(200)]
    boss, admin, _ = people
    busy = make_user("busy", Role.USER, admin.organization)
    record(
        call(generate.MODELS[0], organization=f"org-{n % 10:02}", at=at, user="busy" if n % 20 else "idle")
        for n, at in enumerate(last_hour)
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ledger_usageevent")
    for person, most in ((boss, 400), (admin, 100), (busy, 60)):
        viewer = Viewer.of(person)
        with CaptureQueriesContext(connection) as queries:
            assert provider_health(viewer, NOW)
        (sql,) = [query["sql"] for query in queries]
        assert 0 < rows_read(sql, "ledger_usageevent") <= most, person


def test_grouped_tables_read_the_sums_alone(people: list[User]) -> None:
    """Also of two dimensions that no small cube has."""
    for person in people:
        viewer = Viewer.of(person)
        for dimensions in (("model",), ("user_id", "model"), ("project_id", "feature"), ("organization_id", "status")):
            with CaptureQueriesContext(connection) as queries:
                assert GroupedTable(viewer, Selection(TODAY - timedelta(days=DAYS), TODAY), "month", dimensions).rows()
            questions = [query["sql"] for query in queries if "ledger_" in query["sql"]]
            assert len(questions) == 1
            assert UsageEvent._meta.db_table not in tables_read(questions[0]), f"{person} {dimensions}"


def asked(person: User, path: str, view: str) -> list[str]:
    """The questions of a page that read a view."""
    with CaptureQueriesContext(connection) as queries:
        assert signed_in(person).get(path).status_code == 200
    found = [query["sql"] for query in queries if view in query["sql"]]
    assert found
    return [sql.partition(" FOR ")[2] if sql.startswith("DECLARE") else sql for sql in found]


def tables_read(sql: str) -> set[str]:
    return {node["Relation Name"] for node in explained("ANALYZE false", sql) if "Relation Name" in node}


def is_read_along_an_index(sql: str) -> bool:
    """Whether the stored sessions are read in an order that an index has, so that a page needs only the first of
    them."""
    return any(
        node["Node Type"] == "Incremental Sort" and part.get("Alias") == "ledger_session"
        for node in explained("ANALYZE false", sql)
        for part in node.get("Plans", ())
    )


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
