"""Upkeep of each kind keeps all sums exact, whatever is recorded and folded between any two of its statements, and
together with other upkeep."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import Sum

from accounts import directory
from accounts.directory import Names
from accounts.models import Organization, User
from ledger.models import CurrentRollup, Rollup, Tail, UsageEvent
from ledger.recording.pool import ledger_connection
from ledger.recording.record import record
from ledger.rollups.cubes import CUBES, cube_of
from ledger.rollups.fold import fold_some
from ledger.rollups.tail import TAIL_CUBE
from ledger.upkeep.day_moves import change_days
from ledger.upkeep.merges import KINDS, merge, move
from ledger.upkeep.price_backfill import BackfillRequest, price_events
from ledger.upkeep.reconciliation import reconcile
from ledger.upkeep.retention import delete_expired
from pricing.models import Price
from tests.ledger.calls import NOON, call
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import fold_now
from tests.ledger.recording_meanwhile import recording_meanwhile
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

USED_AT_FIRST = 40
DAYS = 3


@pytest.fixture(autouse=True)
def used(acme: Organization, globex: Organization) -> None:
    """Calls of both organizations over some days, of which some are folded."""
    for folded in (True, False):
        record(
            call(
                "unpriced",
                organization=slug,
                at=NOON + timedelta(hours=5 * n),
                user=("ann", "ben")[n % 2],
                project=("web", "shop")[n // 2 % 2],
                session_id=("one", "two")[n // 4 % 2],
                latency_ms=100 + 37 * n,
            )
            for n in range(USED_AT_FIRST // 4)
            for slug in ("acme", "globex")
        )
        if folded:
            fold_now()


class Interloper:
    """Records a call of the organization on each of its days before each statement of Django's connection, and folds
    unless that is kept off."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, execute: Callable[..., Any], *given: Any) -> Any:
        who = {"organization": "acme", "user": "ben", "project": "shop"}
        for day in range(DAYS):
            self.recorded += 1
            session_id = ("one", "two", "")[self.recorded % 3]
            at = NOON + timedelta(days=day, hours=self.recorded % 24)
            record([call("unpriced", at=at, latency_ms=50 + self.recorded, session_id=session_id, **who)])
        with ledger_connection() as recorders:
            fold_some(recorders)
        return execute(*given)


@contextmanager
def between_all_statements() -> Iterator[Interloper]:
    interloper = Interloper()
    with connection.execute_wrapper(interloper):
        yield interloper
    assert interloper.recorded > 5 * DAYS
    if not Organization.objects.exclude(retained_from=None).exists():
        assert wrong_sums() == []
    fold_now()
    assert reconcile().drifts == []
    assert current_requests() == USED_AT_FIRST + interloper.recorded


def current_requests() -> int:
    rows = CurrentRollup.objects.filter(cube__in=(cube_of().number, TAIL_CUBE))
    return int(rows.aggregate(all=Sum("requests"))["all"])


def test_prices_come_later(acme: Organization) -> None:
    with between_all_statements():
        assert price_events(BackfillRequest(make_price("unpriced")), acme, by=None).events >= USED_AT_FIRST // 2


def test_days_move(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls that are recorded meanwhile are of a process that still knows the old zone."""
    with monkeypatch.context() as patched, between_all_statements():
        patched.setattr(directory, "resolve", resolved_now())
        Organization.objects.filter(pk=acme.pk).update(time_zone="Pacific/Kiritimati")
        assert change_days(acme.pk) >= USED_AT_FIRST // 2
        patched.undo()
        fold_now()
        assert wrong_sums() == []
        assert change_days(acme.pk) > 0
        assert change_days(acme.pk) == 0


def resolved_now() -> Callable[..., Any]:
    """What the directory answers now, as a function that goes on to answer so."""
    with ledger_connection() as recorders:
        answer = directory.resolve(recorders, [Names("acme", "shop", "ben")])
    return lambda *given: answer


@pytest.mark.parametrize("kind", KINDS)
def test_two_become_one(kind: str, acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls that are recorded meanwhile are of a process that still knows the old id."""
    model: Any = KINDS[kind].model
    away, kept = (model.objects.get(organization=acme, **{kind: name}) for name in MERGED[kind])
    with monkeypatch.context() as patched, between_all_statements():
        patched.setattr(directory, "resolve", resolved_now())
        assert merge(away, kept, by=admin)
    of_away = {KINDS[kind].column: away.pk}
    assert UsageEvent.objects.filter(**of_away).exists()
    assert move(KINDS[kind], away.pk) > 0
    assert not UsageEvent.objects.filter(**of_away).exists()
    assert not Rollup.objects.filter(**of_away).exists()
    assert wrong_sums() == []


MERGED = {"handle": ("ben", "ann"), "slug": ("shop", "web")}


def test_requests_expire(acme: Organization) -> None:
    with between_all_statements():
        assert delete_expired(acme.pk, NOON.date() + timedelta(days=2), batch=15) > 2


def test_sums_are_repaired(acme: Organization) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_rollup SET requests = requests + 3, latency_ms_min = 1 WHERE mod(cube, 3) = 0")
        cursor.execute("DELETE FROM ledger_rollup WHERE cube = 27")
        cursor.execute("UPDATE ledger_session SET cost_usd = 5, model_names = '{}'")
    with between_all_statements():
        assert reconcile(repair=True).repaired > 0


def test_all_kinds_at_once(acme: Organization, globex: Organization, admin: User) -> None:
    """Each kind of upkeep runs in a thread, for two organizations, while others record and fold."""
    Organization.objects.filter(pk=globex.pk).update(time_zone="UTC")
    zones = itertools.cycle(("Asia/Kolkata", "America/St_Johns", "UTC"))
    makes = itertools.count()

    def prices() -> None:
        price = Price.objects.create(
            model="unpriced",
            input_usd_per_1k_tokens=Decimal(next(makes)),
            output_usd_per_1k_tokens=Decimal("0.000077777"),
            effective_from=NOON + timedelta(days=30),
        )
        for organization in (acme, globex):
            price_events(BackfillRequest(price), organization, by=None)

    def days() -> None:
        Organization.objects.filter(pk=globex.pk).update(time_zone=next(zones))
        change_days(globex.pk)

    def merges() -> None:
        ben = User.objects.get(organization=acme, handle="ben")
        if ben.merged_into_id is None:
            merge(ben, User.objects.get(organization=acme, handle="ann"), by=admin)
        move(KINDS["handle"], ben.pk)

    with recording_meanwhile([acme, globex]) as written:
        for _ in range(2):
            together(prices, days, merges, lambda: reconcile(repair=True), lambda: delete_expired(acme.pk, NOON.date()))
            assert wrong_sums() == []
    change_days(globex.pk)  # calls of the old zone that were recorded late
    assert wrong_sums() == []
    fold_now()
    assert wrong_sums() == []
    assert not Tail.objects.exists()
    assert current_requests() == UsageEvent.objects.count() == USED_AT_FIRST + len(written)
    for cube in CUBES:
        requests = Rollup.objects.filter(cube=cube.number).aggregate(all=Sum("requests"))["all"]
        assert requests == USED_AT_FIRST + len(written)


def together(*works: Callable[[], object]) -> None:
    """Run functions at the same time, and raise the first error of one."""
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
