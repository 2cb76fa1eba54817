"""Sessions: each is the sum of its events, and everybody sees their own share of them."""

import threading
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from accounts.models import Organization
from analytics.models import Session, UsageEvent
from analytics.recording import record
from groq_client.call import new_request_id
from pricing.models import Price
from tests.analytics.calls import call, usage

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2026, 10, 28, tzinfo=UTC)


@pytest.fixture
def price() -> Price:
    return Price.objects.create(
        model="priced/a", input_usd_per_1k_tokens=Decimal(1), output_usd_per_1k_tokens=Decimal(2),
        effective_from=START - timedelta(days=400),
    )  # fmt: skip


# The writer


def summed(events: Sequence[UsageEvent]) -> dict[str, Any]:
    """What a session must say of its events, by plain addition."""
    return {
        "requests": len(events),
        "errors": sum(event.status == "error" for event in events),
        "unpriced": sum(event.cost_usd is None for event in events),
        "input_tokens": sum(event.input_tokens for event in events),
        "output_tokens": sum(event.output_tokens for event in events),
        "cached_tokens": sum(event.cached_tokens for event in events),
        "total_tokens": sum(event.total_tokens for event in events),
        "cost_usd": sum((event.cost_usd or Decimal(0) for event in events), Decimal(0)),
        "first_at": min(event.timestamp for event in events),
        "last_at": max(event.timestamp + timedelta(milliseconds=event.latency_ms) for event in events),
        "first_day": min(event.day for event in events),
        "last_day": max(event.day for event in events),
        "model_names": sorted({event.model for event in events}),
    }


def by_session(organization: Organization) -> dict[tuple[int, str], dict[str, Any]]:
    events = defaultdict(list)
    for event in UsageEvent.objects.filter(organization=organization).exclude(session_id=""):
        events[event.user_id or 0, event.session_id].append(event)
    return {key: summed(own) for key, own in events.items()}


def stored(organization: Organization) -> dict[tuple[int, str], dict[str, Any]]:
    names = summed_names()
    rows = Session.objects.filter(organization=organization)
    return {(row.user_id, row.session_id): {name: getattr(row, name) for name in names} for row in rows}


def summed_names() -> list[str]:
    left_out = {"pk", "organization", "user_id", "session_id", "last_utc_day"}
    names = [field.name for field in Session._meta.get_fields()]
    return [name for name in names if name not in left_out and not name.endswith("_class")]


drawn_calls = st.builds(
    dict,
    model=st.sampled_from(["priced/a", "priced/a", "unpriced/b", ""]),
    at=st.integers(0, 60 * 24 * 10).map(lambda minute: START + timedelta(minutes=minute)),
    latency_ms=st.integers(0, 2**31 - 1),
    user=st.sampled_from(["", "ann", "ben"]),
    session_id=st.sampled_from(["", "s1", "s2", "S1", "it's 100%"]),
    usage=st.integers(0, 10**9 // 2).map(lambda tokens: usage(tokens, tokens // 3, cached_tokens=tokens // 7)),
    status=st.sampled_from(["success", "error"]),
    request_id=st.integers(0, 15).map(lambda n: f"request-{n}"),
)


@given(st.lists(st.lists(drawn_calls, max_size=8), max_size=5))
@settings(
    max_examples=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_sessions_equal_events_whatever_was_recorded(price: Price, batches: list[list[dict[str, Any]]]) -> None:
    """Duplicates, late events, several people with one session id, one by one and in batches; each example in an
    organization of its own."""
    slug = f"org-{uuid.uuid4()}"
    organization = Organization.objects.create(slug=slug, name=slug, time_zone="America/Los_Angeles")
    for batch in batches:
        record([call(organization=slug, **drawn) for drawn in batch])
    assert stored(organization) == by_session(organization)


def test_the_oracle_compares_every_sum(acme: Organization, price: Price) -> None:
    record([call(organization="acme", session_id="s")])
    assert set(summed_names()) == set(summed(list(UsageEvent.objects.all())))


def test_two_writers_of_the_same_sessions_neither_deadlock_nor_lose(acme: Organization, price: Price) -> None:
    """Single calls and batches in every order, the same sessions and sums: each writer meets rows of the others."""
    shared = [call("priced/a", organization="acme", session_id=f"s{n % 4}") for n in range(20)]
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            for n in range(6):
                own = [call("priced/a", organization="acme", session_id=f"s{m % 4}") for m in range(seed, seed + 9)]
                for one in own[:4]:
                    record([one])
                record(own[4:] + shared[(n + seed) % 20 :] + shared[: (n + seed) % 20])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(Session.objects.values_list("requests", flat=True)) == 6 * 6 * 9 + 20
    assert stored(acme) == by_session(acme)


def test_a_session_is_recorded_with_its_event_or_not_at_all(acme: Organization, price: Price) -> None:
    again = call("priced/a", organization="acme", session_id="s", request_id=new_request_id())
    record([again])
    record([again])
    record([again, call("priced/a", organization="acme", session_id="s")])
    assert Session.objects.get().requests == 2


@pytest.mark.parametrize(
    ("measure", "class_name"),
    [("requests", "requests_class"), ("total_tokens", "tokens_class"), ("cost_usd", "cost_class")],
)
def test_what_is_larger_is_in_no_smaller_class(acme: Organization, price: Price, measure: str, class_name: str) -> None:
    """The lists go by class first, so that this is what keeps them in order."""
    for n in range(1, 8):
        record(call("priced/a", organization="acme", session_id=f"s{n}", usage=usage(10**n, 0)) for _ in range(3 * n))
    rows = list(Session.objects.order_by(measure).values_list(class_name, flat=True))
    assert rows == sorted(rows)
    assert rows[0] < rows[-1]
