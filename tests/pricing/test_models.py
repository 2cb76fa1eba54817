"""Price versions: which one is in force, and that they are never changed."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Organization
from pricing.fields import LARGEST, from_nano, to_nano
from pricing.models import MAX_PRICE, Price
from tests.pricing.prices import FOLLOWING, MODEL, START, make_price

SECOND = timedelta(seconds=1)


# Which one is in force


def test_a_price_is_in_force_from_its_first_instant_on(db: None) -> None:
    price = make_price()
    assert Price.objects.in_force("groq", MODEL, at=START - timedelta(microseconds=1)) is None
    assert Price.objects.in_force("groq", MODEL, at=START) == price


def test_an_edit_takes_over_at_its_instant_and_not_before(db: None) -> None:
    old, new = make_price(), make_price(at=START + SECOND)
    assert Price.objects.in_force("groq", MODEL, at=START + SECOND - timedelta(microseconds=1)) == old
    assert Price.objects.in_force("groq", MODEL, at=START + SECOND) == new


def test_of_two_with_the_same_start_the_later_entry_wins(db: None) -> None:
    make_price()
    later = make_price()
    assert Price.objects.in_force("groq", MODEL, at=START) == later


def test_an_organizations_own_price_wins_however_old(acme: Organization, globex: Organization) -> None:
    own = make_price(organization=acme)
    everybodys = make_price(at=START + SECOND)
    assert Price.objects.in_force("groq", MODEL, acme, START + SECOND) == own
    assert Price.objects.in_force("groq", MODEL, globex, START + SECOND) == everybodys
    assert Price.objects.in_force("groq", MODEL, None, START + SECOND) == everybodys


def test_an_organization_follows_everybodys_price_until_it_has_an_own_one_again(acme: Organization) -> None:
    everybodys, own = make_price(), make_price(organization=acme)
    day = timedelta(days=1)
    make_price(organization=acme, at=START + day, **FOLLOWING)
    newer = make_price(at=START + 2 * day)
    own_again = make_price(organization=acme, at=START + 3 * day)
    found = [Price.objects.in_force("groq", MODEL, acme, START + days * day) for days in range(4)]
    assert found == [own, everybodys, newer, own_again]


@pytest.mark.django_db(transaction=True)
def test_only_an_organization_without_a_price_follows(acme: Organization) -> None:
    for values in (FOLLOWING, FOLLOWING | {"organization": acme, "enabled": True}):
        with pytest.raises(IntegrityError):
            make_price(**values)


def test_a_disabled_version_is_in_force_as_well(db: None) -> None:
    make_price()
    disabled = make_price(at=START + SECOND, enabled=False)
    assert Price.objects.in_force("groq", MODEL) == disabled


def test_other_models_and_providers_have_their_own(db: None) -> None:
    make_price()
    assert Price.objects.in_force("groq", MODEL.upper()) is None
    assert Price.objects.in_force("other", MODEL) is None


# Never changed


def test_the_model_refuses_changes(db: None) -> None:
    price = make_price()
    price.enabled = False
    with pytest.raises(TypeError, match="never changed"):
        price.save()
    with pytest.raises(TypeError, match="never deleted"):
        price.delete()
    with pytest.raises(TypeError, match="never changed"):
        Price.objects.update(enabled=False)
    with pytest.raises(TypeError, match="never deleted"):
        Price.objects.all().delete()


@pytest.mark.parametrize("statement", ["UPDATE pricing_price SET enabled = false", "DELETE FROM pricing_price"])
def test_the_table_refuses_changes_by_anybody(db: None, statement: str) -> None:
    make_price()
    with pytest.raises(DatabaseError, match="Prices are history"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Price.objects.get().enabled


# Impossible prices


@pytest.mark.parametrize("rate", Price.RATES)
@pytest.mark.parametrize("value", ["-0.000000001", "1000.000000001"])
def test_prices_out_of_range_are_refused_by_model_and_table(db: None, rate: str, value: str) -> None:
    price = Price(model=MODEL, **{rate: Decimal(value)})
    with pytest.raises(ValidationError, match="at least"):
        price.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        price.save()


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity", "0.0000000001", "1e30"])
def test_what_is_no_amount_of_money_is_refused(db: None, value: str) -> None:
    price = Price(model=MODEL, input_usd_per_1k_tokens=Decimal(value))
    with pytest.raises(ValidationError):
        price.full_clean()
    with pytest.raises(ValueError, match=r"dollars|money"), transaction.atomic():
        price.save()


@pytest.mark.parametrize("value", ["0.25", Decimal("0.25"), 3])
def test_an_amount_may_be_text_or_a_whole_number(db: None, value: Decimal | int | str) -> None:
    Price(model=MODEL, input_usd_per_1k_tokens=value).save()
    assert Price.objects.get().input_usd_per_1k_tokens == Decimal(value)


def test_the_bounds_are_allowed(db: None) -> None:
    make_price(input_usd_per_1k_tokens=Decimal(0), output_usd_per_1k_tokens=MAX_PRICE)
    price = Price.objects.get()
    assert (price.input_usd_per_1k_tokens, price.output_usd_per_1k_tokens) == (0, MAX_PRICE)


@given(st.integers(-LARGEST, LARGEST))
def test_money_survives_the_journey(nano: int) -> None:
    assert to_nano(from_nano(nano)) == nano


def test_a_bigint_is_the_limit() -> None:
    assert to_nano(from_nano(LARGEST)) == LARGEST
    with pytest.raises(ValueError, match="money"):
        to_nano(from_nano(LARGEST + 1))


def test_parts_finer_than_a_nano_dollar_are_not_lost_silently() -> None:
    with pytest.raises(ValueError, match="decimals"):
        to_nano(Decimal("1.0000000000000000000000000000000000000001"))


def test_a_summary_reads_like_groqs_price_list() -> None:
    price = Price(input_usd_per_1k_tokens=Decimal("0.000150000"), output_usd_per_1k_tokens=Decimal("0.0006"))
    assert price.summary == "$0.15 / 1M input tokens, $0.6 / 1M output"
    assert Price(audio_usd_per_hour=Decimal("0.111")).summary == "$0.111 / audio hour"
    assert Price(enabled=False).summary == "no price"


@pytest.mark.django_db(transaction=True)
def test_migrations_go_back_and_forth() -> None:
    """To where the append-only trigger and the groups do not exist, and back."""
    try:
        call_command("migrate", "pricing", "0001", verbosity=0)
        call_command("migrate", "accounts", "0001", verbosity=0)
    finally:
        call_command("migrate", verbosity=0)
    make_price()
    with pytest.raises(DatabaseError, match="Prices are history"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM pricing_price")
