"""What the traffic would have cost elsewhere: exact, explained where it cannot be told, for those who see costs."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.display import figures
from analytics.pages.models.what_if import TypedPrice, what_if
from analytics.reports import ModelUsage, Report, models_used, today
from analytics.reports.selection import Selection
from ledger.models import UsageEvent
from ledger.recording.record import record
from pricing.cost import cost
from pricing.models import Price
from tests.cast import signed_in
from tests.ledger.calls import call, failed, summed, usage
from tests.pricing.prices import Charged, Used, make_price

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime.now(UTC) - timedelta(days=2)
PER_MILLION = {"cost_input": "0.30", "cost_output": "0.70", "cost_per": "1m"}


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User) -> None:
    """Two priced models of Acme, one without a price, one that hears; and something of Globex."""
    make_price("one/a", input_usd_per_1k_tokens=Decimal("0.00015"), output_usd_per_1k_tokens=Decimal("0.0006"))
    make_price("two/b", input_usd_per_1k_tokens=Decimal("0.0005"), output_usd_per_1k_tokens=Decimal("0.0009"))
    make_price("two/b", organization=acme, input_usd_per_1k_tokens=Decimal("0.0004"))
    make_price("off/c", enabled=False)
    make_price("hears/d", input_usd_per_1k_tokens=None, output_usd_per_1k_tokens=None, audio_usd_per_hour=Decimal(1))
    named: dict[str, Any] = {"organization": "acme", "at": AT}
    record(
        [
            call("one/a", **named, user="ann", usage=usage(123_457, 6_789, cached_tokens=1_001)),
            call("one/a", **named, user="ben", usage=usage(999_999, 1)),
            call("two/b", **named, user="ann", usage=usage(70_007, 8_008)),
            call("never/priced", **named, user="ben", usage=usage(1_003, 17)),
            failed(**named, user="ann", model_requested="one/a"),
            call(
                "hears/d", **named, user="ben", operation="transcription", usage=usage(0, 0, audio_seconds=Decimal(90))
            ),
            call("one/a", organization="globex", at=AT, user="eve", usage=usage(5_000_000, 5)),
        ]
    )


def page(person: User, **asked: str) -> str:
    response = signed_in(person).get(f"/models/?{urlencode(asked)}")
    assert response.status_code == 200
    return response.content.decode()


def answer(html: str) -> tuple[Decimal, Decimal] | None:
    """What was charged and what it would have been, exactly."""
    found = re.search(r'class="what-if-result".*?title="\$([\d.,]+)".*?title="\$([\d.,]+)"', html, re.DOTALL)
    return (_number(found[1]), _number(found[2])) if found else None


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def said(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", html.partition('id="what-if"')[2]).split()))


def error_at(html: str, field: str) -> str:
    found = re.search(rf'id="id_{field}_error">([^<]*)<', html)
    return unescape(found[1]) if found else ""


def acme_sums(**only: Any) -> tuple[Used, Decimal | None]:
    """The tokens and the cost of Acme's events with a price, by plain addition."""
    priced = UsageEvent.objects.filter(organization__slug="acme", audio_seconds=0, **only).exclude(cost_usd=None)
    totals = summed(priced)
    return Used(totals.input_tokens, totals.output_tokens, totals.cached_tokens), totals.cost_usd


# What it says


def test_on_another_model(ledger: None, admin: User) -> None:
    """At the price that the organization has of its own."""
    used, charged = acme_sums()
    own = Price.objects.get(model="two/b", organization__slug="acme")
    assert answer(page(admin, cost_on="two/b")) == (charged, cost(used, own))


def test_at_a_price_of_ones_own(ledger: None, admin: User) -> None:
    used, charged = acme_sums()
    typed = Charged(Decimal("0.0003"), Decimal("0.0007"))
    assert answer(page(admin, **PER_MILLION)) == (charged, cost(used, typed))
    per_thousand = {"cost_input": "0.0003", "cost_output": "0.0007", "cost_per": "1k"}
    assert answer(page(admin, **per_thousand)) == answer(page(admin, **PER_MILLION))
    cached = Charged(Decimal("0.0003"), Decimal("0.0007"), Decimal("0.0001"))
    assert answer(page(admin, **PER_MILLION, cost_cached="0.1")) == (charged, cost(used, cached))


def test_the_traffic_is_that_of_the_filters_and_of_one_model_if_wanted(ledger: None, admin: User, user: User) -> None:
    typed = Charged(Decimal("0.0003"), Decimal("0.0007"))
    used, charged = acme_sums(user=user)
    assert answer(page(admin, user=str(user.pk), **PER_MILLION)) == (charged, cost(used, typed))
    used, charged = acme_sums(model="two/b")
    assert answer(page(admin, cost_of="two/b", **PER_MILLION)) == (charged, cost(used, typed))


def test_the_same_price_makes_no_difference(ledger: None, super_admin: User) -> None:
    html = page(super_admin, cost_of="one/a", cost_on="one/a")
    found = answer(html)
    assert found
    assert found[0] == found[1] > 0
    assert "no difference" in said(html)


def test_the_difference_in_dollars_and_percent(acme: Organization, admin: User) -> None:
    make_price("one/a", input_usd_per_1k_tokens=Decimal(1), output_usd_per_1k_tokens=Decimal(1))
    record([call("one/a", organization="acme", at=AT, usage=usage(1_000, 1_000))])
    assert "$1.00 less (50.0%)" in said(page(admin, cost_input="0.5", cost_output="0.5", cost_per="1k"))
    assert "$98.00 more (×50)" in said(page(admin, cost_input="50", cost_output="50", cost_per="1k"))
    assert "$1.00 more (50.0%)" in said(page(admin, cost_input="1.5", cost_output="1.5", cost_per="1k"))


def test_what_it_has_no_rate_for_is_left_out_and_named(ledger: None, admin: User) -> None:
    html = page(admin, cost_on="two/b")
    assert "hears/d is left out: this price has no rate for audio." in said(html)
    html = page(admin, cost_on="hears/d")
    assert "one/a is left out: this price has no rate for input and cached input and output." in said(html)
    assert answer(html) == (Decimal("0.025"), Decimal("0.025"))


def test_requests_without_a_price_are_left_out_on_both_sides(ledger: None, admin: User) -> None:
    would = cost(Used(1_003, 17), Charged(Decimal("0.0003"), Decimal("0.0007")))
    answered = said(page(admin, **PER_MILLION))
    assert "1 request left out on both sides: on their days, requests to the same model had no price." in answered
    assert f"At this price they would have cost {figures.exact_money(would)}." in answered
    assert "had no price" not in said(page(admin, cost_of="one/a", **PER_MILLION))
    assert answer(page(admin, cost_of="never/priced", **PER_MILLION)) == (0, 0)


def test_a_model_is_compared_on_the_days_on_which_all_of_it_had_a_price(acme: Organization, admin: User) -> None:
    record([call("late/price", organization="acme", at=AT - timedelta(days=1), usage=usage(1_000, 1_000))])
    make_price("late/price", effective_from=AT - timedelta(hours=1))
    record([call("late/price", organization="acme", at=AT, usage=usage(2_000, 3_000))])
    priced = UsageEvent.objects.get(cost_usd__isnull=False)
    typed = cost(Used(2_000, 3_000), Charged(Decimal("0.0003"), Decimal("0.0007")))
    html = page(admin, **PER_MILLION)
    assert answer(html) == (priced.cost_usd, typed)
    assert "1 request left out on both sides" in said(html)


def test_roundings_of_many_requests_are_no_difference(acme: Organization, admin: User) -> None:
    """Each request is charged in whole nano-dollars, and the whole is rounded once."""
    rates = {"input_usd_per_1k_tokens": Decimal("0.000000333"), "output_usd_per_1k_tokens": Decimal("0.000000333")}
    make_price("small/a", **rates)  # A request of two thousand tokens costs 0.666 nano-dollars and is charged one.
    record([call("small/a", organization="acme", at=AT, usage=usage(1, 1)) for _ in range(9)])
    html = page(admin, cost_of="small/a", cost_on="small/a")
    charged, other = answer(html) or (0, 0)
    assert charged != other
    assert "no difference" in said(html)


def test_it_is_exact_to_the_last_nano_dollar(ledger: None, admin: User) -> None:
    """The lines of the models add up to the whole but for their own roundings."""
    viewer = Viewer.of(admin)
    last = today(viewer)
    models = models_used(Report(viewer, Selection(last - timedelta(days=29), last)))
    price = TypedPrice(Decimal("0.000000001"), Decimal("0.000000003"), None)
    made = what_if(models, price)
    everything = summed(UsageEvent.objects.filter(organization__slug="acme", audio_seconds=0))
    used = Used(everything.input_tokens, everything.output_tokens, everything.cached_tokens)
    assert made.money.other == cost(used, price)
    assert abs(sum((line.money.other for line in made.rows), Decimal(0)) - made.money.other) <= Decimal("2e-9")


def test_without_a_question_there_is_no_answer_and_no_error(ledger: None, admin: User) -> None:
    html = page(admin)
    assert answer(html) is None
    assert "_error" not in html
    nothing: list[ModelUsage] = []
    assert what_if(nothing, Charged()).money.share == ""


# What is refused


@pytest.mark.parametrize(
    ("asked", "field", "message"),
    [
        ({"cost_input": "1,5"}, "cost_input", "without commas"),
        ({"cost_input": "cheap"}, "cost_input", "Enter a plain number of dollars"),
        ({"cost_input": "NaN"}, "cost_input", "Enter a plain number of dollars"),
        ({"cost_input": "1e9"}, "cost_input", "Enter a plain number of dollars"),
        ({"cost_input": "-1"}, "cost_input", "At least $0"),
        ({"cost_input": "1000000.01"}, "cost_input", "at most $1,000 for 1k"),
        ({"cost_input": "9" * 20}, "cost_input", "at most $1,000 for 1k"),
        ({"cost_input": "9" * 60}, "cost_input", "Enter a plain number of dollars"),
        ({"cost_input": "0.0000001"}, "cost_input", "No price is that fine"),
        ({"cost_input": "1000.01", "cost_per": "1k"}, "cost_input", "at most $1,000 for 1k"),
        ({"cost_input": "1"}, "cost_output", "Type a price"),
        ({"cost_per": "1m"}, "cost_input", "Type a price"),
        ({"cost_input": "1", "cost_output": "1", "cost_per": "1g"}, "cost_per", "Choose one of the list"),
        ({"cost_input": "1", "cost_on": "two/b"}, "cost_on", "not both"),
        ({"cost_on": "off/c"}, "cost_on", "Choose one of the list"),
        ({"cost_on": "two/b", "cost_of": "no/such"}, "cost_of", "Choose one of the list"),
    ],
)
def test_bad_values_are_explained_at_their_field(
    ledger: None, admin: User, asked: dict[str, str], field: str, message: str
) -> None:
    html = page(admin, **asked)
    assert message in error_at(html, field)
    assert answer(html) is None


def test_limits_are_allowed(ledger: None, admin: User) -> None:
    assert answer(page(admin, cost_input="1000000", cost_output="0", cost_per="1m"))


def test_characters_that_no_database_holds_are_refused(ledger: None, admin: User) -> None:
    for bad in ("%00", "%ED%A0%80"):
        assert signed_in(admin).get(f"/models/?cost_input={bad}").status_code in (200, 400)


# Who may ask


def test_only_those_who_see_costs(ledger: None, user: User, acme: Organization) -> None:
    assert "what-if" not in page(user, **PER_MILLION)
    acme.show_user_cost = True
    acme.save()
    used, charged = acme_sums(user=user)
    assert answer(page(user, **PER_MILLION)) == (charged, cost(used, Charged(Decimal("0.0003"), Decimal("0.0007"))))


def test_another_organizations_price_is_no_choice(ledger: None, admin: User, globex: Organization) -> None:
    make_price("secret/g", organization=globex)
    assert "secret/g" not in page(admin)
    assert answer(page(admin, cost_on="secret/g")) is None


def test_a_refresh_keeps_the_answer(ledger: None, admin: User) -> None:
    client: Client = signed_in(admin)
    refresh = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#results"}
    html = client.get(f"/models/?{urlencode(PER_MILLION)}", headers=refresh).content.decode()
    assert answer(html)
    assert 'name="cost_input" value="0.30"' in html  # and the next choice of a filter sends it along
