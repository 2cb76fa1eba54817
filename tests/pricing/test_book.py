"""The price table in memory: the same answers as the table, and never out of date."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection as django_connection
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from accounts import generation
from accounts.models import Organization
from pricing.book import PriceBook, current
from pricing.models import Price, pick_in_force
from tests.cast import connect
from tests.pricing.prices import MODEL, START, make_price

Connection = psycopg.Connection[tuple[object, ...]]
MOMENTS = st.integers(0, 5).map(lambda hours: START + timedelta(hours=hours))
SCOPES = st.sampled_from([None, 1, 2])


@pytest.mark.django_db(transaction=True)
def test_a_price_comes_back_as_it_was_entered(connection: Connection, acme: Organization) -> None:
    entered = make_price(organization=acme, source_note="by hand", enabled=False)
    found = PriceBook.load(connection).in_force("groq", MODEL, acme.pk, START)
    assert found is not None
    entered.refresh_from_db()
    for field in Price._meta.concrete_fields:
        assert getattr(found, field.attname) == getattr(entered, field.attname), field.name
    with pytest.raises(TypeError, match="never changed"):
        found.save()


@given(st.lists(st.tuples(SCOPES, MOMENTS, st.booleans()), max_size=8), SCOPES, MOMENTS)
@hypothesis(suppress_health_check=[HealthCheck.differing_executors])
def test_it_answers_what_the_rule_says(
    versions: list[tuple[int | None, datetime, bool]], organization_id: int | None, at: datetime
) -> None:
    prices = [
        Price(
            pk=number,
            model=MODEL,
            organization_id=scope,
            effective_from=start,
            created_at=START,
            follows_everybody=follows and scope is not None,
        )
        for number, (scope, start, follows) in enumerate(versions, start=1)
    ]
    expected = pick_in_force(prices, organization_id, at)
    assert PriceBook(prices).in_force("groq", MODEL, organization_id, at) is expected
    assert PriceBook(prices).in_force("groq", "another", organization_id, at) is None


@pytest.mark.django_db(transaction=True)
def test_it_is_read_again_only_when_there_are_new_prices(connection: Connection) -> None:
    first = current(connection)
    assert current(connection) is first
    price = make_price()
    second = current(connection)
    assert second is not first
    assert second.in_force("groq", MODEL, None, START) == price
    assert current(connection) is second


@pytest.mark.django_db(transaction=True)
def test_the_next_call_sees_an_edit_as_soon_as_it_is_committed(connection: Connection) -> None:
    with transaction.atomic():
        make_price()
        assert current(connection).in_force("groq", MODEL, None, START) is None
    assert current(connection).in_force("groq", MODEL, None, START) is not None


@pytest.mark.django_db(transaction=True)
def test_a_generation_that_was_fetched_already_saves_the_look(connection: Connection) -> None:
    make_price()
    now = generation.current(connection)
    found = current(connection, now)
    make_price()
    assert current(connection, now) is found
    assert current(connection, generation.current(connection)) is not found


@pytest.mark.django_db(transaction=True)
def test_entries_committed_out_of_order_are_noticed(connection: Connection) -> None:
    """The lower id commits last: the highest id alone would not tell."""
    columns = "provider, model, audio_minimum_seconds, tool_rates, enabled, effective_from, source_note, created_at"
    values = f"'groq', '{MODEL}', 10, '{{}}', true, '2026-01-01', '', '2026-01-01'"
    connection.execute(f"INSERT INTO pricing_price (id, {columns}) VALUES (9002, {values})")
    before = current(connection)
    connection.execute(f"INSERT INTO pricing_price (id, {columns}) VALUES (9001, {values})")
    assert len(current(connection)._scopes["groq", MODEL, None]) == 2
    assert current(connection) is not before


@pytest.mark.django_db(transaction=True)
def test_a_truncated_table_with_the_same_ids_is_noticed(connection: Connection) -> None:
    make_price()
    current(connection)
    with django_connection.cursor() as cursor:
        cursor.execute("TRUNCATE pricing_price RESTART IDENTITY CASCADE")
    other = make_price(source_note="another one")
    found = current(connection).in_force("groq", MODEL, None, datetime.now(UTC))
    assert found is not None
    assert (found.pk, found.source_note) == (other.pk, "another one")


@pytest.mark.django_db(transaction=True)
def test_threads_share_it_while_prices_change(connection: Connection) -> None:
    """Each thread that looks after an edit finds that edit or a later one."""
    done, wrong = threading.Event(), []
    committed = [0]

    def read() -> None:
        with connect() as own:
            while not done.is_set():
                least = committed[0]
                if len(current(own)._scopes.get(("groq", MODEL, None), ())) < least:
                    wrong.append(least)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(1, 31):
        make_price()
        committed[0] = number
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong
