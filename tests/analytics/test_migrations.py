"""Migrations that move data do it for a ledger that has some."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.models import Organization
from analytics.models import Rollup, Session
from analytics.recording import record
from tests.analytics.calls import call


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
