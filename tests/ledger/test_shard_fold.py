"""The fold as it runs on a Citus cluster, tried on plain PostgreSQL: it comes to the same sums as the other one."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from psycopg import ClientCursor, OperationalError

from accounts.models import Organization
from groq_client.call import Call
from ledger.models import Fold, Rollup, Session, Tail, UsageEvent
from ledger.recording.pool import ledger_connection
from ledger.recording.record import record
from ledger.rollups import fold, shard_fold
from ledger.rollups.cubes import CUBES
from ledger.upkeep.hold import hold_sums, holding
from tests.ledger.calls import MODEL, NOON, call, failed, usage
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def on_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.citus._is_distributed", True)


def calls_of(slug: str, n: int = 12) -> list[Call]:
    return [
        call(
            (MODEL, "unpriced")[k % 2],
            organization=slug,
            user=("", "ann", "ben")[k % 3],
            project=("", "web")[k % 2],
            session_id=("", "one", "two")[k // 2 % 3],
            feature=("chat", "rag")[k % 2],
            at=NOON + timedelta(hours=7 * k),
            latency_ms=100 + 37 * k,
            usage=usage(100 + k, 10 * k),
        )
        for k in range(n)
    ] + [failed(organization=slug, session_id="one")]


def sums() -> list[list[tuple[Any, ...]]]:
    return [list(model.objects.order_by("pk").values_list()) for model in (Rollup, Session)]


def tail() -> set[str | None]:
    return set(Tail.objects.values_list("request_id", flat=True))


def sums_of_all_events() -> list[list[tuple[Any, ...]]]:
    """What one server's fold makes of all events, whatever has been folded before."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ledger_rollup, ledger_session, ledger_tail")
        columns = ", ".join(field.column for field in Tail._meta.concrete_fields)
        cursor.execute(f"INSERT INTO ledger_tail ({columns}) SELECT {columns} FROM ledger_usageevent")
        cursor.execute(fold.FOLD_SOME, {"at_once": UsageEvent.objects.count()})
    return sums()


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Has something happen once, right before the fold's first statement that begins so."""

    def happens(beginning: str, event: Callable[[], object]) -> None:
        waiting = [event]

        class Cursor(ClientCursor[Any]):
            def execute(self, query: Any, *given: Any, **more: Any) -> Any:
                if waiting and str(query).lstrip().startswith(beginning):
                    waiting.pop()()
                return super().execute(query, *given, **more)

        monkeypatch.setattr(fold, "ClientCursor", Cursor)

    return happens


@pytest.mark.parametrize("at_once", [3, 20_000])
def test_a_fold_of_one_organization_after_the_other_makes_the_same_sums(
    acme: Organization, globex: Organization, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(fold, "AT_ONCE", at_once)
    make_price(MODEL)
    calls = calls_of(acme.slug) + calls_of(globex.slug)
    record(calls[::2])
    assert fold_now() == 13
    record(calls[1::2])
    assert fold_now() == 13
    assert tail() == set()
    assert Fold.objects.get().events > 0
    folded = sums()
    assert {row.cube for row in Rollup.objects.all()} == {cube.number for cube in CUBES}
    assert folded == sums_of_all_events()


@pytest.mark.parametrize(
    "beginning", ["INSERT INTO ledger_session", "INSERT INTO ledger_rollup", "DELETE FROM ledger_tail"]
)
def test_an_event_that_comes_between_two_statements_stays_in_the_tail(
    acme: Organization, before: Callable[..., None], beginning: str
) -> None:
    first, late = calls_of(acme.slug), call(organization=acme.slug, session_id="one")
    record(first)
    before(beginning, lambda: record([late]))
    assert fold_now() == len(first)
    assert tail() == {late.request_id}
    assert fold_now() == 1
    assert sums() == sums_of_all_events()


@pytest.mark.parametrize(
    "beginning",
    [
        "SELECT request_id",
        "INSERT INTO ledger_session",
        "INSERT INTO ledger_rollup",
        "DELETE",
        "INSERT INTO ledger_fold",
    ],
)
def test_a_failure_between_two_statements_changes_nothing_and_holds_up_no_other_organization(
    acme: Organization, globex: Organization, before: Callable[..., None], beginning: str
) -> None:
    def node_goes_away() -> None:
        raise OperationalError("the node is away")

    record(calls_of(acme.slug) + calls_of(globex.slug))
    before(beginning, node_goes_away)
    with pytest.raises(OperationalError, match="the node is away"):
        fold_now()
    assert set(Tail.objects.values_list("organization_id", flat=True)) == {acme.pk}
    assert not Rollup.objects.filter(organization=acme).exists()
    assert not Session.objects.filter(organization=acme).exists()
    assert fold_now() == 13
    assert sums() == sums_of_all_events()


def test_a_row_that_was_folded_by_a_commit_that_came_late_is_not_folded_again(
    acme: Organization, before: Callable[..., None]
) -> None:
    """A node failed in the second phase of a commit, and Citus completes the commit during the next fold."""
    record(calls_of(acme.slug))
    before("DELETE", late_commit)
    with pytest.raises(shard_fold.RowsGoneError):
        fold_now()
    assert sums() == [[], []]
    assert Tail.objects.count() == 12


def late_commit() -> None:
    Tail.objects.filter(request_id=Tail.objects.values("request_id")[:1]).delete()


def test_organizations_are_found_though_a_node_is_away(
    acme: Organization, globex: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Citus asks every node which organizations have a tail, and fails if one of them is away."""
    record(calls_of(globex.slug))
    away = "DO $$ BEGIN RAISE connection_failure; END $$"
    monkeypatch.setattr(shard_fold, "WITH_TAIL", away)
    assert fold_now() == 13
    assert sums() == sums_of_all_events()


def test_holding_the_sums_folds_the_whole_tail_of_one_organization(
    acme: Organization, globex: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.upkeep.hold.AT_ONCE", 3)
    record(calls_of(acme.slug) + calls_of(globex.slug))
    with holding(acme.pk):
        hold_sums(acme.pk)
    assert set(Tail.objects.values_list("organization_id", flat=True)) == {globex.pk}
    fold_now()
    assert sums() == sums_of_all_events()


def test_a_fold_leaves_the_tail_to_a_transaction_that_holds_the_sums(acme: Organization) -> None:
    record(calls_of(acme.slug))
    with holding(acme.pk):
        hold_sums(acme.pk)
        late = call(organization=acme.slug)
        record([late])
        with ledger_connection() as link:
            assert fold.fold_some(link, acme.pk) is None
    assert tail() == {late.request_id}
