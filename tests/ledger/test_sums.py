"""However events come and are folded, rollups and sessions equal the sums that SQL computes from all events at once."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Organization
from groq_client.call import Call, ToolUse, Usage, new_request_id
from ledger.models import Rollup, Session
from ledger.recording.record import record
from ledger.rollups.rollup_sql import add_to_rollups
from ledger.rollups.session_sql import add_to_sessions
from pricing.models import Price
from tests.ledger.calls import MODEL, NOON, call
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

COUNTS = st.integers(0, 10**9)
NAMES = st.sampled_from(["", "a", "B", "ä", "None", 'with "quotes"', "back\\slash", "{brace,s}", "NULL", "\N{ROCKET}"])
SECONDS = st.integers(0, 10**9).map(lambda n: Decimal(n).scaleb(-4))  # a finer value than the column stores
TOOLS = st.lists(st.builds(ToolUse, st.sampled_from(["web_search", "priced"]), st.integers(0, 10**6)), max_size=2)
USAGES = st.builds(
    Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, SECONDS, COUNTS, st.booleans(), tools=TOOLS.map(tuple)
)


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
        error_code=draw(st.sampled_from(["", "timeout", "rate_limit_exceeded"])),
        latency_ms=draw(st.integers(0, 700_000)),
        ttft_ms=draw(st.none() | st.integers(0, 1000)),
        usage=draw(USAGES),
    )
    return replace(made, request_id=new_request_id())


def rollups_as_sql_sums_them() -> list[tuple[Any, ...]]:
    return _summed_anew(Rollup, "ledger_rollup", add_to_rollups("ledger_usageevent"))


def sessions_as_sql_sums_them() -> list[tuple[Any, ...]]:
    return _summed_anew(Session, "ledger_session", add_to_sessions("ledger_usageevent"))


def _summed_anew(model: Any, table: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows that a table of sums would have if it were computed from all events now."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
        cursor.execute(statement)
    return list(model.objects.order_by("pk").values_list())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(calls(), min_size=1, max_size=80), min_size=1, max_size=3))
def test_folded_bit_by_bit_the_sums_are_those_of_all_events(
    acme: Organization, globex: Organization, batches: list[list[Call]]
) -> None:
    if not Price.objects.exists():
        make_price(
            audio_usd_per_hour=Decimal(1),
            usd_per_1k_characters=Decimal(1),
            tool_rates={"priced": Decimal("0.123456789")},
        )
    for batch in batches:
        record(batch)
        fold_now()
    rollups, sessions = (
        list(Rollup.objects.order_by("pk").values_list()),
        list(Session.objects.order_by("pk").values_list()),
    )
    assert rollups == rollups_as_sql_sums_them()
    assert sessions == sessions_as_sql_sums_them()
