"""The writer: each call becomes one event, together with its row of the tail, which a fold adds to the sums."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from accounts.models import Organization, Project, User
from groq_client.call import MAX_COUNT, Usage, UsagePart, new_request_id
from groq_client.usage import read_usage
from ledger.models import Rollup, Session, Tail, UsageEvent
from ledger.recording import pipeline, pool, shard_insert
from ledger.recording.event_row import InvalidCallError
from ledger.recording.pipeline import Statement
from ledger.recording.record import Conflict, Recorded, _shares, record
from ledger.rollups.cubes import CUBES, TEXT_DIMENSIONS
from pricing.models import Price
from tests.cast import connect
from tests.ledger.calls import MODEL, NOON, call, failed, usage
from tests.ledger.folding import fold_now

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
    fold_now()
    assert Rollup.objects.count() == len(CUBES)
    assert set(Rollup.objects.values_list("requests", flat=True)) == {1}


def test_the_same_call_twice_is_one_event(acme: Organization) -> None:
    again = call(organization=acme.slug)
    assert record([again, again]) == Recorded(1, (again,))
    assert record([again, call(organization=acme.slug)]) == Recorded(1, (again,))
    assert UsageEvent.objects.count() == 2
    fold_now()
    assert set(Rollup.objects.filter(cube=1).values_list("requests", flat=True)) == {2}


def test_one_request_id_may_stand_in_two_organizations(acme: Organization, globex: Organization) -> None:
    same = new_request_id()
    record([call(organization=slug, request_id=same) for slug in (acme.slug, globex.slug)])
    assert UsageEvent.objects.filter(request_id=same).count() == 2


def test_the_day_is_that_of_the_organization(acme: Organization, globex: Organization) -> None:
    """The dates in Los Angeles and Kolkata differ for half the day."""
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
    fold_now()
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


def test_numbers_that_contradict_are_mended_and_marked_whoever_records_them(acme: Organization) -> None:
    part = UsagePart(MODEL, Usage(100, 20, 120, cached_tokens=900))
    record(
        [
            call(request_id="a", usage=Usage(100, 20, 999, cached_tokens=900, reasoning_tokens=21)),
            call(request_id="b", usage=Usage(100, 20)),  # without a total there is no contradiction
            call(request_id="c", usage=usage(parts=(part,))),
        ]
    )
    odd, plain, compound = UsageEvent.objects.order_by("request_id")
    assert (odd.total_tokens, odd.cached_tokens, odd.reasoning_tokens, odd.tokens_estimated) == (120, 100, 20, True)
    assert (plain.total_tokens, plain.tokens_estimated) == (120, False)
    assert (compound.usage_breakdown[0]["cached_tokens"], compound.tokens_estimated) == (100, True)


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
    fold_now()
    assert sum(Rollup.objects.filter(cube=1).values_list("unpriced", flat=True)) == 2


def test_text_that_postgresql_cannot_store_is_cleaned(acme: Organization) -> None:
    record([call(user="a\0b\ud800", error_message="a\0b\ud800" * 500, metadata={"k\0": "v\0\ud800", "k": 1})])
    event = UsageEvent.objects.get()
    assert (event.error_message, event.metadata.pop("k")) == (("ab?" * 500)[:500], 1)
    ((key, value),) = event.metadata.items()
    assert (key[:2], value) == ("k…", "v?")


IDS = (
    "request_id", "session_id", "model", "model_requested", "provider_request_id", "expert_id", "template_id", "feature"
)  # fmt: skip


@pytest.mark.parametrize(("length", "ends"), [(205, "ab"), (9, "\ud800\ud801"), (9, ["\0z", "\0\0z"])])
def test_what_identifies_is_never_cut_so_that_two_become_one(
    acme: Organization, length: int, ends: Sequence[str]
) -> None:
    """This holds for request ids, and for the ids and names that are dimensions of sums."""
    record([call(organization="acme", **dict.fromkeys(IDS, "x" * length + end)) for end in ends])
    fold_now()
    assert UsageEvent.objects.count() == Session.objects.count() == 2
    for one, other in zip(*UsageEvent.objects.values_list(*IDS), strict=True):
        assert one != other
    of_ids = [cube.number for cube in CUBES if cube.dimensions & set(TEXT_DIMENSIONS)]
    assert Rollup.objects.filter(cube__in=of_ids).count() == 2 * len(of_ids)


def test_an_organization_is_not_found_by_the_beginning_of_a_longer_name(acme: Organization) -> None:
    Organization.objects.create(name="Long", slug="l" * 200)
    record([call(organization="l" * 205)])
    assert UsageEvent.objects.get().organization.slug == "default"


@pytest.mark.parametrize("bad", ["nan", "circular", "huge"])
def test_one_bad_value_of_metadata_costs_no_other(acme: Organization, bad: str) -> None:
    """This call does not come from our client, which would have dropped such values before."""
    circular: dict[str, Any] = {}
    circular["it"] = circular
    value = {"nan": float("nan"), "circular": circular, "huge": "x" * (1 << 20)}[bad]
    record([call(metadata={"a": 1, "bad": [value, 2]})])
    kept = UsageEvent.objects.get().metadata
    assert (kept["a"], kept["bad"][1]) == (1, 2)
    assert "dropped: " in str(kept["bad"][0])


def test_a_request_id_that_is_told_with_other_figures_is_recorded_once_and_told(acme: Organization) -> None:
    first = call(organization="acme", request_id="a")
    other = replace(first, usage=usage(100, 21), status="error")
    late = replace(first, started_at=NOON + timedelta(seconds=1))
    recorded = record([first, other])  # both calls are in one batch
    assert recorded == Recorded(1, (other,), (Conflict(other, "status, output_tokens"),))
    fresh = call(organization="acme")
    recorded = record([first, late, other, fresh, first])  # the call is in a later batch
    conflicts = (Conflict(late, "timestamp"), Conflict(other, "status, output_tokens"))
    assert recorded == Recorded(1, (first, late, other, first), conflicts)
    assert UsageEvent.objects.get(request_id="a").output_tokens == 20
    again = replace(first, latency_ms=1, attempts=2)
    assert record([again]) == Recorded(0, (again,))  # these figures are not compared


def test_calls_that_one_of_several_organizations_has_already_hold_up_no_others(
    acme: Organization, globex: Organization
) -> None:
    known = call(organization="acme", request_id="b")
    record([known])
    odd = replace(known, usage=usage(7, 8))
    fresh = [call(organization=slug, request_id=name) for slug in ("globex", "acme") for name in ("c", "b", "a")]
    recorded = record([odd, *fresh, known])
    assert recorded == Recorded(5, (odd, fresh[4], known), (Conflict(odd, "input_tokens, output_tokens"),))
    assert UsageEvent.objects.count() == Tail.objects.count() == 6


def test_a_call_whose_commit_was_not_heard_of_is_found_to_be_recorded(
    acme: Organization, globex: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost between the COMMIT and its answer. The second attempt finds all events and no conflict."""
    real = pipeline.run

    def run(connection: "Connection[Any]", statements: "Iterable[Statement]") -> None:
        real(connection, statements)
        monkeypatch.setattr(pipeline, "run", real)
        with connect() as other:
            other.execute("SELECT pg_terminate_backend(%s, 10000)", [connection.info.backend_pid])
        connection.execute("SELECT 1")

    monkeypatch.setattr(pipeline, "run", run)
    first, other, second = calls = [call(organization=slug) for slug in ("acme", "globex", "acme")]
    assert record(calls) == Recorded(0, (first, second, other))
    assert UsageEvent.objects.count() == Tail.objects.count() == 3


def test_a_young_table_is_written_to_as_quickly_as_an_old_one(acme: Organization) -> None:
    """The table has never been analyzed. The plan must not read all events for each new one, since that would exceed
    the recorder's time limit."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ledger_usageevent, ledger_tail")
    assert record([call(organization=acme.slug) for _ in range(5000)]).events == 5000


def test_the_statement_of_one_call_is_prepared_once(acme: Organization) -> None:
    """The prepared statement is the same for numbers with any number of digits, with and without a session."""
    pool.close()  # so that there is one connection
    for tokens in (1, 70_000, 900_000_000):
        record([call(organization=acme.slug, usage=usage(tokens, 1), session_id="s" if tokens > 1 else "")])
    with pool.ledger_connection() as connection:
        prepared = connection.execute("SELECT statement FROM pg_prepared_statements").fetchall()
    assert sum("INSERT INTO ledger_usageevent" in statement for (statement,) in prepared) == 1


def test_what_another_process_changes_counts_for_the_next_call(acme: Organization, price: Price) -> None:
    """Names, time zones and prices are in memory by then."""
    at = datetime(2026, 11, 2, 20, 0, tzinfo=UTC)

    def recorded() -> UsageEvent:
        record([call(organization="acme", user="zoe", at=at)])
        return UsageEvent.objects.latest("id")

    before = recorded()
    assert (before.day, before.cost_usd) == (date(2026, 11, 2), Decimal("0.000027000"))
    with connect() as other:
        other.execute("UPDATE accounts_organization SET time_zone = 'Asia/Tokyo' WHERE slug = 'acme'")
        assert recorded().day == date(2026, 11, 3)
        copied = ", ".join(f.column for f in Price._meta.concrete_fields if f.column not in ("id", "enabled"))
        other.execute(f"INSERT INTO pricing_price ({copied}, enabled) SELECT {copied}, false FROM pricing_price")
        assert recorded().cost_usd is None
        other.execute("UPDATE accounts_user SET handle = 'zora', handle_key = 'zora' WHERE handle = 'zoe'")
        assert recorded().user_id not in (None, before.user_id)


def test_one_call_needs_two_round_trips(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    """One asks for the generation, and one writes the event and its row of the tail."""
    record([call(organization="acme", project="rag", user="zoe")])
    asked, written = list[str](), list[int]()
    execute, run = psycopg.Cursor.execute, pipeline.run
    monkeypatch.setattr(
        psycopg.Cursor,
        "execute",
        lambda own, query, *more, **how: asked.append(query) or execute(own, query, *more, **how),
    )
    monkeypatch.setattr(pipeline, "run", lambda own, statements: run(own, _counted(statements, written)))
    record([call(organization="acme", project="rag", user="zoe")])
    assert [len(asked), len(written)] == [1, 1]


def test_one_call_on_a_cluster_is_two_statements_of_one_shard_each(acme: Organization) -> None:
    with pool.ledger_connection() as connection:
        (share,) = _shares(connection, [call(organization="acme", user="zoe")])
    statements = list(shard_insert.statements(share.parted().new))
    assert [sql.split(b" (")[0].decode() for sql, _ in statements] == [
        "BEGIN", "INSERT INTO ledger_usageevent", "INSERT INTO ledger_tail", "COMMIT"
    ]  # fmt: skip


def _counted(statements: Iterable[Statement], counts: list[int]) -> Iterator[Statement]:
    for statement in statements:
        counts.append(1)
        yield statement
