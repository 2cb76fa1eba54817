"""Counters: all-time sums for metrics, which follow the ledger and never go back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.reports import Counts, Report, counts
from analytics.reports.selection import Selection
from groq_client.call import Call, RateLimit
from ledger.models import Counter, Rollup, Tally
from ledger.recording.record import record
from ledger.rollups import counters
from ledger.upkeep.gaps import fill_gaps
from ledger.upkeep.price_backfill import BackfillRequest, price_events
from tests.ledger.calls import MODEL, NOON, call, failed, timed_out, usage
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

OPERATOR = Viewer.of_operator()


def mixed(slug: str) -> list[Call]:
    """Calls of several models, operations and outcomes, in two organizations and over months."""
    return [
        *(call((MODEL, "unpriced")[n % 2], organization=slug, latency_ms=n * 97, ttft_ms=n * 7 if n % 3 else None,
               at=NOON - timedelta(days=20 * n), usage=usage(100 + n, n, cached_tokens=n, queue_ms=n / 2))
          for n in range(12)),
        call("whisper-large-v3", organization=slug, operation="transcription", usage=usage(0, 0)),
        call(organization=slug, feature="playground"),
        call(organization=slug, feature="experiment", metadata={"experiment": "prompt-b"}),
        call(organization=slug, feature="experiment"),
        failed(organization=slug, model_requested=MODEL),
        timed_out(organization=slug, model_requested=MODEL),
        failed(organization=slug, model_requested="no-such-model"),
    ]  # fmt: skip


def flat(found: Counts) -> dict[tuple[str, ...], float]:
    """Every number that must never go back, by its labels."""
    numbers: dict[tuple[str, ...], float] = {}
    for row in found.calls:
        labels = (row.provider, row.model, row.operation, row.status)
        for name in (*counters.KEY, "unpriced", "rate_limit"):
            assert hasattr(row, name)
        for name in ("requests", "input_tokens", "output_tokens", "cached_tokens", "cost_usd", "audio_seconds"):
            numbers[(*labels, name)] = float(getattr(row, name))
        for name in counters.TIMES:
            times = getattr(row, name)
            numbers[(*labels, name, "count")], numbers[(*labels, name, "sum")] = times.count, times.sum_ms
            for bound, number in zip(counters.BOUNDS_MS, times.buckets, strict=True):
                numbers[(*labels, name, str(bound))] = number
    numbers |= {("playground", slug): number for slug, number in found.playground.items()}
    return numbers | {("experiment", *labels): number for labels, number in found.experiments.items()}


@pytest.fixture
def watched() -> Callable[[], Counts]:
    """Looks at the counters, and fails if one of them has gone back or has gone away since the last look."""
    seen: dict[tuple[str, ...], float] = {}

    def look() -> Counts:
        found = counts(OPERATOR)
        now = flat(found)
        assert {name: (before, now.get(name)) for name, before in seen.items() if now.get(name, -1) < before} == {}
        seen.update(now)
        return found

    return look


def total(found: Counts, name: str) -> Any:
    return sum(getattr(row, name) for row in found.calls)


def of_model(found: Counts, model: str) -> int:
    return sum(row.requests for row in found.calls if row.model == model)


def page() -> Any:
    first, last = NOON.date() - timedelta(days=400), NOON.date() + timedelta(days=2)
    return Report(OPERATOR, Selection(first, last)).totals()


@pytest.mark.parametrize("is_on_a_cluster", [False, True])
def test_counters_are_the_totals_of_the_page(
    acme: Organization,
    globex: Organization,
    watched: Callable[[], Counts],
    monkeypatch: pytest.MonkeyPatch,
    is_on_a_cluster: bool,
) -> None:
    monkeypatch.setattr("ledger.citus._is_distributed", is_on_a_cluster)
    make_price(MODEL, at=NOON - timedelta(days=900))
    for calls in (mixed("acme")[::2], mixed("globex"), mixed("acme")[1::2]):
        record(calls)
        watched()
        fold_now()
        found, shown = watched(), page()
        for name in ("requests", "unpriced", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens",
                     "audio_seconds", "cost_usd", "tool_cost_usd"):  # fmt: skip
            assert total(found, name) == getattr(shown, name), name
        assert sum(row.requests for row in found.calls if row.status != "success") == shown.errors
        assert sum(row.requests for row in found.calls if row.status == "timeout") == shown.timeouts
        assert sum(row.latency.sum_ms for row in found.calls) == shown.latency_ms_sum
        assert sum(row.ttft.count for row in found.calls) == shown.ttft_count
        assert sum(row.ttft.sum_ms for row in found.calls) == shown.ttft_ms_sum
    assert found.playground == {"acme": 1, "globex": 1}
    assert found.experiments == {(slug, name): 1 for slug in ("acme", "globex") for name in ("prompt-b", "unnamed")}
    assert {row.operation for row in found.calls if row.model == "whisper-large-v3"} == {"transcription"}
    assert of_model(found, "no-such-model") == 0
    assert of_model(found, "other") == 2


def test_what_is_in_the_tail_counts_at_once_and_only_once(acme: Organization, watched: Callable[[], Counts]) -> None:
    record([call(organization="acme", feature="playground")])
    fold_now()
    record([call(organization="acme", feature="playground", latency_ms=90)])
    before = watched()
    assert (of_model(before, MODEL), before.playground["acme"]) == (2, 2)
    fold_now()
    assert watched() == before


def test_buckets_hold_what_took_at_most_as_long_as_their_bound(acme: Organization) -> None:
    queues = (9.99, 10.0, 10.01, None)
    record(
        call(organization="acme", latency_ms=latency, ttft_ms=None, usage=usage(queue_ms=queue))
        for latency, queue in zip((10, 11, 600_000, 600_001), queues, strict=True)
    )
    fold_now()
    (row,) = counts(OPERATOR).calls
    of = dict(zip(counters.BOUNDS_MS, row.latency.buckets, strict=True))
    assert (of[10], of[20], of[300_000], of[600_000], row.latency.count) == (1, 2, 2, 3, 4)
    assert (row.queue.buckets[0], row.queue.buckets[1], row.queue.count) == (2, 3, 3)
    assert (row.ttft.count, set(row.ttft.buckets)) == (0, {0})


def test_only_so_many_models_have_a_name_and_they_keep_it(
    acme: Organization, settings: Any, watched: Callable[[], Counts]
) -> None:
    settings.METRICS_MODELS = 2
    record([call("a", organization="acme"), *(call("b", organization="acme") for _ in range(2))])
    record([call("c", organization="acme") for _ in range(3)])
    fold_now()
    assert {row.model: row.requests for row in watched().calls} == {"b": 2, "c": 3, "other": 1}
    record([call("a", organization="acme") for _ in range(50)])
    watched()
    fold_now()
    assert {row.model: row.requests for row in watched().calls} == {"b": 2, "c": 3, "other": 51}
    settings.METRICS_MODELS = 3
    record([call("a", organization="acme")])
    watched()
    fold_now()
    assert {row.model: row.requests for row in watched().calls} == {"a": 1, "b": 2, "c": 3, "other": 51}
    settings.METRICS_MODELS = 0
    record([call("a", organization="acme"), call("d", organization="acme", provider="elsewhere")])
    fold_now()
    assert {row.model: row.requests for row in watched().calls if row.provider == "groq"} == {
        "a": 2, "b": 2, "c": 3, "other": 51,
    }  # fmt: skip
    assert [row.requests for row in watched().calls if row.provider == "other"] == [1]


def test_names_that_nobody_answers_to_take_no_room(acme: Organization, settings: Any) -> None:
    settings.METRICS_MODELS = 3
    make_price("priced")
    record(failed(organization="acme", model_requested=f"typo-{n}") for n in range(20))
    record([failed(organization="acme", model_requested="priced"), call("a", organization="acme")])
    fold_now()
    found = counts(OPERATOR)
    assert {row.model for row in found.calls} == {"a", "priced", "other"}
    assert of_model(found, "other") == 20


def test_only_so_many_experiments_have_a_name(
    acme: Organization, globex: Organization, settings: Any, watched: Callable[[], Counts]
) -> None:
    settings.METRICS_EXPERIMENTS = 2

    def runs(slug: str, name: str, number: int) -> list[Call]:
        return [call(organization=slug, feature="experiment", metadata={"experiment": name}) for _ in range(number)]

    record([*runs("acme", "x", 3), *runs("acme", "y", 2), *runs("globex", "x", 1)])
    fold_now()
    assert watched().experiments == {("acme", "x"): 3, ("acme", "y"): 2, ("globex", "other"): 1}
    record([*runs("globex", "x", 9), *runs("acme", "z" * 500, 1), *runs("acme", "y", 1)])
    watched()
    fold_now()
    assert watched().experiments == {
        ("acme", "x"): 3, ("acme", "y"): 3, ("acme", "other"): 1, ("globex", "other"): 10,
    }  # fmt: skip


def test_prices_that_come_later_raise_the_costs(acme: Organization, watched: Callable[[], Counts]) -> None:
    record(call(organization="acme") for _ in range(3))
    fold_now()
    record([call(organization="acme")])
    before = watched()
    assert (total(before, "unpriced"), total(before, "cost_usd")) == (4, 0)
    price_events(BackfillRequest(make_price(MODEL)), acme, by=None)
    after = watched()
    assert (total(after, "unpriced"), total(after, "requests")) == (0, 4)
    assert total(after, "cost_usd") == page().cost_usd == 4 * Decimal("0.14")


def test_what_a_second_program_tells_raises_counters_and_lowers_none(
    acme: Organization, watched: Callable[[], Counts]
) -> None:
    make_price("other/name")
    guess = usage(500, 10, estimated=True)
    first = call(organization="acme", provider_request_id="req_1", usage=guess, latency_ms=0)
    record([first])
    watched()
    told = replace(first, request_id="another", model="other/name", usage=usage(100, 30), latency_ms=250)
    record([replace(told, attribution=replace(told.attribution, feature="playground"))])
    fold_now()
    watched()
    fill_gaps()
    found, shown = watched(), page()
    assert (shown.requests, shown.input_tokens, shown.output_tokens) == (1, 100, 30)
    (row,) = found.calls
    assert (row.model, row.requests, row.input_tokens, row.output_tokens) == (MODEL, 1, 500, 30)
    assert row.cost_usd == shown.cost_usd == Decimal("0.16")
    assert found.playground == {"acme": 1}


def test_limits_are_those_of_the_newest_call_that_told_them(acme: Organization) -> None:
    def told(minutes: int, remaining: int | None) -> Call:
        limit = RateLimit(limit_requests=100, remaining_requests=remaining, limit_tokens=9_000, remaining_tokens=8_000)
        return call(organization="acme", at=NOON + timedelta(minutes=minutes),
                    rate_limit=limit if remaining is not None else RateLimit())  # fmt: skip

    record([told(2, 42), told(1, 77)])
    fold_now()
    record([told(0, 99), told(3, None)])
    fold_now()
    (row,) = counts(OPERATOR).calls
    assert row.rate_limit is not None
    assert (row.rate_limit.at, row.rate_limit.remaining_requests) == (NOON + timedelta(minutes=2), 42)
    record([told(4, 41)])
    (row,) = counts(OPERATOR).calls
    assert row.rate_limit is not None
    assert row.rate_limit.remaining_requests == 41


def test_only_who_sees_everything_gets_them(acme: Organization) -> None:
    for viewer in (
        Viewer.nobody(),
        OPERATOR.within(acme),
        replace(OPERATOR, sees_cost=False),
        replace(OPERATOR, user_ids=frozenset({1})),
    ):
        with pytest.raises(ValueError, match="all organizations"):
            counts(viewer)


def test_a_fold_that_fails_counts_nothing(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    record([call(organization="acme")])
    with monkeypatch.context() as patch:
        patch.setattr(counters, "_ADD_COUNTERS", "SELECT 1 / 0")
        assert fold_now() == 0
    assert not Counter.objects.exists()
    assert not Rollup.objects.exists()
    assert fold_now() == 1
    assert counts(OPERATOR).calls[0].requests == 1


def test_replayed_calls_are_counted() -> None:
    with connection.cursor() as cursor:
        for number in (2, 3):
            counters.tally(cursor, counters.REPLAYED, number)
    assert counts(OPERATOR).replayed == 5
    assert Tally.objects.count() == 1


def test_a_recount_raises_what_is_behind_and_lowers_nothing(acme: Organization, watched: Callable[[], Counts]) -> None:
    make_price(MODEL, at=NOON - timedelta(days=900))
    record(mixed("acme"))
    fold_now()
    complete = counts(OPERATOR)
    Counter.objects.filter(operation="chat").delete()
    Tally.objects.all().delete()
    record([call(organization="acme", feature="playground")])
    for _ in range(2):
        call_command("recount")
        found = watched()
        assert flat(found) == flat(complete) | {("playground", "acme"): 2, **just_one_more(complete)}
    Counter.objects.update(requests=1_000)
    call_command("recount")
    assert {row.requests for row in counts(OPERATOR).calls} <= {1_000, 1_001}
    fold_now()


def just_one_more(found: Counts) -> dict[tuple[str, ...], float]:
    """What the call in the tail adds."""
    more = flat(found)
    labels = ("groq", MODEL, "chat", "success")
    added = {"requests": 1, "input_tokens": 100, "output_tokens": 20, "cost_usd": 0.14}
    return {(*labels, name): pytest.approx(more[(*labels, name)] + value) for name, value in added.items()} | {
        (*labels, "latency", name): more[(*labels, "latency", name)] + value
        for name, value in {"count": 1, "sum": 250, **{str(b): 1 for b in counters.BOUNDS_MS if b >= 250}}.items()
    }
