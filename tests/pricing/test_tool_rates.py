"""Rates of Groq's built-in tools: kept with a version, typed as text, refused where they cannot be."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditRecord, User
from ledger.recording.pool import ledger_connection
from pricing import book
from pricing.known_prices import known_prices
from pricing.models import Price
from pricing.sync import apply, plan
from pricing.tool_rates import MAX_RATE, ToolRatesFormField, as_text
from tests.cast import signed_in
from tests.pricing.pages import Editor, inputs
from tests.pricing.prices import MODEL, make_price

RATES = {"browser_open": Decimal(1), "browser_search": Decimal(5)}
TYPED = "browser_open 1, browser_search 5"


@pytest.fixture
def root(super_admin: User) -> Client:
    return signed_in(super_admin)


def newest() -> Price:
    return Price.objects.latest("pk")


@pytest.mark.django_db(transaction=True)
def test_rates_come_back_exact_through_django_and_through_the_recorders_connection() -> None:
    exact = {"a": Decimal("0.000000001"), "b": Decimal("999.999999999"), "c": Decimal(0)}
    price = make_price(tool_rates=exact)
    assert Price.objects.get().tool_rates == exact
    with ledger_connection() as own:
        found = book.current(own).in_force("groq", MODEL, None, timezone.now())
    assert found == price
    assert found.tool_rates == exact


@given(st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9_]{0,49}\Z"), st.integers(0, 10**12), max_size=20))
def test_what_is_shown_can_be_typed(nano: dict[str, int]) -> None:
    rates = {name: Decimal(value).scaleb(-9) for name, value in nano.items()}
    assert ToolRatesFormField(required=False).clean(as_text(rates)) == rates


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("browser_search", "no tool and its price"),
        ("browser_search 5 1", "no tool and its price"),
        ("browser_search -1", "at least $0"),
        ("browser_search 1000.01", "at most $1,000"),
        ("browser_search nan", "plain number"),
        ("browser_search 1e3", "plain number"),
        ("browser_search 0.0000000001", "9 decimals"),
        ("browser_search 5, browser_search 6", "there twice"),
        ("browser.search 5", "no name of a tool"),
        ("Browser 5", "no name of a tool"),
        (f"{'x' * 51} 5", "no name of a tool"),
        (", ".join(f"tool{n} 1" for n in range(21)), "At most 20"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(text: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem.replace("$", r"\$")):
        ToolRatesFormField(required=False).clean(text)


@pytest.mark.parametrize("rate", ["-0.000000001", "1000.000000001", "NaN", "Infinity", "0.0000000001"])
def test_no_model_has_such_a_rate(db: None, rate: str) -> None:
    price = Price(model=MODEL, tool_rates={"browser_search": Decimal(rate)})
    with pytest.raises(ValidationError):
        price.full_clean()


@pytest.mark.parametrize(
    "stored",
    [{"a": -1}, {"a": 10**12 + 1}, {"a": 0.5}, {"a": "1"}, {"a": None}, {"a": {}}, {"a": [1]}, [], 1, "a", None],
)
def test_the_table_refuses_such_rates_as_well(db: None, stored: Any) -> None:
    make_price(tool_rates={"a": MAX_RATE})
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pricing_price (provider, model, audio_minimum_seconds, tool_rates, enabled, effective_from,"
            " source_note, created_at) VALUES ('groq', 'm', 10, %s::jsonb, true, now(), '', now())",
            [json.dumps(stored)],
        )


def test_they_are_edited_like_other_rates(root: Client, super_admin: User) -> None:
    price = make_price(tool_rates=RATES)
    editor = Editor(root)
    assert inputs(editor.html)[f"v{price.pk}-tool_rates"] == TYPED
    summary = editor.type(price, tool_rates="browser_search 7.5; code_interpreter 3").review()
    for line in ("browser_search $ / 1k uses", "+50.0%", "browser_open $ / 1k uses", "$7.50", "code_interpreter"):
        assert line in summary
    editor.save()
    assert newest().tool_rates == {"browser_search": Decimal("7.5"), "code_interpreter": Decimal(3)}
    assert newest().input_usd_per_1k_tokens == price.input_usd_per_1k_tokens
    changes = AuditRecord.objects.get(action="price.add").changes
    assert changes["tool_rates"] == [TYPED, "browser_search 7.5, code_interpreter 3"]
    listed = root.get("/pricing/").content.decode()
    assert "browser_search $7.50" in listed
    history = root.get(f"/pricing/history/?model={MODEL}").content.decode()
    assert "browser_open $ / 1k uses: $1.00 → none" in history


def test_a_slip_is_shown_in_its_row_and_nothing_is_saved(root: Client) -> None:
    price = make_price(tool_rates=RATES)
    page = Editor(root).type(price, tool_rates="browser_search minus").review()
    assert "plain number of dollars" in page
    assert 'value="browser_search minus"' in page
    assert Price.objects.count() == 1


def test_an_untouched_row_with_tools_is_no_change(root: Client) -> None:
    make_price(tool_rates=RATES)
    assert "Nothing was changed" in Editor(root).review()


def test_a_model_may_have_rates_for_its_tools_alone(root: Client) -> None:
    editor = Editor(root).type(None, model="groq/compound", tool_rates="visit_website 1")
    editor.review()
    editor.save()
    assert (newest().model, newest().tool_rates) == ("groq/compound", {"visit_website": Decimal(1)})


def test_the_django_admin_takes_them_too(root: Client) -> None:
    price = make_price(tool_rates=RATES)
    form = root.get(f"/admin/pricing/price/add/?from={price.pk}").content.decode()
    assert f'value="{TYPED}"' in form
    data = {"provider": "groq", "model": MODEL, "audio_minimum_seconds": "10", "enabled": "on", "newest_seen": price.pk}
    root.post("/admin/pricing/price/add/", data | {"tool_rates": "browser_search -1"})
    assert Price.objects.count() == 1
    root.post("/admin/pricing/price/add/", data | {"tool_rates": "browser_search 6"})
    assert newest().tool_rates == {"browser_search": Decimal(6)}
    assert "$6.00 / 1k browser_search" in root.get("/admin/pricing/price/").content.decode()


@pytest.mark.parametrize("model", ["openai/gpt-oss-120b", "openai/gpt-oss-20b"])
def test_the_known_rates_of_gpt_oss_are_groqs(model: str) -> None:
    for known in known_prices()[model]:
        assert known.tool_rates == RATES | {"browser_find": Decimal(0)}
        assert "2026-11-22" in known.source_note


def test_the_sync_brings_rates_to_prices_that_lack_them(db: None) -> None:
    now = timezone.now()
    apply(plan(now), now)
    known = Price.objects.in_force("groq", MODEL)
    assert known is not None
    assert known.tool_rates["browser_search"] == 5
    assert plan(now) == []
    lacking = known.successor(None)
    lacking.tool_rates = {}
    lacking.save()
    later = timezone.now()
    steps = plan(later)
    assert [step.model for step in steps] == [MODEL]
    apply(steps, later)
    assert newest().tool_rates == known.tool_rates
    assert plan(timezone.now()) == []
