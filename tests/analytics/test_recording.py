"""The writer: what a call becomes, once, together with its sums."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.models import Organization, Project, User
from analytics import ledger_pool
from analytics.cubes import CUBES
from analytics.models import Rollup, UsageEvent
from analytics.recording import Recorded, record
from analytics.rows import InvalidCallError
from groq_client.call import MAX_COUNT, Usage, UsagePart, new_request_id
from groq_client.usage import read_usage
from pricing.models import Price
from tests.analytics.calls import MODEL, NOON, call, failed, usage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def price() -> Price:
    return Price.objects.create(
        model=MODEL,
        input_usd_per_1k_tokens=Decimal("0.00015"),
        output_usd_per_1k_tokens=Decimal("0.0006"),
        cached_input_usd_per_1k_tokens=Decimal("0.000075"),
        effective_from=NOON - timedelta(days=1),
    )


def test_a_call_becomes_a_priced_event(acme: Organization, price: Price) -> None:
    record([call(organization=acme.slug, project="rag", user="zoe", usage=usage(1000, 500, cached_tokens=200))])
    event = UsageEvent.objects.get()
    assert event.cost_usd == Decimal("0.000435000")
    assert (event.price, event.organization, event.total_tokens) == (price, acme, 1500)
    assert (event.project, event.user) == (Project.objects.get(slug="rag"), User.objects.get(handle="zoe"))


def test_every_cube_gets_one_row_for_one_call(acme: Organization) -> None:
    record([call(organization=acme.slug)])
    assert Rollup.objects.count() == len(CUBES)
    assert set(Rollup.objects.values_list("requests", flat=True)) == {1}


def test_the_same_call_twice_is_one_event(acme: Organization) -> None:
    again = call(organization=acme.slug)
    assert record([again, again]) == Recorded(events=1, duplicates=1)
    assert record([again, call(organization=acme.slug)]) == Recorded(events=1, duplicates=1)
    assert UsageEvent.objects.count() == 2
    assert set(Rollup.objects.filter(cube=1).values_list("requests", flat=True)) == {2}


def test_one_request_id_may_stand_in_two_organizations(acme: Organization, globex: Organization) -> None:
    same = new_request_id()
    record([call(organization=slug, request_id=same) for slug in (acme.slug, globex.slug)])
    assert UsageEvent.objects.filter(request_id=same).count() == 2


def test_the_day_is_that_of_the_organization(acme: Organization, globex: Organization) -> None:
    """Los Angeles and Kolkata disagree about the date for half the day."""
    late = datetime(2026, 11, 2, 20, 0, tzinfo=UTC)
    record([call(organization=slug, at=late) for slug in (acme.slug, globex.slug)])
    days = dict(UsageEvent.objects.values_list("organization__slug", "day"))
    assert days == {acme.slug: date(2026, 11, 2), globex.slug: date(2026, 11, 3)}


@pytest.mark.parametrize("slug", ["", "nobody-knows-it"])
def test_a_call_without_a_known_organization_goes_to_the_default_one(
    slug: str, acme: Organization, settings: pytest.FixtureRequest
) -> None:
    record([call(organization=slug)])
    assert UsageEvent.objects.get().organization.slug == settings.DEFAULT_ORGANIZATION  # type: ignore[attr-defined]


def test_a_model_without_a_price_is_unpriced_and_not_free(acme: Organization) -> None:
    record([call("nobody/priced-it", organization=acme.slug)])
    event = UsageEvent.objects.get()
    assert (event.cost_usd, event.price) == (None, None)
    assert Rollup.objects.filter(cube=1).get().unpriced == 1


def test_a_disabled_price_makes_new_calls_unpriced(acme: Organization, price: Price) -> None:
    Price.objects.create(model=MODEL, enabled=False, effective_from=NOON)
    record([call(at=NOON - timedelta(seconds=1)), call(at=NOON)])
    assert list(UsageEvent.objects.order_by("timestamp").values_list("cost_usd", flat=True)) == [
        Decimal("0.000027000"),
        None,
    ]


def test_a_refused_call_costs_nothing_even_without_a_price(acme: Organization) -> None:
    record([failed(model="nobody/priced-it")])
    event = UsageEvent.objects.get()
    assert (event.cost_usd, event.status, event.model) == (Decimal(0), "error", "nobody/priced-it")


def test_a_price_edit_counts_from_the_start_of_the_call(acme: Organization, price: Price) -> None:
    """A call in flight while the price changes is charged at the price in force when it started."""
    in_flight = call(at=NOON)
    Price.objects.create(
        model=MODEL,
        input_usd_per_1k_tokens=Decimal(1),
        output_usd_per_1k_tokens=Decimal(1),
        effective_from=NOON + timedelta(seconds=1),
    )
    record([in_flight, call(at=NOON + timedelta(seconds=2))])
    costs = UsageEvent.objects.order_by("timestamp").values_list("cost_usd", flat=True)
    assert list(costs) == [Decimal("0.000027000"), Decimal("0.12")]


def test_an_organization_pays_its_own_price(acme: Organization, globex: Organization, price: Price) -> None:
    Price.objects.create(
        model=MODEL,
        organization=globex,
        input_usd_per_1k_tokens=Decimal("0.01"),
        output_usd_per_1k_tokens=Decimal("0.01"),
        effective_from=NOON - timedelta(days=30),
    )
    record([call(organization=slug) for slug in (acme.slug, globex.slug)])
    costs = dict(UsageEvent.objects.values_list("organization__slug", "cost_usd"))
    assert costs == {acme.slug: Decimal("0.000027000"), globex.slug: Decimal("0.0012")}


def test_a_compound_call_is_priced_part_by_part(acme: Organization, price: Price) -> None:
    Price.objects.create(
        model="small", input_usd_per_1k_tokens=Decimal(1), output_usd_per_1k_tokens=Decimal(2), effective_from=NOON
    )
    parts = (UsagePart(MODEL, usage(100, 20)), UsagePart("small", usage(10, 5)))
    record([call("groq/compound", usage=usage(110, 25, parts=parts))])
    event = UsageEvent.objects.get()
    assert event.cost_usd == Decimal("0.000027000") + Decimal("0.02")
    assert [part["cost_usd"] for part in event.usage_breakdown] == ["0.000027000", "0.020000000"]


def test_a_compound_call_with_an_unpriced_part_is_unpriced(acme: Organization, price: Price) -> None:
    record([call("groq/compound", usage=usage(parts=(UsagePart(MODEL, usage()), UsagePart("new", usage()))))])
    assert UsageEvent.objects.get().cost_usd is None


@pytest.mark.parametrize("bad", [{"input_tokens": -1}, {"output_tokens": 2**63}, {"audio_seconds": Decimal("NaN")}])
def test_impossible_numbers_are_refused_and_nothing_is_written(acme: Organization, bad: dict[str, int]) -> None:
    with pytest.raises(InvalidCallError, match=next(iter(bad))):
        record([call(), call(usage=replace(Usage(), **bad))])
    assert not UsageEvent.objects.exists()


def test_the_numbers_of_a_compound_calls_parts_are_checked_as_well(acme: Organization) -> None:
    with pytest.raises(InvalidCallError, match="input_tokens"):
        record([call("groq/compound", usage=usage(parts=(UsagePart(MODEL, usage(MAX_COUNT + 1)),)))])


def test_whatever_the_client_believes_can_be_recorded(acme: Organization) -> None:
    largest = {"prompt_tokens": MAX_COUNT, "completion_tokens": MAX_COUNT, "total_tokens": 2 * MAX_COUNT}
    reported = read_usage(largest)
    assert reported is not None
    assert reported.is_whole
    record([call(usage=reported.usage)])
    assert UsageEvent.objects.get().total_tokens == 2 * MAX_COUNT
    for name, limit in largest.items():
        unbelievable = read_usage(largest | {name: limit + 1})
        assert unbelievable is not None
        record([call(usage=unbelievable.usage)])


@pytest.mark.parametrize("operation", ["transcription", "translation"])
def test_audio_of_unknown_length_is_unpriced_and_not_free(acme: Organization, operation: str) -> None:
    whisper = "whisper-large-v3"
    Price.objects.create(model=whisper, audio_usd_per_hour=Decimal("0.111"), effective_from=NOON - timedelta(days=1))
    unknown = call(whisper, operation=operation, organization=acme.slug, usage=Usage(estimated=True))
    cut_off = replace(unknown, request_id=new_request_id(), status="error", error_code="connection_error")
    record([unknown, cut_off, failed(operation=operation, organization=acme.slug)])
    costs = UsageEvent.objects.values_list("error_code", "cost_usd", "price")
    assert set(costs) == {("", None, None), ("connection_error", None, None), ("rate_limit_exceeded", 0, None)}
    assert sum(Rollup.objects.filter(cube=1).values_list("unpriced", flat=True)) == 2


def test_text_that_postgresql_cannot_store_is_cleaned(acme: Organization) -> None:
    record([call(user="a\0b\ud800", expert_id="x" * 500, metadata={"k": "v\0\ud800"})])
    event = UsageEvent.objects.get()
    assert (event.expert_id, event.metadata["k"][0]) == ("x" * 200, "v")


def test_a_young_table_is_written_to_as_quickly_as_an_old_one(acme: Organization) -> None:
    """Before its first ANALYZE, within the recorder's own time limit: the plan must not read all events for each."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE analytics_usageevent, analytics_session, analytics_rollup")
    assert record([call(organization=acme.slug) for _ in range(5000)]).events == 5000


def test_the_statement_of_one_call_is_prepared_once(acme: Organization) -> None:
    """However many digits its numbers have, and whether it names a session or not."""
    ledger_pool.close()  # so that there is one connection
    for tokens in (1, 70_000, 900_000_000):
        record([call(organization=acme.slug, usage=usage(tokens, 1), session_id="s" if tokens > 1 else "")])
    with ledger_pool.ledger_connection() as connection:
        prepared = connection.execute("SELECT statement FROM pg_prepared_statements").fetchall()
    assert sum("INSERT INTO analytics_usageevent" in statement for (statement,) in prepared) == 1
