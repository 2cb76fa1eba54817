"""Checks on plain PostgreSQL that the ledger can be distributed on a Citus cluster."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from psycopg import ClientCursor

from accounts.models import Organization, Role
from accounts.viewer import Viewer
from analytics.export.export import export_csv, export_jsonl, select
from analytics.pages.overview.questions import OVERVIEW_QUESTIONS
from analytics.reports import Log, LogCursor, Report
from analytics.reports.selection import Selection
from ledger.citus import COLUMN, FUNCTIONS, TABLES
from ledger.models import Tail, UsageEvent
from ledger.recording import known, pipeline
from ledger.recording.record import Recorded, record
from ledger.rollups import fold
from ledger.upkeep.price_backfill import BackfillRequest, price_events
from ledger.upkeep.reconciliation import reconcile
from ledger.upkeep.retention import delete_expired
from tests.cast import make_user, signed_in
from tests.ledger.calls import MODEL, NOON, call
from tests.ledger.folding import fold_now
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
TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = ANY(%s::regclass[]) AND NOT tgisinternal"
"""Citus has some of its own."""
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


@pytest.fixture
def as_on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.citus._is_distributed", True)


# The statements of the writer.

Sent = tuple[str, list[str | None]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """The statements that the recorder sends, with their parameters."""
    seen: list[Sent] = []
    run = pipeline.run

    def noted(link: Any, statements: Any) -> None:
        listed = list(statements)
        seen.extend((sql.decode(), [value and value.decode() for value in values]) for sql, values in listed)
        run(link, listed)

    monkeypatch.setattr(pipeline, "run", noted)
    return seen


def organizations(statement: Sent) -> set[str | None]:
    """The organizations of the rows of an INSERT ... VALUES, read from its parameters."""
    sql, values = statement
    head = re.match(r"INSERT INTO ledger_\w+(?: AS old)? \(([^)]*)\) VALUES \(", sql)
    assert head, sql
    columns = head[1].split(", ")
    return set(values[columns.index(COLUMN) :: len(columns)])


@pytest.mark.parametrize("each", [1, 7, 200])
def test_a_transaction_of_the_writer_names_one_organization(
    acme: Organization, globex: Organization, as_on_a_cluster: None, sent: list[Sent], each: int
) -> None:
    calls = [call(organization=slug, session_id=f"s{n}") for n in range(each) for slug in (acme.slug, globex.slug)]
    assert record(calls) == Recorded(2 * each)
    transactions = " ".join("|" if sql in ("BEGIN", "COMMIT") else str(organizations((sql, v))) for sql, v in sent)
    named = [set(re.findall(r"\d+", part)) for part in transactions.split("|") if part.strip()]
    assert named == [{str(acme.pk)}, {str(globex.pk)}]
    assert not [sql for sql, _ in sent if re.search(r"\bSELECT\b|\bWITH\b|\bunnest\b", sql)]


def test_one_call_is_two_inserts_in_a_transaction(acme: Organization, as_on_a_cluster: None, sent: list[Sent]) -> None:
    record([call(organization=acme.slug, session_id="s")])
    assert [" ".join(sql.split()[:3]) for sql, _ in sent] == [
        "BEGIN",
        "INSERT INTO ledger_usageevent",
        "INSERT INTO ledger_tail",
        "COMMIT",
    ]


def test_what_the_two_inserts_write_is_what_one_statement_writes_on_a_single_server(
    acme: Organization, globex: Organization, request: pytest.FixtureRequest
) -> None:
    make_price(MODEL, at=NOON - timedelta(days=1))

    def written_to(organization: Organization) -> list[list[dict[str, Any]]]:
        record(
            replace(
                call(organization=organization.slug, user="ann", session_id='"s\\', latency_ms=n, ttft_ms=n or None),
                request_id=f"{n}",
            )
            for n in range(3)
        )
        own = {"id", "request_id", "organization_id", "user_id", "received_at", "created_at", "day", "hour"}
        return [
            [
                {name: value for name, value in row.items() if name not in own}
                for row in model.objects.filter(organization=organization).order_by("request_id").values()
            ]
            for model in (UsageEvent, Tail)
        ]

    alone = written_to(acme)
    request.getfixturevalue("as_on_a_cluster")
    assert written_to(globex) == alone
    assert len(alone[0]) == len(alone[1]) == 3


def test_what_is_there_already_is_found_by_the_code_of_the_error(acme: Organization, as_on_a_cluster: None) -> None:
    """Citus passes on the code with which a node refuses an INSERT ... VALUES (ReportResultError)."""
    calls = [call(organization=acme.slug) for _ in range(70)]
    record(calls[:2])
    assert record(calls) == Recorded(68, tuple(calls[:2]))
    assert Tail.objects.count() == 70


def test_what_is_there_already_is_looked_up_in_one_organization(acme: Organization) -> None:
    again = call(organization=acme.slug)
    record([again])
    record([again])
    assert f"{COLUMN} = $1" in known.FIND


# The statements of a fold.


def test_each_statement_of_a_fold_reads_one_organization_and_writes_one_table(
    acme: Organization, globex: Organization, as_on_a_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Cursor(ClientCursor[Any]):
        def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
            seen.append(self.mogrify(query, params))
            return super().execute(query, params, **more)

    monkeypatch.setattr(fold, "ClientCursor", Cursor)
    record([call(organization=slug, session_id="s") for slug in (acme.slug, globex.slug)])
    assert fold_now() == 2
    statements = [sql for sql in seen if re.search("|".join(TABLES), sql)]
    asked = [named_organizations(sql) for sql in statements]
    assert asked == [{str(organization.pk)} for organization in (acme, globex) for _ in range(6)]
    for sql in statements:
        assert len(re.findall(rf"(?:FROM|JOIN|INTO|UPDATE) (?:{'|'.join(TABLES)})", sql)) <= 2, sql
        assert not re.search(r"\bWITH\b|\bctid\b|\bLATERAL\b|accounts_|pricing_", sql), sql
    changed = [found[1] for sql in statements if (found := re.match(r"\s*(?:INSERT INTO|DELETE FROM) (\w+)", sql))]
    assert changed == ["ledger_session", "ledger_rollup", "ledger_rollup", "ledger_tail"] * 2


# The views.


@pytest.fixture
def views() -> dict[str, str]:
    """The definitions of the views on large tables."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT viewname, pg_get_viewdef(viewname::regclass) FROM pg_views WHERE viewname ~ '^ledger_'")
        return dict(cursor.fetchall())


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read tables."""
    if "Relation Name" in plan:
        yield plan
    for node in plan.get("Plans", ()):
        yield from scans(node)


def test_a_view_of_one_organization_reads_each_table_for_that_organization_only(
    acme: Organization, views: dict[str, str]
) -> None:
    """Citus chooses the shards of each table by the conditions that PostgreSQL finds for it."""
    assert {"ledger_current_rollup", "ledger_current_session"} <= views.keys()
    for view in views:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) SELECT * FROM {view} WHERE {COLUMN} = %s", [acme.pk])
            (((explained,),),) = cursor.fetchall()
        read = list(scans(explained["Plan"]))
        assert {"ledger_tail"} < {scan["Relation Name"] for scan in read}, view
        for scan in read:
            conditions = " ".join(scan.get(name, "") for name in ("Index Cond", "Recheck Cond", "Filter"))
            assert f"({COLUMN} = {acme.pk})" in conditions, (view, scan)


def test_a_view_of_all_organizations_can_be_added_up_on_each_node(views: dict[str, str]) -> None:
    """Citus does so if each side of a UNION has the organization as it is in the same place, and each join and GROUP BY
    names it. It does not with what needs the rows of several nodes."""
    for view, definition in views.items():
        for side in definition.split("UNION ALL"):
            assert re.match(rf"\s*SELECT (\w+\.)?{COLUMN},", side), (view, side)
        assert len(re.findall("GROUP BY", definition)) == len(re.findall(rf"GROUP BY \w+\.{COLUMN},", definition)), view
        assert len(re.findall("JOIN", definition)) == len(re.findall(rf"USING \({COLUMN},", definition)), view
        assert definition.count("EXISTS") == len(re.findall(rf"tail\.{COLUMN} = \w+\.{COLUMN}", definition)), view
        assert not re.search(r"GROUPING|LATERAL|LIMIT|OFFSET|\bWITH\b|\bOVER\b|DISTINCT ON", definition), view


# The statements of upkeep.


ABOUT_ALL = f"{COLUMN} = 0|SELECT DISTINCT day FROM ledger_rollup WHERE cube"
"""The statements of upkeep about the sums over all organizations, which read the rows of each."""


def test_upkeep_names_one_organization_for_each_table_and_no_table_of_the_coordinator(
    acme: Organization, as_on_a_cluster: None
) -> None:
    """Such a statement runs unchanged on one node. Citus would split others into parts that see different moments."""
    calls = [
        call(organization=acme.slug, user="ann"[: 3 * (n % 2)], session_id="s", at=NOON + timedelta(hours=n))
        for n in range(30)
    ]
    record(calls[:20])
    fold_now()
    record(calls[20:])
    price = make_price(MODEL, at=NOON - timedelta(days=1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_rollup SET requests = requests + 1, latency_ms_min = 1")
        cursor.execute("UPDATE ledger_session SET errors = 1, model_names = '{}'")
    Organization.objects.filter(pk=acme.pk).update(time_zone="Asia/Tokyo")
    with CaptureQueriesContext(connection) as captured:
        assert reconcile(repair=True).repaired
        assert price_events(BackfillRequest(price), acme, by=None).events == len(calls)
        assert delete_expired(acme.pk, NOON.date() + timedelta(days=1))
        assert not reconcile().drifted
    sent = [" ".join(query["sql"].split()) for query in captured.captured_queries]
    sent = [sql for sql in sent if re.search("|".join(TABLES), sql)]
    for table in ("ledger_rollup", "ledger_session", "ledger_usageevent"):
        assert [sql for sql in sent if re.search(f"(INSERT INTO|UPDATE) {table}", sql)], table
    for sql in sent:
        assert not re.search("accounts_|pricing_", sql), sql
    about_all = [sql for sql in sent if re.search(ABOUT_ALL, sql)]
    assert any(sql.startswith("INSERT INTO ledger_rollup") for sql in about_all)
    for sql in about_all:
        assert named_organizations(sql) <= {"0"}, sql
        assert not re.search(r"GROUPING|LATERAL|FOR (NO KEY )?UPDATE", sql), sql
    for sql in [sql for sql in sent if sql not in about_all]:
        read_or_changed = re.findall(rf"(?:FROM|JOIN|UPDATE) \"?(?:{'|'.join(TABLES)})", sql)
        (organization,) = named_organizations(sql)
        assert len(re.findall(rf"{COLUMN}\"? = {organization}\b", sql)) >= len(read_or_changed), sql


# The statements of the pages.


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


def test_what_is_asked_of_all_organizations_is_what_citus_takes_of_several_nodes(
    events_of_both: None, as_on_a_cluster: None
) -> None:
    """Across nodes, Citus refuses grouping sets, a LIMIT in LATERAL, and a column that is a SELECT."""
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
        return [asked, log.first(), log.before(LogCursor.of(log.first().events[3])), *map(list, exported(log))]

    alone = answers()
    request.getfixturevalue("as_on_a_cluster")
    assert answers() == alone


def exported(log: Log) -> Iterator[Iterator[bytes]]:
    """The lines of an export, sorted, since rows of the same moment come in any order."""
    for export in (export_csv, export_jsonl):
        yield iter(sorted(b"".join(export(log)).splitlines()))


def test_nodes_write_the_times_of_an_export_in_its_zone(events_of_both: None, as_on_a_cluster: None) -> None:
    """If configured to, Citus sends the nodes a SET LOCAL that is the only statement in its message."""
    sent: list[str] = []
    with connection.execute_wrapper(lambda run, sql, *given: (sent.append(sql), run(sql, *given))[1]):
        b"".join(export_csv(Log(EVERYTHING, Selection(now().date(), now().date()))))
    told = next(n for n, sql in enumerate(sent) if "citus.propagate_set_commands = 'local'" in sql)
    assert sent[told + 1] == "SET LOCAL TIME ZONE 'UTC'"


def test_an_export_of_nothing_is_a_statement_that_citus_takes(events_of_both: None) -> None:
    """Citus refuses a "false" below an outer join, but accepts a condition on an organization that does not exist."""
    nobody = Viewer(Role.USER, frozenset(), frozenset(), sees_cost=True, may_export=True, may_edit_pricing=False)
    log = Log(nobody, Selection(now().date(), now().date()))
    statement, parameters = select(log, "request_id")
    assert "false" not in statement.lower()
    assert f'"{COLUMN}" = ' in statement
    assert list(parameters) == [0]
    assert b"".join(export_csv(log)).count(b"\n") == 1
    assert b"".join(export_jsonl(log)) == b""


def named_organizations(sql: str) -> set[str]:
    """All values to which a statement compares the organization's column."""
    compared = re.findall(rf"{COLUMN}\"? (?:=|IN) \(?(\d[\d, ]*)", sql)
    return {number.strip() for numbers in compared for number in numbers.split(",")}
