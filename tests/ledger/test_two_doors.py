"""One call that two programs tell of is one event. What the second tells in addition fills the event's gaps."""

import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization, Project, User
from groq_client.call import Call, RateLimit, Usage, new_request_id
from ledger.models import CurrentSession, Supplement, Tail, UsageEvent
from ledger.recording.record import Conflict, Recorded, record
from ledger.upkeep.gaps import fill_gaps
from pricing.models import Price
from tests.ledger.calls import MODEL, NOON, call, failed, usage
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import fold_now

pytestmark = pytest.mark.django_db(transaction=True)

IDS = {"provider_request_id": "req_1", "response_id": "chatcmpl-1"}


@pytest.fixture(autouse=True)
def _price() -> None:
    Price.objects.create(
        model=MODEL,
        input_usd_per_1k_tokens=Decimal("0.1"),
        output_usd_per_1k_tokens=Decimal("0.2"),
        cached_input_usd_per_1k_tokens=Decimal("0.05"),
        effective_from=NOON - timedelta(days=1),
    )


def of_gateway(**more: Any) -> Call:
    """A call as the gateway sees it: with all that Groq said, and without what only the program knows."""
    told = usage(1000, 100, cached_tokens=800, queue_ms=1.5)
    return call(organization="acme", at=NOON, **(IDS | {"usage": told, "service_tier": "on_demand", **more}))


def of_exporter(**more: Any) -> Call:
    """The same call as a span of OpenTelemetry tells of it."""
    known = {"user": "zoe", "session_id": "talk", "feature": "rag", "metadata": {"a": 1}, "latency_ms": 300}
    told = {"response_id": "chatcmpl-1", "usage": usage(1000, 100)}
    return call(organization="acme", at=NOON + timedelta(milliseconds=7), **(known | told | more))


def settle() -> UsageEvent:
    """Fill the gaps, and return the only event after its sums were checked."""
    fill_gaps()
    assert not Supplement.objects.exists()
    assert wrong_sums() == []
    fold_now()
    assert wrong_sums() == []
    return UsageEvent.objects.get()


@pytest.mark.parametrize("is_folded", [False, True], ids=["in the tail", "folded"])
@pytest.mark.parametrize("first", ["gateway", "exporter"])
def test_the_event_knows_what_both_know(acme: Organization, first: str, is_folded: bool) -> None:
    calls = [of_gateway(), of_exporter()]
    earlier, later = calls if first == "gateway" else calls[::-1]
    record([earlier])
    if is_folded:
        fold_now()
    assert record([later]) == Recorded(0, (later,))
    assert UsageEvent.objects.count() == 1
    event = settle()
    assert (event.request_id, event.timestamp, event.latency_ms) == (
        earlier.request_id, earlier.started_at, earlier.latency_ms,
    )  # fmt: skip
    assert (event.cached_tokens, event.cost_usd, event.queue_ms) == (800, Decimal("0.08"), 1.5)
    assert (event.provider_request_id, event.response_id) == ("req_1", "chatcmpl-1")
    assert event.user == User.objects.get(handle="zoe")
    assert (event.session_id, event.feature, event.metadata) == ("talk", "rag", {"a": 1})
    assert CurrentSession.objects.values_list("session_id", "requests", "cost_usd").get() == (
        "talk", 1, Decimal("0.08"),
    )  # fmt: skip


@pytest.mark.parametrize("batch", ["together", "apart"])
def test_telling_it_again_changes_nothing(acme: Organization, batch: str) -> None:
    calls = [of_gateway(), of_exporter()]
    if batch == "together":
        assert record(calls) == Recorded(1, (calls[1],))
    else:
        record(calls[:1])
        record(calls[1:])
    settle()
    before = UsageEvent.objects.values().get()
    assert record(calls[::-1]) == Recorded(0, (calls[1], calls[0]))
    settle()
    assert UsageEvent.objects.values().get() == before


def test_one_id_in_common_is_enough(acme: Organization) -> None:
    record([of_gateway()])
    assert record([of_exporter(response_id="", provider_request_id="req_1")]).events == 0
    assert settle().feature == "rag"


def test_a_program_may_tell_it_under_the_same_request_id(acme: Organization) -> None:
    """As a client does that sends the gateway the id under which its own recorder tells of the call."""
    first = of_gateway(request_id="mine")
    record([first])
    again = of_exporter(request_id="mine")
    assert record([again]) == Recorded(0, (again,))
    assert settle().feature == "rag"
    other = replace(again, response_id="chatcmpl-2")
    assert record([other]) == Recorded(0, (other,), (Conflict(other, "timestamp"),))


def test_the_same_ids_in_two_organizations_are_two_calls(acme: Organization, globex: Organization) -> None:
    assert (
        record([of_gateway(), replace(of_gateway(), attribution=call(organization="globex").attribution)]).events == 2
    )


def test_calls_without_ids_of_a_provider_are_never_the_same(acme: Organization) -> None:
    assert record([call(organization="acme"), call(organization="acme")]).events == 2
    assert record([call(organization="acme")]).events == 1


def test_a_failed_call_is_one_event_too(acme: Organization) -> None:
    record([replace(failed(organization="acme", provider_request_id="req_1"), error_code="", http_status=None)])
    record([failed(organization="acme", provider_request_id="req_1", error_message="Too many", user="zoe")])
    event = settle()
    assert (event.error_code, event.error_message, event.http_status) == ("rate_limit_exceeded", "Too many", 429)


def test_the_first_status_stays_and_the_better_usage_counts(acme: Organization) -> None:
    """The client's line broke, while the gateway saw the whole answer."""
    estimate = Usage(900, 90, 990, estimated=True)
    record([replace(failed(organization="acme", **IDS), error_code="connection_error", http_status=None)])
    record([of_gateway(rate_limit=RateLimit(limit_tokens=7), stream=True, attempts=3)])
    event = settle()
    assert (event.status, event.error_code, event.http_status) == ("error", "connection_error", 200)
    assert (event.total_tokens, event.cost_usd, event.model) == (1100, Decimal("0.08"), MODEL)
    assert (event.limit_tokens, event.stream, event.attempts) == (7, True, 3)
    record([of_gateway(request_id=new_request_id(), usage=estimate)])
    assert settle().total_tokens == 1100


def test_two_that_were_told_with_one_id_each_stay_two(acme: Organization) -> None:
    """Nobody can know that they are one call until a third program tells both ids, and then both are counted."""
    record([of_exporter(), of_gateway(response_id="")])
    assert UsageEvent.objects.count() == 2
    record([of_gateway(request_id=new_request_id(), service_tier="flex")])
    fill_gaps()
    assert wrong_sums() == []
    ids = UsageEvent.objects.order_by("timestamp").values_list("provider_request_id", "response_id")
    assert list(ids) == [("req_1", ""), ("", "chatcmpl-1")]


def test_a_person_who_was_merged_away_meanwhile_is_not_named(acme: Organization) -> None:
    record([call(organization="acme", user="ann", project="one"), call(organization="acme", user="zoe", project="two")])
    record([of_gateway()])
    record([of_exporter(project="two")])
    for model, away, kept in ((User, "zoe", "ann"), (Project, "two", "one")):
        found = {getattr(one, model.called): one for one in model._default_manager.filter(organization=acme)}
        model._default_manager.filter(pk=found[away].pk).update(merged_into=found[kept])
    fill_gaps()
    event = UsageEvent.objects.get(response_id="chatcmpl-1")
    assert event.user is not None
    assert event.project is not None
    assert (event.user.handle, event.project.slug) == ("ann", "one")


def test_a_supplement_to_a_deleted_event_is_forgotten(acme: Organization) -> None:
    record([of_gateway()])
    record([of_exporter()])
    fold_now()
    UsageEvent.objects.all()._raw_delete("default")
    assert fill_gaps() == 0
    assert not Supplement.objects.exists()


def test_many_events_are_filled_at_once(acme: Organization) -> None:
    calls = [of_gateway(provider_request_id=f"req_{n}", response_id=f"c-{n}", latency_ms=n) for n in range(1100)]
    others = [of_exporter(response_id=f"c-{n}", session_id=f"s{n % 7}") for n in range(1100)]
    record(calls)
    fold_now()
    record(others)
    record([call(organization="acme", at=NOON)])  # the tail is folded in between
    assert fill_gaps() == 1100
    assert wrong_sums() == []
    assert UsageEvent.objects.filter(feature="rag", cached_tokens=800).count() == 1100


def test_programs_that_tell_at_once_make_one_event(acme: Organization) -> None:
    """Each of four programs knows all calls, under ids of its own and in an order of its own."""
    names = [f"{n:02}" for n in range(60)]
    start, failures = threading.Barrier(4), list[BaseException]()

    def tell(program: int) -> None:
        dice = random.Random(program)
        calls = [
            call(organization="acme", provider_request_id=f"req_{n}", response_id=f"c-{n}", user=f"u{program}")
            for n in dice.sample(names, len(names))
        ]
        start.wait()
        try:
            tell_in_batches(calls, dice)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=tell, args=[program]) for program in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(UsageEvent.objects.values_list("response_id", flat=True)) == [f"c-{n}" for n in names]
    assert Tail.objects.count() == 60
    fill_gaps()
    assert wrong_sums() == []


def tell_in_batches(calls: Sequence[Call], dice: random.Random) -> None:
    left = list(calls)
    while left:
        size = dice.choice((1, 5, 20))
        record(left[:size])
        left = left[size:]
