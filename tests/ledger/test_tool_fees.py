"""Groq's built-in tools are billed by use. The cost contains the fee, or is marked as incomplete wherever it counts."""

from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import AuditRecord, Organization
from groq_client.call import MAX_COUNT, Call, ToolUse, Usage, UsagePart
from ledger.models import Rollup, Session, UsageEvent
from ledger.recording.event_row import InvalidCallError
from ledger.recording.record import record
from ledger.upkeep.backfill_costs import costs_at
from ledger.upkeep.backfill_sql import unpriced_events, write_costs
from ledger.upkeep.hold import holding
from ledger.upkeep.reconciliation import reconcile
from tests.ledger.calls import MODEL, NOON, call, failed, usage
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

TOKENS = Decimal("0.14")
"""Of one call at $1 and $2: 100 tokens in, 20 out."""
RATES = {"browser_search": Decimal(5), "browser_open": Decimal(1)}
SEARCHED = (ToolUse("browser_open", 3), ToolUse("browser_search", 2))
FEE = Decimal("0.013")


def used(*tools: ToolUse, model: str = MODEL, **more: Any) -> Call:
    return call(model, organization="acme", user="ann", session_id="s", usage=usage(tools=tools, **more))


def the_event() -> UsageEvent:
    return UsageEvent.objects.get()


def counts() -> set[tuple[int, int, Decimal]]:
    """The sums in rollups and sessions: unpriced events, those without tool fees among them, and the cost."""
    fold_now()
    names = ("unpriced", "without_tool_fees", "cost_usd")
    return {*Rollup.objects.values_list(*names), *Session.objects.values_list(*names)}


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("price_unpriced", *arguments, "--yes", stdout=out)
    return out.getvalue()


def test_the_cost_has_the_fee(acme: Organization) -> None:
    price = make_price(tool_rates=RATES)
    record([used(*SEARCHED)])
    event = the_event()
    assert event.tool_uses == {"browser_open": 3, "browser_search": 2}
    assert (event.cost_usd, event.tool_cost_usd, event.without_tool_fees) == (TOKENS + FEE, FEE, False)
    assert (event.price, event.tool_price) == (price, price)
    assert counts() == {(0, 0, TOKENS + FEE)}
    assert set(Rollup.objects.values_list("tool_cost_usd", flat=True)) == {FEE}


@pytest.mark.parametrize("rates", [{}, {"browser_open": Decimal(1)}])
def test_without_a_rate_the_cost_is_marked_and_counts_as_unpriced(
    acme: Organization, rates: dict[str, Decimal]
) -> None:
    make_price(tool_rates=rates)
    record([used(*SEARCHED)])
    event = the_event()
    known = Decimal("0.003") if rates else Decimal(0)
    assert (event.cost_usd, event.tool_cost_usd, event.without_tool_fees) == (TOKENS + known, known, True)
    assert counts() == {(1, 1, TOKENS + known)}
    assert reconcile().drifted == 0


def test_a_call_without_any_price_is_unpriced_and_lacks_more_than_fees(acme: Organization) -> None:
    record([used(*SEARCHED, model="new")])
    event = the_event()
    assert (event.cost_usd, event.without_tool_fees, event.tool_price) == (None, False, None)
    assert counts() == {(1, 0, Decimal(0))}


def test_a_disabled_version_charges_no_tools_either(acme: Organization) -> None:
    make_price(tool_rates=RATES, enabled=False)
    record([used(*SEARCHED)])
    assert (the_event().cost_usd, the_event().tool_price) == (None, None)


def test_a_compound_calls_tools_cost_what_its_own_version_says(acme: Organization) -> None:
    make_price()
    own = make_price("groq/compound", input_usd_per_1k_tokens=None, output_usd_per_1k_tokens=None, tool_rates=RATES)
    record([used(*SEARCHED, model="groq/compound", parts=(UsagePart(MODEL, usage()),))])
    event = the_event()
    assert (event.cost_usd, event.price, event.tool_price) == (TOKENS + FEE, None, own)
    assert counts() == {(0, 0, TOKENS + FEE)}


def test_a_failed_call_that_used_a_tool_was_not_free(acme: Organization) -> None:
    broken = {"status": "error", "error_code": "stream_error", "organization": "acme"}
    record([call(**broken, usage=Usage(tools=SEARCHED)), failed(organization="acme")])
    assert set(UsageEvent.objects.values_list("cost_usd", flat=True)) == {None, Decimal(0)}


def test_a_batch_pays_the_whole_fee(acme: Organization) -> None:
    make_price(tool_rates=RATES)
    record([call(operation="batch", organization="acme", usage=usage(tools=SEARCHED))])
    assert the_event().cost_usd == TOKENS / 2 + FEE


@pytest.mark.parametrize("tools", [[("a", -1)], [("a", MAX_COUNT + 1)], [("a", MAX_COUNT), ("b", 1)]])
def test_impossible_uses_are_refused(acme: Organization, tools: list[tuple[str, int]]) -> None:
    with pytest.raises(InvalidCallError, match="uses"):
        record([used(*(ToolUse(*tool) for tool in tools))])
    assert not UsageEvent.objects.exists()


def test_the_largest_fee_fits(acme: Organization) -> None:
    make_price(tool_rates={"a": Decimal(1000)})
    record([used(ToolUse("a", MAX_COUNT))])
    assert the_event().tool_cost_usd == 10**9


# Later


def test_fees_are_added_later_on_purpose_and_tokens_keep_their_cost(acme: Organization) -> None:
    first = make_price()
    record([used(*SEARCHED), used()])
    dearer = make_price(at=NOON + timedelta(days=1), input_usd_per_1k_tokens=Decimal(9), tool_rates=RATES)
    assert "acme: 1 requests priced" in run("--price", str(dearer.pk))
    event = UsageEvent.objects.exclude(tool_uses={}).get()
    assert (event.cost_usd, event.without_tool_fees, event.tool_cost_usd) == (TOKENS + FEE, False, FEE)
    assert (event.price, event.tool_price) == (first, dearer)
    assert counts() == {(0, 0, 2 * TOKENS + FEE)}
    assert reconcile().drifted == 0
    changes = AuditRecord.objects.get(action="ledger.price").changes
    assert changes == {"unpriced requests": ["1", "0"], "cost": ["$0.14", "$0.153"]}
    assert "Nothing to price." in run("--price", str(dearer.pk))


def test_a_version_that_knows_only_some_of_the_tools_completes_nothing(acme: Organization) -> None:
    make_price(tool_rates={"browser_open": Decimal(1)})
    record([used(*SEARCHED)])
    some = make_price(at=NOON + timedelta(days=1), tool_rates={"browser_search": Decimal(5)})
    out = run("--price", str(some.pk))
    assert "1 stay unpriced" in out
    assert "Nothing to price." in out
    assert (the_event().cost_usd, the_event().without_tool_fees) == (TOKENS + Decimal("0.003"), True)


def test_a_price_without_rates_for_tools_prices_the_rest(acme: Organization) -> None:
    record([used(*SEARCHED)])
    plain = make_price(at=NOON + timedelta(days=1))
    assert "0 requests priced" in (out := run("--price", str(plain.pk)))
    assert "1 in part" in out
    assert (the_event().cost_usd, the_event().without_tool_fees) == (TOKENS, True)
    assert counts() == {(1, 1, TOKENS)}
    whole = make_price(at=NOON + timedelta(days=2), tool_rates=RATES)
    run("--price", str(whole.pk))
    assert (the_event().cost_usd, the_event().price, the_event().tool_price) == (TOKENS + FEE, plain, whole)
    assert counts() == {(0, 0, TOKENS + FEE)}
    assert reconcile().drifted == 0


def test_two_who_price_the_rest_at_once_count_it_once(acme: Organization) -> None:
    record([used(*SEARCHED)])
    plain = make_price(at=NOON + timedelta(days=1))
    read = [
        list(costs_at(plain, next(unpriced_events(plain, acme.pk, the_event().day, 10))))
        for _ in range(2)  # Both read before either holds the organization.
    ]
    changed = []
    for costs in read:
        with holding(acme.pk):
            changed.append(write_costs(acme.pk, costs))
    assert changed == [[the_event().pk], []]
    assert counts() == {(1, 1, TOKENS)}
    assert reconcile().drifted == 0


def test_a_compound_call_is_completed_part_by_part(acme: Organization) -> None:
    make_price()
    parts = (UsagePart(MODEL, usage()), UsagePart("late", usage()))
    record([used(*SEARCHED, model="groq/compound", parts=parts)])
    assert the_event().cost_usd is None
    run("--price", str(make_price("late").pk))
    assert (the_event().cost_usd, the_event().without_tool_fees) == (2 * TOKENS, True)
    own = make_price("groq/compound", input_usd_per_1k_tokens=None, output_usd_per_1k_tokens=None, tool_rates=RATES)
    run("--price", str(own.pk))
    assert (the_event().cost_usd, the_event().tool_price) == (2 * TOKENS + FEE, own)
    assert counts() == {(0, 0, 2 * TOKENS + FEE)}
    assert reconcile().drifted == 0
