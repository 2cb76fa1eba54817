"""Retention deletes expired requests, and their sums stay."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db import connection as of_django
from django.utils import timezone

from accounts.models import AuditRecord, Organization
from ledger.models import Rollup, Session, UsageEvent
from ledger.recording.record import record
from ledger.upkeep.retention import delete_expired, delete_expired_everywhere, first_kept_day
from tests.ledger.calls import NOON, call
from tests.ledger.folding import fold_now

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = date(2026, 11, 2)


def days(organization: Organization) -> list[date]:
    return list(UsageEvent.objects.filter(organization=organization).order_by("day").values_list("day", flat=True))


def sums() -> list[tuple[object, ...]]:
    return [*Rollup.objects.order_by("pk").values_list(), *Session.objects.order_by("pk").values_list()]


def record_days(organization: Organization, *ago: int) -> None:
    record([call(organization=organization.slug, session_id="s", at=NOON - timedelta(days=n)) for n in ago])


def record_and_fold(organization: Organization, *ago: int) -> None:
    record_days(organization, *ago)
    fold_now()


def test_expired_requests_go_and_their_sums_stay(acme: Organization, globex: Organization) -> None:
    record_days(acme, 0, 1, 1, 40)
    record_and_fold(globex, 40)
    before = sums()
    assert delete_expired(acme.pk, BEFORE) == 3
    assert (days(acme), len(days(globex))) == ([BEFORE], 1)
    assert sums() == before
    acme.refresh_from_db()
    assert acme.retained_from == BEFORE


def test_it_is_in_the_audit_trail_once(acme: Organization) -> None:
    record_days(acme, 1, 2, 3)
    delete_expired(acme.pk, BEFORE, batch=1)
    delete_expired(acme.pk, BEFORE)
    trail = AuditRecord.objects.get()
    assert (trail.action, trail.actor, trail.organization) == ("requests.delete", None, acme)
    assert trail.changes == {"requests_to_delete": [None, "3"], "retained_from": [None, "2026-11-02"]}


def test_where_nothing_has_expired_nothing_is_said(acme: Organization) -> None:
    record_days(acme, 0)
    assert delete_expired(acme.pk, BEFORE) == 0
    acme.refresh_from_db()
    assert acme.retained_from is None
    assert not AuditRecord.objects.exists()


def test_the_end_of_detail_moves_before_anything_goes(acme: Organization) -> None:
    record_days(acme, 1, 2)
    seen = []

    def look() -> bool:
        seen.append((Organization.objects.get(pk=acme.pk).retained_from, len(days(acme))))
        return False

    delete_expired(acme.pk, BEFORE, should_stop=look)
    assert seen == [(BEFORE, 2)]


def test_it_stops_between_batches_and_goes_on_later(acme: Organization) -> None:
    record_days(acme, 1, 1, 2, 3, 4)
    told: Iterator[bool] = iter((False, True))
    assert delete_expired(acme.pk, BEFORE, batch=2, should_stop=lambda: next(told)) == 2
    assert days(acme) == [BEFORE - timedelta(days=n) for n in (2, 1, 1)], "the oldest go first"
    assert delete_expired(acme.pk, BEFORE, batch=2) == 3


def test_many_of_one_moment_go_in_batches(acme: Organization) -> None:
    record([call(organization=acme.slug, at=NOON - timedelta(days=1)) for _ in range(5)])
    assert delete_expired(acme.pk, BEFORE, batch=2) == 5


def test_a_late_request_counts_and_goes_the_next_night(acme: Organization) -> None:
    record_days(acme, 1)
    delete_expired(acme.pk, BEFORE)
    record_and_fold(acme, 2)
    before = sums()
    assert Session.objects.get().requests == 2
    assert delete_expired(acme.pk, BEFORE) == 1
    assert (sums(), days(acme)) == (before, [])


def test_what_is_in_the_tail_is_folded_first_and_counts(acme: Organization) -> None:
    record_days(acme, 1, 2)
    assert delete_expired(acme.pk, BEFORE) == 2
    fold_now()
    assert Session.objects.get().requests == 2
    assert {row.requests for row in Rollup.objects.filter(cube=21)} == {1}


def test_what_is_still_in_the_tail_stays_for_the_next_night(acme: Organization) -> None:
    """If it were deleted, the same call could come again, and would be refused because of its row of the tail."""
    record_days(acme, 2)
    late = call(organization=acme.slug, at=NOON - timedelta(days=1))
    assert delete_expired(acme.pk, BEFORE, batch=1, should_stop=lambda: not record([late])) == 1
    assert record([late]).duplicates == 1
    assert days(acme) == [BEFORE - timedelta(days=1)]
    assert delete_expired(acme.pk, BEFORE) == 1


def test_the_end_of_detail_never_moves_back(acme: Organization) -> None:
    record_days(acme, 1, 30)
    delete_expired(acme.pk, BEFORE)
    record_days(acme, 30)
    delete_expired(acme.pk, BEFORE - timedelta(days=20))
    acme.refresh_from_db()
    assert acme.retained_from == BEFORE


def test_it_waits_for_whoever_rebuilds_sums(
    acme: Organization, connection: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    record_days(acme, 1)
    with connection.transaction(), of_django.cursor() as cursor:
        connection.execute("SELECT retained_from FROM accounts_organization WHERE id = %s FOR SHARE", [acme.pk])
        cursor.execute("SET lock_timeout = '100ms'")
        try:
            with pytest.raises(OperationalError):
                delete_expired(acme.pk, BEFORE)
        finally:
            cursor.execute("RESET lock_timeout")
    assert len(days(acme)) == 1


def test_calls_are_recorded_meanwhile(acme: Organization) -> None:
    record_days(acme, 1, 2, 3)
    delete_expired(acme.pk, BEFORE, batch=1, should_stop=lambda: bool(record_days(acme, 0)))
    assert days(acme) == [BEFORE] * 3


def test_days_are_kept_by_the_organizations_own_calendar(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        timezone, "now", lambda: datetime(2026, 11, 12, 5, 0, tzinfo=UTC)
    )  # this is the 11th in Los Angeles
    acme.retention_days = 10
    assert first_kept_day(acme) == date(2026, 11, 1)
    acme.retention_days = None
    assert first_kept_day(acme) is None


def test_every_organization_goes_by_its_own_setting(acme: Organization, globex: Organization) -> None:
    ago = (timezone.now() - NOON).days + 10
    for organization in (acme, globex):
        record_days(organization, 0, 100)
    Organization.objects.filter(pk=acme.pk).update(retention_days=ago)
    assert delete_expired_everywhere() == 1
    assert (len(days(acme)), len(days(globex))) == (1, 2)


def test_trouble_in_one_organization_does_not_keep_the_others(
    acme: Organization, globex: Organization, connection: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    Organization.objects.update(retention_days=1)
    for organization in (acme, globex):
        record_days(organization, 1_000)
    with connection.transaction(), of_django.cursor() as cursor:
        connection.execute("SELECT FROM accounts_organization WHERE id = %s FOR SHARE", [acme.pk])
        cursor.execute("SET lock_timeout = '100ms'")
        try:
            with pytest.raises(OperationalError):
                delete_expired_everywhere()
        finally:
            cursor.execute("RESET lock_timeout")
    assert (len(days(acme)), len(days(globex))) == (1, 0)


def command(*arguments: str) -> str:
    said = StringIO()
    call_command("delete_expired", *arguments, stdout=said)
    return said.getvalue()


def test_the_command_counts_before_it_deletes(acme: Organization, globex: Organization) -> None:
    Organization.objects.filter(pk=acme.pk).update(retention_days=1)
    record_days(acme, 1_000, 1_001)
    assert "acme: 2 requests before " in command("--dry-run")
    assert len(days(acme)) == 2
    said = command()
    assert "acme: 2 requests before " in said
    assert "globex: keeps all requests" in said
    assert days(acme) == []


def test_the_command_takes_one_organization(acme: Organization, globex: Organization) -> None:
    Organization.objects.update(retention_days=1)
    for organization in (acme, globex):
        record_days(organization, 1_000)
    command("--organization=globex")
    assert (len(days(acme)), days(globex)) == (1, [])
    with pytest.raises(CommandError, match="no organization 'nobody'"):
        command("--organization=nobody")


def test_two_at_once_delete_each_request_once(acme: Organization) -> None:
    record([call(organization=acme.slug, at=NOON - timedelta(days=1)) for _ in range(40)])
    deleted: list[int] = []

    def run() -> None:
        try:
            deleted.append(delete_expired(acme.pk, BEFORE, batch=3))
        finally:
            of_django.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(deleted), days(acme)) == (40, [])
