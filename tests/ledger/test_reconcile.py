"""Reconciliation finds, reports and repairs wrong sums. Calls that are recorded meanwhile are not reported as drift."""

from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from types import ModuleType
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection as of_django

from accounts.models import AuditRecord, Organization
from ledger.health import Level, examine
from ledger.models import Reconciliation, Rollup, Session, Tail, UsageEvent
from ledger.recording.record import record
from ledger.rollups.cubes import CUBES
from ledger.rollups.fold import LOCK
from ledger.upkeep import rebuild, reconciliation, session_drift
from ledger.upkeep.hold import holding_sums
from ledger.upkeep.reconciliation import reconcile
from ledger.upkeep.retention import delete_expired
from tests.ledger.calls import MODEL, NOON, call, failed
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import fold_now
from tests.ledger.recording_meanwhile import recording_meanwhile
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ledger(acme: Organization, globex: Organization) -> None:
    """Record three days of calls of every kind in two organizations."""
    make_price(MODEL, at=NOON - timedelta(days=30))
    record(
        kind(
            organization=(acme, globex)[n % 2].slug,
            at=NOON + timedelta(hours=n),
            user=("", "ann", "ben")[n % 3],
            session_id=("", "one", "two")[n // 3 % 3],
            latency_ms=10 * n + 1,
            model=(MODEL, "unpriced")[n % 4 // 3],
        )
        for n in range(60)
        for kind in (call, failed)
    )
    fold_now()


def everything() -> list[Any]:
    return [list(table.objects.order_by("pk").values()) for table in (Rollup, Session)]


def sql(statement: str, *values: object) -> None:
    with of_django.cursor() as cursor:
        cursor.execute(statement, values)


def test_a_ledger_that_is_right_has_no_drift(ledger: None) -> None:
    result = reconcile()
    assert (result.compared, result.drifted, result.repaired, result.drifts) == (7 + 4, 0, 0, []), (
        "days of both organizations, and of all"
    )
    assert Reconciliation.objects.latest() == result


@pytest.mark.parametrize("comparing", [reconciliation, session_drift])
def test_what_retention_deletes_while_it_is_compared_is_no_drift(
    ledger: None, acme: Organization, monkeypatch: pytest.MonkeyPatch, comparing: ModuleType
) -> None:
    rows_of, times = rebuild.rows_of, iter([1])

    def after_a_deletion(*given: Any) -> list[dict[str, Any]]:
        if next(times, 0):
            assert delete_expired(acme.pk, NOON.date() + timedelta(days=9))
        return rows_of(*given)

    monkeypatch.setattr(comparing, "rows_of", after_a_deletion)
    assert reconcile([acme]).drifted == 0
    assert not next(times, 0)


DAMAGE = {
    "a sum": "UPDATE ledger_rollup SET input_tokens = input_tokens + 1 WHERE cube = 2",
    "money": "UPDATE ledger_rollup SET cost_usd = cost_usd - 1 WHERE cube = 9",
    "an extreme": "UPDATE ledger_rollup SET latency_ms_min = latency_ms_min - 1 WHERE cube = 10",
    "a row too few": "DELETE FROM ledger_rollup WHERE cube = 4",
    "all rows": "DELETE FROM ledger_rollup",
    "a row too many": "UPDATE ledger_rollup SET feature = 'x' WHERE cube = 1",
    "rows in another cube": "UPDATE ledger_rollup SET cube = 25 WHERE cube = 12",
    "a sum over all organizations": "UPDATE ledger_rollup SET total_tokens = total_tokens + 1 WHERE cube = 23",
    "an extreme of all organizations": "UPDATE ledger_rollup SET latency_ms_max = 1 WHERE cube = 28",
    "a row of all organizations too few": "DELETE FROM ledger_rollup WHERE cube = 29 AND hour < 12",
    "rows of all organizations too many": "UPDATE ledger_rollup SET day = day + 40 WHERE organization_id = 0",
    "events": "DELETE FROM ledger_usageevent WHERE mod(id, 3) = 0",
    "all events": "DELETE FROM ledger_usageevent",
    "a session's sum": "UPDATE ledger_session SET total_tokens = 0",
    "a session's days": "UPDATE ledger_session SET first_day = first_day + 40, last_day = last_day + 40",
    "a session's names": "UPDATE ledger_session SET model_names = '{}'",
    "a session too few": "DELETE FROM ledger_session WHERE session_id = 'one'",
    "a session too many": "UPDATE ledger_session SET session_id = 'x' WHERE session_id = 'one'",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_is_wrong_is_found_and_made_right(ledger: None, damage: str) -> None:
    right = everything()
    sql(DAMAGE[damage])
    wrong = everything()
    found = reconcile()
    assert found.unrepaired == found.drifted > 0
    assert everything() == wrong
    repaired = reconcile(repair=True)
    assert (repaired.drifted, repaired.unrepaired) == (found.drifted, 0)
    assert reconcile().drifted == 0
    if "events" not in damage:
        assert everything() == right
    elif damage == "all events":
        assert everything() == [[], []]


def test_an_event_on_the_wrong_day_is_found_and_moved(ledger: None) -> None:
    right = everything()
    sql("UPDATE ledger_usageevent SET day = day + 1 WHERE model = 'unpriced'")
    reconcile(repair=True)
    assert reconcile().drifted == 0
    assert everything() == right


def test_the_command_tells_where_and_by_how_much(ledger: None, acme: Organization) -> None:
    sql("UPDATE ledger_rollup SET cost_usd = cost_usd + 5 WHERE cube = 1 AND organization_id = %s", acme.pk)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile", stdout=out)
    assert ended.value.code == 1
    assert "acme 2026-11-03 cube 1 (feature) cost_usd: 2 wrong, by +0.00000001\n" in out.getvalue()
    assert "globex" not in out.getvalue()
    call_command("reconcile", organization="acme", repair=True, stdout=out)
    assert "3 drifted, 3 repaired" in out.getvalue()
    call_command("reconcile", stdout=out)


def test_a_range_and_an_organization_bound_what_is_looked_at(ledger: None, acme: Organization) -> None:
    sql("UPDATE ledger_rollup SET requests = requests + 1 WHERE cube = 1")
    sql("UPDATE ledger_session SET requests = requests + 1")
    result = reconcile([acme], date(2026, 11, 3), date(2026, 11, 3), repair=True)
    assert (result.compared, result.organization) == (1, acme)
    assert not Rollup.objects.filter(organization=acme, day=date(2026, 11, 3), requests__gt=28).exists()
    assert reconcile([acme]).drifted == 2
    assert reconcile().drifted > 2


def test_a_repair_or_a_clean_look_at_one_organization_makes_health_green(ledger: None, acme: Organization) -> None:
    def sums() -> Level:
        return next(finding.level for finding in examine() if finding.name == "sums")

    sql("UPDATE ledger_rollup SET requests = requests + 1 WHERE cube = 1 AND organization_id = %s", acme.pk)
    sql("UPDATE ledger_session SET requests = requests + 1 WHERE organization_id = %s", acme.pk)
    reconcile()
    assert sums() == Level.RED
    reconcile([acme], last=date(2026, 11, 2), repair=True)
    assert sums() == Level.RED
    reconcile([acme], repair=True)
    assert sums() == Level.OK
    reconcile([acme])
    assert sums() == Level.OK


def test_the_sums_over_all_organizations_are_told_repaired_and_audited(ledger: None) -> None:
    right = everything()
    sql("UPDATE ledger_rollup SET requests = requests + 2 WHERE cube = 21 AND day = '2026-11-03'")
    was = Rollup.objects.filter(cube=21, day=date(2026, 11, 3)).values_list("requests", flat=True)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("reconcile", stdout=out)
    assert "all organizations 2026-11-03 cube 21 (totals) requests: 2 wrong, by +4\n" in out.getvalue()
    changes = [str(sum(was)), str(sum(was) - 4)]
    assert reconcile(repair=True).repaired == 1
    assert everything() == right
    entry = AuditRecord.objects.get(action="ledger.repair")
    assert (entry.subject, entry.organization) == ("Sums of 2026-11-03", None)
    assert entry.changes == {"cube 21 (totals): requests": changes}


def test_only_a_look_at_all_organizations_settles_the_sums_over_all(ledger: None, acme: Organization) -> None:
    def sums() -> Level:
        return next(finding.level for finding in examine() if finding.name == "sums")

    sql("UPDATE ledger_rollup SET requests = requests + 1 WHERE cube = 24")
    assert reconcile().open_ranges == [(0, date(2026, 11, 2), date(2026, 11, 5))]
    assert sums() == Level.RED
    assert reconcile([acme], repair=True).drifted == 0
    assert sums() == Level.RED
    reconcile(repair=True, first=date(2026, 11, 3))
    assert sums() == Level.RED
    reconcile(repair=True)
    assert sums() == Level.OK


def test_the_sums_over_all_organizations_follow_the_repair_of_one(ledger: None, acme: Organization) -> None:
    right = everything()
    sql("UPDATE ledger_rollup SET requests = requests + 1, latency_ms_max = 9 WHERE cube IN (1, 8, 11, 21, 29)")
    reconcile([acme, Organization.objects.exclude(pk=acme.pk).get(slug="globex")], repair=True)
    assert everything() == right


def test_what_is_in_the_tail_is_no_drift(ledger: None, connection: "psycopg.Connection[Any]") -> None:
    record(call(organization="acme", at=NOON + timedelta(hours=n), session_id="one", user="ann") for n in range(20))
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])  # so that nobody folds
        assert reconcile().drifts == []
        assert Tail.objects.count() == 20
    assert reconcile().drifts == []
    assert not Tail.objects.exists(), "as much as possible is compared"


def test_an_event_whose_row_of_the_tail_is_lost_is_found_and_added(ledger: None) -> None:
    record([call(organization="acme", session_id="one", user="ann")])
    sql("DELETE FROM ledger_tail")
    assert wrong_sums()
    assert reconcile(repair=True).repaired > 0
    assert wrong_sums() == []


def test_a_repair_is_in_the_audit_trail(ledger: None, acme: Organization) -> None:
    sql("UPDATE ledger_rollup SET requests = 0 WHERE cube = 1 AND organization_id = %s", acme.pk)
    before = Rollup.objects.filter(cube=2, organization=acme, day=date(2026, 11, 3)).values_list("requests", flat=True)
    reconcile(repair=True)
    entry = AuditRecord.objects.get(subject="Sums of 2026-11-03")
    assert (entry.action, entry.organization, entry.actor) == ("ledger.repair", acme, None)
    assert entry.changes == {"cube 1 (feature): requests": ["0", str(sum(before))]}


def test_days_whose_events_are_gone_are_left_as_they_are(ledger: None, acme: Organization) -> None:
    kept = everything()
    Organization.objects.update(retained_from=date(2026, 11, 4))
    sql("DELETE FROM ledger_usageevent WHERE day < '2026-11-04'")
    assert reconcile(repair=True).drifted == 0
    assert everything() == kept
    sql("UPDATE ledger_rollup SET requests = requests + 1 WHERE day < '2026-11-04' AND organization_id > 0")
    assert [drift for drift in reconcile(repair=True).drifts if not drift.startswith("all organizations")] == []
    assert reconcile().drifted == 0, "the sums over all organizations follow those of each, whose events are gone"


def test_what_is_recorded_meanwhile_is_neither_drift_nor_lost(ledger: None, acme: Organization) -> None:
    with recording_meanwhile([acme]) as written:
        for _ in range(3):
            assert reconcile().drifted == 0
            with holding_sums():  # because these statements lock rows in any order and could deadlock with a fold
                sql("UPDATE ledger_rollup SET requests = requests + 3, latency_ms_min = latency_ms_min + 7")
                sql("DELETE FROM ledger_rollup WHERE cube = 5")
                sql("UPDATE ledger_session SET cost_usd = cost_usd + 1, model_names = '{}'")
            assert reconcile(repair=True).unrepaired == 0
    fold_now()
    assert reconcile().drifted == 0
    assert wrong_sums() == []
    assert len(written) > 0
    assert UsageEvent.objects.count() == 120 + len(written)
    for cube in CUBES:
        rows = Rollup.objects.filter(cube=cube.number)
        assert sum(row.requests for row in rows) == 120 + len(written)
    assert sum(row.cost_usd for row in Rollup.objects.filter(cube=1)) == sum(
        (event.cost_usd or Decimal(0) for event in UsageEvent.objects.all()), Decimal(0)
    )
