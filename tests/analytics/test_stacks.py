"""The charts over time, stacked by a dimension: every layer is the plain sum of its events."""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organization, User
from ledger.models import UsageEvent
from ledger.recording.record import record
from pricing.models import Price
from tests.cast import signed_in, zone_at_noon
from tests.ledger.calls import call, failed, outcome, timed_out, usage
from tests.ledger.folding import fold_now

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
VALUE: dict[str, Callable[[UsageEvent], str | None]] = {
    "model": lambda event: event.model,
    "project": lambda event: event.project and event.project.name,
    "user": lambda event: event.user and event.user.handle,
    "feature": lambda event: event.feature,
    "expert": lambda event: event.expert_id,
    "status": outcome,
}


@pytest.fixture
def ledger(acme: Organization, globex: Organization, admin: User, user: User) -> None:
    Organization.objects.filter(pk=acme.pk).update(time_zone=zone_at_noon())
    for number in range(10):
        Price.objects.create(
            model=f"m{number}", input_usd_per_1k_tokens=Decimal(number) / 8, output_usd_per_1k_tokens=Decimal("0.1"),
            effective_from=NOW - timedelta(days=400), source_note="a test",
        )  # fmt: skip
    record(
        call(
            f"m{n % 11}", organization="acme", at=NOW - timedelta(days=n % 5, hours=n % 3), user=f"u{n % 12}",
            project=f"p{n % 2}", feature=("chat", "rag")[n % 2], expert_id=f"e{n % 9}", usage=usage(n, 2 * n),
        )
        for n in range(120)
    )  # fmt: skip
    record([failed(organization="acme", at=NOW, model_requested="m3"), call("m1", organization="globex", at=NOW)])
    record([timed_out(organization="acme", at=NOW - timedelta(days=1), model_requested="m3")])
    fold_now()
    record([call("m2", organization="acme", at=NOW, user="ann")])  # one more is in the tail


def chart_data(client: Client, query: str, path: str = "/") -> dict[str, Any]:
    page = client.get(f"{path}?{query}").content.decode()
    found = re.search(r'<script id="chart-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(unescape(found[1])))


def plain_sums(name: str, grain: str) -> dict[str, dict[str, list[Any]]]:
    """Requests, tokens, cost and unpriced of each value at each moment, by plain addition."""
    sums: dict[str, dict[str, list[Any]]] = defaultdict(dict)
    events = UsageEvent.objects.filter(organization__slug="acme")
    for event in events.select_related("project", "user"):
        moment = f"{event.day}T{event.hour:02}:00" if grain == "hour" else str(event.day)
        value = sums[VALUE[name](event) or ""].setdefault(moment, [0, 0, 0.0, 0])
        value[0] += 1
        value[1] += event.total_tokens
        value[2] += float(event.cost_usd or 0)
        value[3] += event.cost_usd is None
    return sums


def read(data: dict[str, Any], layer: dict[str, Any]) -> dict[str, list[Any]]:
    """The figures of a layer at the moments that have requests."""
    columns = (layer[name] for name in ("requests", "tokens", "cost", "unpriced"))
    rows = zip(data["series"]["x"], *columns, strict=True)
    return {
        x: [requests, tokens, pytest.approx(cost), lacking] for x, requests, tokens, cost, lacking in rows if requests
    }


@pytest.mark.parametrize("grain", ["day", "hour"])
@pytest.mark.parametrize("name", sorted(VALUE))
def test_each_layer_is_the_sum_of_its_events(ledger: None, admin: User, name: str, grain: str) -> None:
    data = chart_data(signed_in(admin), f"range=7d&group={name}&grain={grain}")
    sums = plain_sums(name, grain)
    own = [layer for layer in data["layers"] if layer["color"]]
    assert len(own) == min(8, len(sums))
    for layer in own:
        assert read(data, layer) == sums[layer["name"] if layer["name"] in sums else ""]
    for measure in ("requests", "cost", "unpriced"):
        whole = data["series"][measure]
        together = [sum(column) for column in zip(*(layer[measure] for layer in data["layers"]), strict=True)]
        assert together == pytest.approx(whole)


def test_the_costliest_have_layers_and_colours_of_their_own(ledger: None, admin: User) -> None:
    layers = chart_data(signed_in(admin), "range=7d&group=model")["layers"]
    costs = [sum(layer["cost"]) for layer in layers]
    assert costs[:8] == sorted(costs[:8], reverse=True)
    assert (layers[-1]["name"], layers[-1]["color"], layers[-1]["link"]) == ("3 others", 0, "")
    assert len({layer["color"] for layer in layers}) == 9
    assert "model=m9" in layers[0]["link"]
    assert "group=model" in layers[0]["link"]


def test_a_filter_on_the_dimension_leaves_its_values(ledger: None, admin: User) -> None:
    layers = chart_data(signed_in(admin), "range=7d&group=model&model=m3&model=m4")["layers"]
    assert {layer["name"] for layer in layers} == {"m3", "m4"}


def test_who_sees_no_cost_gets_none_and_an_order_that_tells_none(ledger: None, user: User, acme: Organization) -> None:
    Organization.objects.filter(pk=acme.pk).update(show_user_cost=False)
    record(call(f"m{n}", organization="acme", at=NOW, user="ann", usage=usage(100 - n, 1)) for n in range(10))
    data = chart_data(signed_in(user), "range=7d&group=model")
    assert "cost" not in json.dumps(data)
    tokens = [sum(layer["tokens"]) for layer in data["layers"][:8]]
    assert tokens == sorted(tokens, reverse=True)


@pytest.mark.parametrize("query", ["group=user", "group=organization", "group=x", "group=", ""])
def test_what_a_user_cannot_choose_is_no_group(ledger: None, user: User, query: str) -> None:
    client = signed_in(user)
    assert "layers" not in chart_data(client, f"range=7d&{query}")
    page = client.get(f"/?range=7d&{query}").content.decode()
    (offered,) = re.findall(r'<nav class="stacks".*?</nav>', page, re.DOTALL)
    assert re.findall(">([A-Z][a-z]+)</a>", offered) == ["Nothing", "Model", "Project", "Expert", "Feature", "Status"]


def test_the_previous_period_is_the_sum_of_its_days(ledger: None, admin: User) -> None:
    today = UsageEvent.objects.filter(organization__slug="acme").latest("timestamp").day
    first, *before = (today - timedelta(days=age) for age in (1, 3, 2))
    data = chart_data(signed_in(admin), f"range=custom&grain=day&from={first}&to={today}")
    sums = plain_sums("status", "day")
    expected = [sum(value[str(day)][0] for value in sums.values() if str(day) in value) for day in before]
    assert data["before"]["requests"] == expected
    assert sum(data["before"]["tokens"]) > 0
    assert data["series"]["today"] == data["series"]["x"][-1]


@pytest.mark.parametrize(
    ("day", "hour", "times"), [(date(2026, 11, 1), 1, 2), (date(2026, 3, 8), 2, 0)], ids=["25 hours", "23 hours"]
)
def test_the_hours_of_the_previous_period_are_those_of_the_organizations_clock(
    acme: Organization, admin: User, day: date, hour: int, times: int
) -> None:
    """The clock of Los Angeles goes back in the one night and forward in the other."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    record(call(organization="acme", at=midnight + timedelta(hours=n)) for n in range(-24, 72))
    next_day = day + timedelta(days=1)
    before = chart_data(signed_in(admin), f"range=custom&from={next_day}&to={next_day}&grain=hour")["before"]
    assert before["requests"] == [times if n == hour else 1 for n in range(24)]
    events = UsageEvent.objects.filter(day=day).values_list("hour", "total_tokens")
    assert before["tokens"] == [sum(tokens for at, tokens in events if at == n) for n in range(24)]


@pytest.mark.parametrize("query", ["range=all", "range=7d&model=nope-before"])
def test_without_a_previous_period_there_is_no_line_of_it(ledger: None, admin: User, query: str) -> None:
    record([call("nope-before", organization="acme", at=NOW)])
    record([call(organization="acme", at=NOW - timedelta(days=20))])
    assert chart_data(signed_in(admin), query)["before"] is None


@pytest.mark.parametrize("path", ["/", "/my-usage/"])
@pytest.mark.parametrize("query", ["range=7d", "range=7d&grain=hour", "range=7d&group=model", "range=7d&model=m3"])
def test_nothing_is_compared_with_days_before_the_data(ledger: None, user: User, path: str, query: str) -> None:
    record(call("m3", organization="acme", at=NOW - timedelta(days=age), user="ann") for age in (0, 10))
    assert chart_data(signed_in(user), query, path)["before"] is None
    page = signed_in(user).get(f"{path}?{query}").content.decode()
    assert "vs previous" not in page
    assert page.count("data since") >= len(re.findall(r'id="card-(?!cache)', page)) >= 4
    record([call("m3", organization="acme", at=NOW - timedelta(days=30), user="ann")])
    assert chart_data(signed_in(user), query, path)["before"] is not None
    assert "vs previous 7 days" in signed_in(user).get(f"{path}?{query}").content.decode()
