"""The Pricing tab and the history of a model, and who sees what of them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Organization, User
from tests.cast import signed_in
from tests.pricing.prices import MODEL, START, make_price

LIST, HISTORY = "/pricing/", "/pricing/history/"
DAY = timedelta(days=1)


@pytest.fixture
def prices(acme: Organization, globex: Organization, super_admin: User) -> None:
    """One model with a history; prices of two organizations; one price to come."""
    make_price(source_note="the first")
    make_price(at=START + DAY, output_usd_per_1k_tokens=Decimal(3), author=super_admin, source_note="the second")
    make_price(organization=acme, input_usd_per_1k_tokens=Decimal("0.333"))
    make_price(organization=globex, input_usd_per_1k_tokens=Decimal("0.777"), source_note="secret deal")
    make_price(at=timezone.now() + DAY, input_usd_per_1k_tokens=Decimal("5.5"), output_usd_per_1k_tokens=None)


def html(person: User, path: str = LIST, **query: Any) -> str:
    response = signed_in(person).get(path, query)
    assert response.status_code == 200
    return response.content.decode()


# The list


def test_what_is_in_force_and_what_is_scheduled(prices: None, super_admin: User) -> None:
    in_force, scheduled = html(super_admin).split("Scheduled", 1)
    for there in ("the second", "by root", "2 Jan 2026", "00:00 UTC", "Acme", "Globex", "$0.777", "$3.00"):
        assert there in in_force, there
    assert "the first" not in in_force
    assert "$5.50" not in in_force
    assert "$5.50" in scheduled


def test_a_scheduled_price_that_was_replaced_is_not_listed(super_admin: User) -> None:
    later = timezone.now() + DAY
    make_price(at=later, input_usd_per_1k_tokens=Decimal("5.5"))
    make_price(at=later, input_usd_per_1k_tokens=Decimal("6.5"))
    page = html(super_admin)
    assert "$6.50" in page
    assert "$5.50" not in page


def test_an_admin_reads_the_own_organizations_prices_only(prices: None, admin: User) -> None:
    page = html(admin)
    assert "$0.333" in page
    for hidden in ("Globex", "$0.777", "secret deal", "Edit Pricing", '<input type="text"'):
        assert hidden not in page


def test_users_see_prices_where_they_see_costs(prices: None, user: User, acme: Organization) -> None:
    assert signed_in(user).get(LIST).status_code == 403
    assert signed_in(user).get(HISTORY, {"model": MODEL}).status_code == 403
    acme.show_user_cost = True
    acme.save()
    page = html(User.objects.get(pk=user.pk))
    assert "$0.333" in page
    assert "$0.777" not in page


def test_visitors_sign_in_first_and_strangers_see_nothing(prices: None, stranger: User) -> None:
    for path in (LIST, "/pricing/edit/", f"{HISTORY}?model={MODEL}"):
        assert Client().get(path).status_code == 302
        assert MODEL not in signed_in(stranger).get(path).content.decode()


def test_nothing_is_changed_by_posting_to_what_is_read(prices: None, super_admin: User) -> None:
    assert signed_in(super_admin).post(LIST).status_code == 405
    assert signed_in(super_admin).post(HISTORY).status_code == 405


def test_names_are_names(super_admin: User) -> None:
    name = "<script>alert(1)</script>&model=x"
    make_price(name)
    page = html(super_admin)
    assert "<script>alert" not in page
    link = next(part.split('"')[0] for part in page.split('href="') if part.startswith(HISTORY))
    assert "First version" in html(super_admin, link.replace("&amp;", "&"))


def test_a_retired_model_is_not_said_to_be_enabled(admin: User) -> None:
    make_price("llama-3.3-70b-versatile")
    make_price("openai/gpt-oss-120b")
    make_price("gemma2-9b-it", enabled=False)
    page = signed_in(admin).get(LIST).content.decode()
    assert "Retired since 16 Aug 2026" in page
    assert page.count(">Enabled<") == 1
    assert page.count(">Disabled<") == 1


def test_the_list_costs_a_fixed_number_of_queries(admin: User, django_assert_num_queries: Any) -> None:
    for number in range(30):
        make_price(f"m{number}")
        make_price(f"m{number}", organization=admin.organization)
        make_price(f"m{number}", at=timezone.now() + DAY, author=admin)
    client = signed_in(admin)
    # Session, person, prices in force, scheduled, what was edited in the catalogue, the reader's time zone.
    with django_assert_num_queries(6):
        client.get(LIST)


def test_the_list_is_searched_and_sorted(prices: None, super_admin: User) -> None:
    make_price("other/model", input_usd_per_1k_tokens=Decimal(9))
    make_price("audio/only", input_usd_per_1k_tokens=None, audio_usd_per_hour=Decimal(1))
    page = html(super_admin, search="MODEL other")
    assert "other/model" in page
    assert MODEL not in page
    assert "No model has" in html(super_admin, search="nothing like it")
    for sort, first, last in (
        ("-input", "$9.00", "audio/only"),
        ("input", "$0.333", "audio/only"),
        ("nonsense", "audio/only", "other/model"),
    ):
        rows = html(super_admin, sort=sort).split("Scheduled")[0].split('<th role="rowheader" scope="row">')[1:]
        assert first in rows[0], sort
        assert last in rows[-1], sort
    assert 'aria-sort="descending"' in html(super_admin, sort="-input")


def test_prices_of_retired_models_are_folded_until_they_are_searched(super_admin: User) -> None:
    for model in ("llama-3.3-70b-versatile", MODEL):
        make_price(model)
    current, folded = html(super_admin).split('<details class="card table-card folded">')
    assert "1 price of retired models" in folded
    assert "llama-3.3-70b-versatile" in folded
    assert "llama-3.3-70b-versatile" not in current
    assert 'folded" open>' in html(super_admin, search="llama")


def test_one_unit_at_a_time_which_is_remembered(prices: None, admin: User) -> None:
    client = signed_in(admin)
    assert "$ / 1k tokens" in client.get(LIST).content.decode()
    page = client.get(LIST, {"unit": "1m"}).content.decode()
    assert "$333.00" in page
    assert "$0.333" not in page
    assert "$ / 1M tokens" in client.get(LIST).content.decode(), "remembered"
    assert "Input $ / 1M tokens: $1,000.00 → $5,500.00" in client.get(HISTORY, {"model": MODEL}).content.decode()
    client.get(LIST, {"unit": "1k"})
    client.cookies["price_unit"] = "nonsense"
    assert "$0.333" in client.get(LIST, {"unit": "x"}).content.decode()


@pytest.mark.parametrize(
    ("note", "there"),
    [
        (
            "See https://groq.com/pricing.",
            '<a href="https://groq.com/pricing" rel="noopener noreferrer">https://groq.com/pricing</a>.',
        ),
        ("javascript:alert(1) and ftp://a.example", "javascript:alert(1) and ftp://a.example"),
        (
            'https://a.example/"onclick=x',
            '<a href="https://a.example/" rel="noopener noreferrer">https://a.example/</a>&#34;onclick=x',
        ),
        (f"{'long ' * 20}http://a.example/b", '<a href="http://a.example/b" rel="noopener noreferrer">a.example</a>'),
    ],
)
def test_sources_are_links_where_they_are_web_addresses(super_admin: User, note: str, there: str) -> None:
    make_price(source_note=note)
    assert there in html(super_admin)


def test_a_start_is_in_the_readers_zone(prices: None, super_admin: User, admin: User) -> None:
    assert "00:00 UTC" in html(super_admin)
    assert "16:00 PST" in html(admin)


# History


def test_the_history_says_what_changed_and_who_did_it(prices: None, admin: User) -> None:
    page = html(admin, HISTORY, model=MODEL)
    scheduled, second, first = page.split('<tr role="row">')[2:]
    assert "Scheduled" in scheduled
    assert "$1.00 → $5.50 (+450.0%)" in scheduled
    assert "$3.00 → none" in scheduled
    for there in ("In force", "1 Jan 2026", "16:00 PST", "by root", "the second", "$2.00 → $3.00 (+50.0%)"):
        assert there in second, there
    assert "First version" in first
    assert "by the price sync" in first
    assert "In force" not in first
    assert "$0.333" not in page


def test_a_version_that_another_replaced_says_so(super_admin: User) -> None:
    make_price()
    make_price(enabled=False, audio_minimum_seconds=3)
    later, earlier = html(super_admin, HISTORY, model=MODEL).split('<tr role="row">')[2:]
    assert "Status: Enabled → Disabled" in later
    assert "Audio is billed for at least: 10 s → 3 s" in later
    assert "In force" in later
    assert "Replaced" in earlier


def test_the_history_of_an_organizations_price(
    prices: None, admin: User, acme: Organization, globex: Organization
) -> None:
    page = html(admin, HISTORY, model=MODEL, organization=acme.pk)
    assert "$0.333 / 1k input tokens" in page
    assert "the second" not in page
    for organization in (globex.pk, 0, "x", "9" * 30):
        response = signed_in(admin).get(HISTORY, {"model": MODEL, "organization": organization})
        assert response.status_code == 404, organization


@pytest.mark.parametrize(
    "query", [{}, {"model": "nope"}, {"model": MODEL, "provider": "other"}, {"model": "x" * 5_000}]
)
def test_a_history_that_does_not_exist(prices: None, super_admin: User, query: dict[str, str]) -> None:
    assert signed_in(super_admin).get(HISTORY, query).status_code == 404


def test_a_long_history_has_pages(super_admin: User, django_assert_num_queries: Any) -> None:
    for number in range(60):
        make_price(at=START + number * DAY, input_usd_per_1k_tokens=Decimal(number))
    first = html(super_admin, HISTORY, model=MODEL)
    assert "1–25 of 60" in first
    assert f"model={MODEL.replace('/', '%2F')}&amp;page=2" in first
    last = html(super_admin, HISTORY, model=MODEL, page=3)
    assert "51–60 of 60" in last
    assert "First version" in last
    second = html(super_admin, HISTORY, model=MODEL, page=2)
    assert "$9.00 → $10.00" in second  # the last one of a page is compared with the first one of the next
    client = signed_in(super_admin)
    # Session, person, versions.
    with django_assert_num_queries(3):
        client.get(HISTORY, {"model": MODEL, "page": "nonsense"})
