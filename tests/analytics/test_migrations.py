"""Migrations that move data do it for a ledger that has some."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from accounts.models import Organization
from analytics.models import Rollup
from analytics.recording import record
from tests.analytics.calls import call


def migrate(name: str) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([("analytics", name)])


def latency_by_model() -> list[dict[str, object]]:
    return list(Rollup.objects.filter(cube=10).order_by("day", "model", "status", "latency_bucket").values())


@pytest.mark.django_db(transaction=True)
def test_latency_by_model_is_made_of_events_that_are_there(acme: Organization) -> None:
    newest = max(name for app, name in MigrationExecutor(connection).loader.graph.leaf_nodes() if app == "analytics")
    record([call(organization="acme", model=f"m{n % 3}", latency_ms=10 * 2**n) for n in range(12)])
    written = latency_by_model()
    try:
        migrate("0001_initial")
        migrate("0003_fill_latency_by_model")
        assert latency_by_model() == written
        assert len(written) == 12
    finally:
        migrate(newest)
