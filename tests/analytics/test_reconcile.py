"""Sums that are wrong are found, told and repaired; what is being recorded meanwhile is no drift."""

from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from types import ModuleType
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from accounts.models import AuditRecord, Organization
from analytics import rebuild, reconciliation, session_drift
from analytics.cubes import CUBES
from analytics.models import Reconciliation, Rollup, Session, UsageEvent
from analytics.reconciliation import reconcile
from analytics.recording import record
from analytics.retention import delete_expired
from tests.analytics.calls import MODEL, NOON, call, failed
from tests.analytics.recording_meanwhile import recording_meanwhile
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ledger(acme: Organization, globex: Organization) -> None:
    """Three days of calls of every kind in two organizations."""
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


def everything() -> list[Any]:
    return [list(table.objects.order_by("pk").values()) for table in (Rollup, Session)]


def sql(statement: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_a_ledger_that_is_right_has_no_drift(ledger: None) -> None:
    result = reconcile()
    assert (result.compared, result.drifted, result.repaired, result.drifts) == (7, 0, 0, [])
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
    "a sum": "UPDATE analytics_rollup SET input_tokens = input_tokens + 1 WHERE cube = 2",
    "money": "UPDATE analytics_rollup SET cost_usd = cost_usd - 1 WHERE cube = 9",
    "an extreme": "UPDATE analytics_rollup SET latency_ms_min = latency_ms_min - 1 WHERE cube = 10",
    "a row too few": "DELETE FROM analytics_rollup WHERE cube = 4",
    "all rows": "DELETE FROM analytics_rollup",
    "a row too many": "UPDATE analytics_rollup SET feature = 'x' WHERE cube = 1",
    "events": "DELETE FROM analytics_usageevent WHERE mod(id, 3) = 0",
    "all events": "DELETE FROM analytics_usageevent",
    "a session's sum": "UPDATE analytics_session SET total_tokens = 0",
    "a session's days": "UPDATE analytics_session SET first_day = first_day + 40, last_day = last_day + 40",
    "a session's names": "UPDATE analytics_session SET model_names = '{}'",
    "a session too few": "DELETE FROM analytics_session WHERE session_id = 'one'",
    "a session too many": "UPDATE analytics_session SET session_id = 'x' WHERE session_id = 'one'",
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
    sql("UPDATE analytics_usageevent SET day = day + 1 WHERE model = 'unpriced'")
    reconcile(repair=True)
    assert reconcile().drifted == 0
    assert everything() == right


def test_the_command_tells_where_and_by_how_much(ledger: None, acme: Organization) -> None:
    sql("UPDATE analytics_rollup SET cost_usd = cost_usd + 5 WHERE cube = 1 AND organization_id = %s", acme.pk)
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
    sql("UPDATE analytics_rollup SET requests = requests + 1 WHERE cube = 1")
    sql("UPDATE analytics_session SET requests = requests + 1")
    result = reconcile([acme], date(2026, 11, 3), date(2026, 11, 3), repair=True)
    assert (result.compared, result.organization) == (1, acme)
    assert not Rollup.objects.filter(organization=acme, day=date(2026, 11, 3), requests__gt=28).exists()
    assert reconcile([acme]).drifted == 2
    assert reconcile().drifted > 2


def test_a_repair_is_in_the_audit_trail(ledger: None, acme: Organization) -> None:
    sql("UPDATE analytics_rollup SET requests = 0 WHERE cube = 1 AND organization_id = %s", acme.pk)
    before = Rollup.objects.filter(cube=2, organization=acme, day=date(2026, 11, 3)).values_list("requests", flat=True)
    reconcile(repair=True)
    entry = AuditRecord.objects.get(subject="Sums of 2026-11-03")
    assert (entry.action, entry.organization, entry.actor) == ("ledger.repair", acme, None)
    assert entry.changes == {"cube 1 (feature): requests": ["0", str(sum(before))]}


def test_days_whose_events_are_gone_are_left_as_they_are(ledger: None, acme: Organization) -> None:
    kept = everything()
    Organization.objects.update(detail_from=date(2026, 11, 4))
    sql("DELETE FROM analytics_usageevent WHERE day < '2026-11-04'")
    assert reconcile(repair=True).drifted == 0
    assert everything() == kept
    sql("UPDATE analytics_rollup SET requests = requests + 1 WHERE day < '2026-11-04'")
    assert reconcile().drifted == 0


def test_what_is_recorded_meanwhile_is_neither_drift_nor_lost(ledger: None, acme: Organization) -> None:
    with recording_meanwhile([acme]) as written:
        for _ in range(3):
            assert reconcile().drifted == 0
            with transaction.atomic():
                # Without writers: it takes the rows in any order, and would wait for each other with them for ever.
                sql("LOCK TABLE analytics_usageevent IN EXCLUSIVE MODE")
                sql("UPDATE analytics_rollup SET requests = requests + 3, latency_ms_min = latency_ms_min + 7")
                sql("DELETE FROM analytics_rollup WHERE cube = 5")
                sql("UPDATE analytics_session SET cost_usd = cost_usd + 1, model_names = '{}'")
            assert reconcile(repair=True).unrepaired == 0
    assert reconcile().drifted == 0
    assert len(written) > 0
    assert UsageEvent.objects.count() == 120 + len(written)
    for cube in CUBES:
        rows = Rollup.objects.filter(cube=cube.number)
        assert sum(row.requests for row in rows) == 120 + len(written)
    assert sum(row.cost_usd for row in Rollup.objects.filter(cube=1)) == sum(
        (event.cost_usd or Decimal(0) for event in UsageEvent.objects.all()), Decimal(0)
    )
