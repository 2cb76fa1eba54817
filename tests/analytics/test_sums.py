"""What the writer adds to rollups and sessions is what SQL makes of the stored events."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Organization
from analytics.models import Rollup, Session
from analytics.recording import record
from analytics.rollup_sql import add_to_rollups
from analytics.session_sql import add_to_sessions
from groq_client.call import Call, Usage, new_request_id
from tests.analytics.calls import MODEL, NOON, call

pytestmark = pytest.mark.django_db(transaction=True)

COUNTS = st.integers(0, 10**9)
NAMES = st.sampled_from(["", "a", "B", "ä", "None", 'with "quotes"', "back\\slash", "{brace,s}", "NULL", "\N{ROCKET}"])
SECONDS = st.integers(0, 10**9).map(lambda n: Decimal(n).scaleb(-4))  # finer than is stored
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, SECONDS, COUNTS, st.booleans())


@st.composite
def calls(draw: st.DrawFn) -> Call:
    made = call(
        draw(st.sampled_from([MODEL, "unpriced", "None"])),
        at=NOON + timedelta(minutes=draw(st.integers(-3000, 3000))),
        organization=draw(st.sampled_from(["acme", "globex"])),
        project=draw(NAMES),
        user=draw(NAMES),
        expert_id=draw(NAMES),
        template_id=draw(NAMES),
        feature=draw(NAMES),
        session_id=draw(NAMES),
        status=draw(st.sampled_from(["success", "error"])),
        latency_ms=draw(st.integers(0, 700_000)),
        ttft_ms=draw(st.none() | st.integers(0, 1000)),
        usage=draw(USAGES),
    )
    return replace(made, request_id=new_request_id())


def rollups_as_sql_sums_them() -> list[tuple[Any, ...]]:
    return _summed_anew(Rollup, "analytics_rollup", add_to_rollups("analytics_usageevent"))


def sessions_as_sql_sums_them() -> list[tuple[Any, ...]]:
    return _summed_anew(Session, "analytics_session", add_to_sessions("analytics_usageevent"))


def _summed_anew(model: Any, table: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows that a table would have if all its sums were made of the events now."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
        cursor.execute(statement)
    return list(model.objects.order_by("pk").values_list())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(calls(), min_size=1, max_size=80), min_size=1, max_size=3))
def test_the_writers_sums_are_those_of_sql(acme: Organization, globex: Organization, batches: list[list[Call]]) -> None:
    for batch in batches:
        record(batch)
    rollups, sessions = (
        list(Rollup.objects.order_by("pk").values_list()),
        list(Session.objects.order_by("pk").values_list()),
    )
    assert rollups == rollups_as_sql_sums_them()
    assert sessions == sessions_as_sql_sums_them()
