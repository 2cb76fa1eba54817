"""What plain PostgreSQL can tell about the promise that the ledger can lie on a Citus cluster."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from psycopg.errors import InternalError_, UniqueViolation

from accounts.models import Organization, Role
from accounts.viewer import Viewer
from analytics import pipeline, recording
from analytics.distribution import COLUMN, FUNCTIONS, TABLES
from analytics.export import export_csv, export_jsonl
from analytics.late_pricing import Offer, price_events
from analytics.models import UsageEvent
from analytics.reconciliation import reconcile
from analytics.recording import COPY_FROM, Recorded, record
from analytics.reports import OVERVIEW_QUESTIONS, Log, Place, Report
from analytics.retention import delete_expired
from analytics.selection import Selection
from tests.analytics.calls import MODEL, NOON, call
from tests.cast import make_user, signed_in
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

PARTITIONS = """
SELECT large::text FROM unnest(%s::regclass[]) AS large UNION
SELECT relid::regclass::text FROM unnest(%s::regclass[]) AS large, pg_partition_tree(large)
"""
UNIQUE_WITHOUT_ORGANIZATION = """
SELECT indexrelid::regclass::text FROM pg_index
WHERE indrelid = ANY(%s::regclass[]) AND indisunique AND NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY(indkey) AND attname = %s)
"""
FOREIGN_KEYS = """
SELECT conname FROM pg_constraint
WHERE contype = 'f' AND (conrelid = ANY(%s::regclass[]) OR confrelid = ANY(%s::regclass[]))
"""
TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = ANY(%s::regclass[])"
EXCLUSIONS = "SELECT conname FROM pg_constraint WHERE contype = 'x' AND conrelid = ANY(%s::regclass[])"


def rows(sql: str, *parameters: object) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [value for (value,) in cursor.fetchall()]


@pytest.fixture
def large() -> list[str]:
    """The large tables and their partitions."""
    return rows(PARTITIONS, list(TABLES), list(TABLES))


def test_every_unique_key_of_a_large_table_has_the_organization(large: list[str]) -> None:
    assert {*TABLES} < {*large}
    assert rows(UNIQUE_WITHOUT_ORGANIZATION, large, COLUMN) == []


def test_large_tables_have_no_foreign_keys_triggers_or_exclusions(large: list[str]) -> None:
    assert rows(FOREIGN_KEYS, large, large) == []
    assert rows(TRIGGERS, large) == []
    assert rows(EXCLUSIONS, large) == []


def test_tables_lie_together_because_their_columns_have_one_type(large: list[str]) -> None:
    types = "SELECT DISTINCT atttypid::regtype::text FROM pg_attribute WHERE attrelid = ANY(%s::regclass[])"
    assert rows(f"{types} AND attname = %s", large, COLUMN) == ["bigint"]


def test_functions_in_upserts_are_immutable() -> None:
    volatility = "SELECT provolatile::text FROM pg_proc WHERE oid = ANY(%s::regprocedure[])"
    assert rows(volatility, list(FUNCTIONS)) == ["i"] * len(FUNCTIONS)


# The writer.

Sent = tuple[str, list[str | None]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """The statements that the recorder sends, with their parameters, COPY aside."""
    seen: list[Sent] = []
    run = pipeline.run

    def noted(link: Any, statements: Any) -> None:
        listed = list(statements)
        seen.extend((sql.decode(), [value and value.decode() for value in values]) for sql, values in listed)
        run(link, listed)

    monkeypatch.setattr(pipeline, "run", noted)
    return seen


def organizations(statement: Sent) -> set[str | None]:
    """The organizations that an INSERT ... VALUES names: the parameters in the place of their column."""
    sql, values = statement
    head = re.match(r"INSERT INTO analytics_\w+(?: AS old)? \(([^)]*)\) VALUES \(", sql)
    assert head, sql
    columns = head[1].split(", ")
    return set(values[columns.index(COLUMN) :: len(columns)])


@pytest.mark.parametrize("each", [1, 7, COPY_FROM])
def test_a_transaction_of_the_writer_names_one_organization(
    acme: Organization, globex: Organization, sent: list[Sent], each: int
) -> None:
    calls = [call(organization=slug, session_id=f"s{n}") for n in range(each) for slug in (acme.slug, globex.slug)]
    record(calls)
    transactions = " ".join("|" if sql in ("BEGIN", "COMMIT") else str(organizations((sql, v))) for sql, v in sent)
    named = [set(re.findall(r"\d+", part)) for part in transactions.split("|") if part.strip()]
    assert named == [{str(acme.pk)}, {str(globex.pk)}]
    assert not [sql for sql, _ in sent if re.search(r"\bSELECT\b|\bWITH\b|\bunnest\b", sql)]


def test_a_copy_of_what_is_there_already_fails_without_its_code(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Citus' ReportCopyError passes on a node's message only."""
    copy = recording._copy

    def copied(*given: Any) -> None:
        try:
            copy(*given)
        except UniqueViolation as error:
            raise InternalError_(str(error)) from error

    monkeypatch.setattr(recording, "_copy", copied)
    calls = [call(organization=acme.slug) for _ in range(COPY_FROM + 2)]
    record(calls[:2])
    assert record(calls) == Recorded(COPY_FROM, 2)


def test_what_is_there_already_is_looked_up_in_one_organization(acme: Organization) -> None:
    again = call(organization=acme.slug)
    record([again])
    record([again])
    assert f"{COLUMN} = $1" in recording.FIND_EVENTS


# Upkeep.


def test_upkeep_names_one_organization_for_each_table_and_no_table_of_the_coordinator(acme: Organization) -> None:
    """Then a statement goes to one node as it is. Citus would plan it in parts, which see different moments."""
    calls = [
        call(organization=acme.slug, user="ann"[: 3 * (n % 2)], session_id="s", at=NOON + timedelta(hours=n))
        for n in range(30)
    ]
    record(calls)
    price = make_price(MODEL, at=NOON - timedelta(days=1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE analytics_rollup SET requests = requests + 1, latency_ms_min = 1")
        cursor.execute("UPDATE analytics_session SET errors = 1, model_names = '{}'")
    Organization.objects.filter(pk=acme.pk).update(time_zone="Asia/Tokyo")
    with CaptureQueriesContext(connection) as captured:
        assert reconcile(repair=True).repaired
        assert price_events(Offer(price), acme, by=None).events == len(calls)
        assert delete_expired(acme.pk, NOON.date() + timedelta(days=1))
        assert not reconcile().drifted
    sent = [query["sql"] for query in captured.captured_queries if re.search("|".join(TABLES), query["sql"])]
    assert any("UPDATE analytics_rollup" in sql for sql in sent)
    assert any("UPDATE analytics_session" in sql for sql in sent)
    for sql in sent:
        read_or_changed = re.findall(rf"(?:FROM|JOIN|UPDATE) \"?(?:{'|'.join(TABLES)})", sql)
        assert len(re.findall(rf"{COLUMN}\"? = {acme.pk}\b", sql)) >= len(read_or_changed), sql
        assert named_organizations(sql) == {str(acme.pk)}, sql
        assert not re.search("accounts_|pricing_", sql), sql


# The pages.


@pytest.mark.parametrize("role", [Role.ADMIN, Role.USER])
def test_what_one_organizations_people_ask_goes_to_its_shard(
    acme: Organization, globex: Organization, role: Role
) -> None:
    client = signed_in(make_user("boss", role, acme))
    for slug in (acme.slug, globex.slug):
        record([call(organization=slug, user="boss", session_id="s", at=now() - timedelta(hours=n)) for n in range(5)])
    event = UsageEvent.objects.filter(organization=acme).first()
    assert event is not None
    for page in (
        "",
        "charts/",
        "requests/",
        "sessions/",
        "models/",
        "choices/model/",
        f"requests/{acme.pk}-{event.pk}/",
    ):
        with CaptureQueriesContext(connection) as captured:
            assert client.get(f"/{page}").status_code == 200, page
        for sql in (query["sql"] for query in captured.captured_queries):
            if re.search("|".join(TABLES), sql):
                assert named_organizations(sql) == {str(acme.pk)}, (page, sql)


EVERYTHING = Viewer(Role.SUPER_ADMIN, None, None, sees_cost=True, may_export=True, may_edit_pricing=True)


@pytest.fixture
def events_of_both(acme: Organization, globex: Organization) -> None:
    for slug in (acme.slug, globex.slug):
        record(
            call(organization=slug, user="boss", project="web", session_id="s", at=now() - timedelta(hours=9 * n))
            for n in range(5)
        )


@pytest.fixture
def as_on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.reports.scope.is_distributed", lambda: True)
    monkeypatch.setattr("analytics.export.is_distributed", lambda: True)


def test_what_is_asked_of_all_organizations_is_what_citus_takes_of_several_nodes(
    events_of_both: None, as_on_a_cluster: None
) -> None:
    """It refuses grouping sets, a LIMIT in LATERAL, and a column that is a SELECT."""
    client = signed_in(make_user("root", Role.SUPER_ADMIN))
    for page in ("", "charts/", "requests/", "sessions/", "models/", "choices/model/", "?model=x&feature=chat"):
        with CaptureQueriesContext(connection) as captured:
            assert client.get(f"/{page}").status_code == 200, page
        for sql in (query["sql"] for query in captured.captured_queries):
            if re.search("|".join(TABLES), sql):
                assert not re.search(r"GROUPING|LATERAL", sql), (page, sql)


def test_the_answers_are_the_same_on_a_cluster(events_of_both: None, request: pytest.FixtureRequest) -> None:
    selection = Selection(now().date() - timedelta(days=7), now().date() + timedelta(days=1))

    def answers() -> list[object]:
        report, log = Report(EVERYTHING, selection, OVERVIEW_QUESTIONS), Log(EVERYTHING, selection)
        asked = [report.totals(), *(report.sums_by(name) for name in ("model", "user_id", "organization_id"))]
        return [asked, log.newest(), log.before(Place.of(log.newest().events[3])), *map(list, exported(log))]

    alone = answers()
    request.getfixturevalue("as_on_a_cluster")
    assert answers() == alone


def exported(log: Log) -> Iterator[Iterator[bytes]]:
    """Without the order of rows of one moment."""
    for export in (export_csv, export_jsonl):
        yield iter(sorted(b"".join(export(log)).splitlines()))


def test_nodes_write_the_times_of_an_export_in_its_zone(events_of_both: None, as_on_a_cluster: None) -> None:
    """Citus sends them a SET LOCAL that comes alone in its message, once it was told to."""
    sent: list[str] = []
    with connection.execute_wrapper(lambda run, sql, *given: (sent.append(sql), run(sql, *given))[1]):
        b"".join(export_csv(Log(EVERYTHING, Selection(now().date(), now().date()))))
    told = next(n for n, sql in enumerate(sent) if "citus.propagate_set_commands = 'local'" in sql)
    assert sent[told + 1] == "SET LOCAL TIME ZONE 'UTC'"


def named_organizations(sql: str) -> set[str]:
    """All that a statement compares the column to."""
    compared = re.findall(rf"{COLUMN}\"? (?:=|IN) \(?(\d[\d, ]*)", sql)
    return {number.strip() for numbers in compared for number in numbers.split(",")}
