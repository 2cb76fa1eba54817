"""Migrations that move data do it for a ledger that has some."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.models import Organization
from analytics.models import Rollup, Session, UsageEvent
from analytics.recording import record
from analytics.rollup_sql import KEY
from tests.analytics.calls import NOON, call

BEFORE_THE_PERSON = "0008_union_of_arrays"


def migrate(name: str) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([("analytics", name)])


def latency_by_model() -> list[dict[str, object]]:
    """Of Acme alone: calls of other tests may end late."""
    rows = Rollup.objects.filter(cube=10, organization__slug="acme")
    return list(rows.order_by("day", "model", "status", "latency_bucket").values())


def newest() -> str:
    leaves = MigrationExecutor(connection).loader.graph.leaf_nodes()
    return max(name for app, name in leaves if app == "analytics")


@pytest.mark.django_db(transaction=True)
def test_latency_by_model_is_made_of_events_that_are_there(acme: Organization) -> None:
    record([call(organization="acme", model=f"m{n % 3}", latency_ms=10 * 2**n) for n in range(12)])
    written = latency_by_model()
    try:
        migrate("0001_initial")
        migrate("0003_fill_latency_by_model")
        assert latency_by_model() == written
        assert len(written) == 12
    finally:
        migrate(newest())


@pytest.mark.django_db(transaction=True)
def test_sessions_are_made_of_events_that_are_there(acme: Organization, globex: Organization) -> None:
    """Those of somebody and of nobody in two organizations; calls without a session are in none."""
    record(
        call(
            f"m{n % 3}",
            organization=("acme", "globex")[n % 2],
            user=("", "ann")[n % 3 % 2],
            session_id=session,
            project=("", "p")[n % 2],
            expert_id=f"e{n % 2}",
            template_id=f"t{n % 4}",
        )
        for n in range(12)
        for session in ("", "one", "two")
    )
    written = list(Session.objects.order_by("pk").values())
    try:
        migrate("0003_fill_latency_by_model")
        migrate("0006_fill_sessions")
        assert list(Session.objects.order_by("pk").values()) == written
        assert len(written) == 8
    finally:
        migrate(newest())


def person_and_latency() -> list[dict[str, object]]:
    """Of Acme alone: calls of other tests may end late."""
    rows = Rollup.objects.filter(cube__in=(8, 11), organization__slug="acme")
    return list(rows.order_by(*KEY).values())


@pytest.mark.django_db(transaction=True)
def test_cubes_of_a_person_and_of_latency_are_made_as_recording_makes_them(acme: Organization) -> None:
    """Failed and estimated calls, of somebody and of nobody; and what was filled is not lost with its events."""
    record(
        call(
            ("priced/a", "free")[n % 2],
            organization="acme",
            at=NOON - timedelta(hours=13 * (n % 3)),
            user=("", "ann")[n % 2],
            project=("", "p")[n // 2 % 2],
            expert_id=f"e{n % 2}",
            template_id=f"t{n // 3 % 2}",
            feature=("chat", "rag")[n // 4 % 2],
            latency_ms=10 * 2 ** (n % 9),
            ttft_ms=(None, 5)[n % 2],
            error_code=("", "timeout")[n % 5 == 0],
        )
        for n in range(24)
    )
    written = person_and_latency()
    assert {row["cube"] for row in written} == {8, 11}
    try:
        migrate(BEFORE_THE_PERSON)
        migrate("0010_fill_person_and_latency_cubes")
        assert person_and_latency() == written
        UsageEvent.objects.all().delete()
        migrate("0009_person_and_latency_cubes")
        migrate("0010_fill_person_and_latency_cubes")
        assert person_and_latency() == written
    finally:
        migrate(newest())
