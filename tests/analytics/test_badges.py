"""The badge of a request: its colour, and how its cost came about."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.template import engines
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization
from analytics.display.cost_badge import badge, level
from analytics.reports.cost_explanation import prices_of
from groq_client.call import Call, UsagePart
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.ledger.calls import NOON, call, failed, usage
from tests.pricing.prices import make_price


@pytest.mark.parametrize(
    ("cost", "colour"),
    [
        ("0", "low"),
        ("0.009999999", "low"),
        ("0.01", "middle"),
        ("0.10", "middle"),
        ("0.100000001", "high"),
        ("12", "high"),
    ],
)
def test_green_below_a_cent_yellow_to_ten_and_red_above(cost: str, colour: str) -> None:
    assert level(Decimal(cost)) == colour


def recorded(made: Call) -> UsageEvent:
    record([made])
    return UsageEvent.objects.get(request_id=made.request_id)


@pytest.fixture
def prices(transactional_db: None, acme: Organization) -> None:
    make_price("priced/a", cached_input_usd_per_1k_tokens=Decimal("0.25"))
    make_price("priced/b", input_usd_per_1k_tokens=Decimal("0.00015"), output_usd_per_1k_tokens=Decimal("0.0006"))
    make_price("heard", input_usd_per_1k_tokens=None, output_usd_per_1k_tokens=None, audio_usd_per_hour=Decimal("0.36"))
    make_price("spoken", input_usd_per_1k_tokens=None, usd_per_1k_characters=Decimal("0.05"))


def explained(model: str, **more: Any) -> str:
    return badge(recorded(call(model, organization="acme", **more))).explanation


def test_the_tooltip_of_a_request(prices: None) -> None:
    found = explained("priced/a", usage=usage(1000, 500, cached_tokens=400))
    assert found == "input 1,000 ($0.70), output 500 ($1.00), cached 400 ($0.30 saved), total $1.70"


def test_small_amounts_are_exact(prices: None) -> None:
    found = explained("priced/b", usage=usage(7, 1))
    assert found == "input 7 ($0.00000105), output 1 ($0.0000006), cached 0 ($0.00 saved), total $0.00000165"


def test_batches_cost_half_and_save_nothing_by_the_cache(prices: None) -> None:
    found = explained("priced/a", usage=usage(1000, 500, cached_tokens=400), operation="batch")
    assert found == "input 1,000 ($0.50), output 500 ($0.50), cached 400 ($0.00 saved), total $1.00"


def test_audio_and_characters_where_they_apply(prices: None) -> None:
    heard = explained("heard", usage=usage(0, 0, audio_seconds=Decimal("30.500")), operation="transcription")
    assert heard == "audio 30.5 s ($0.00305), total $0.00305"
    spoken = explained("spoken", usage=usage(0, 0, characters=2000), operation="speech")
    assert spoken == "characters 2,000 ($0.10), total $0.10"


def test_a_compound_call_is_the_sum_of_its_models(prices: None) -> None:
    shares = (UsagePart("priced/a", usage(1000, 0, cached_tokens=1000)), UsagePart("priced/b", usage(1000, 1000)))
    event = recorded(
        call("groq/compound", organization="acme", usage=usage(2000, 1000, cached_tokens=1000, parts=shares))
    )
    assert badge(event).explanation == (
        "input 2,000 ($0.25015), output 1,000 ($0.0006), cached 1,000 ($0.75 saved), total $0.25075"
    )


def test_a_later_price_does_not_change_the_explanation(prices: None) -> None:
    event = recorded(call("priced/a", organization="acme"))
    make_price("priced/a", at=datetime(2026, 2, 1, tzinfo=UTC), input_usd_per_1k_tokens=Decimal(9))
    assert badge(event).text == "$0.14"
    assert "input 100 ($0.10)" in badge(event).explanation


def test_without_a_price_the_badge_warns(prices: None) -> None:
    found = badge(recorded(call("unknown/model", organization="acme", usage=usage(10, 5))))
    assert (found.text, found.level) == ("Unpriced", None)
    assert found.explanation == "No price: input 10, output 5, cached 0"


def test_a_refused_call_cost_nothing(prices: None) -> None:
    found = badge(recorded(failed(organization="acme")))
    assert (found.text, found.level) == ("$0.00", "low")
    assert found.explanation == "input 0 ($0.00), output 0 ($0.00), cached 0 ($0.00 saved), total $0.00"


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_cost_that_its_price_does_not_explain_is_not_explained(tokens: int, output: int, cost: int) -> None:
    event = UsageEvent(
        pk=1, organization_id=1, model="m", timestamp=NOON, input_tokens=tokens, output_tokens=output,
        cost_usd=Decimal(cost + 1).scaleb(-9),
    )  # fmt: skip
    assert badge(event, {}).explanation.startswith(f"input {tokens:,}, output {output:,}, cached 0, total $0.")


def test_the_prices_of_a_list_are_asked_for_once(
    prices: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(4):
        record([call("priced/a" if n % 2 else "priced/b", organization="acme")])
    events = list(UsageEvent.objects.all())
    with django_assert_num_queries(1):
        known = prices_of(events)
        assert len({badge(event, known).explanation for event in events}) == 2


def test_the_explanation_is_there_for_pointer_keyboard_and_tap(prices: None) -> None:
    made = badge(recorded(call("priced/a", organization="acme")))
    html = engines["jinja2"].env.get_template("analytics/_macros.html").module.cost_badge(made, "list-")
    assert f'title="{made.explanation}"' in html
    assert '<button type="button" class="cost high explained"' in html
    assert f'popovertarget="list-cost-{made.key}"' in html
    opened = re.sub(r"\s+", " ", html.split(f'id="list-cost-{made.key}" popover>')[1])
    rows = [re.findall(r">([^<>]+)</d[td]>", row) for row in opened.split("<div")[1:]]
    assert rows == [
        ["Input", "100", "$0.10"], ["Cached", "0", "$0.00 saved"], ["Output", "20", "$0.04"], ["Total", "$0.14"],
    ]  # fmt: skip
