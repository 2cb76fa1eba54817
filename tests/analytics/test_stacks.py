"""The charts over time, stacked by a dimension: every layer is the plain sum of its events."""

import json
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
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
from tests.ledger.calls import call, failed, usage
from tests.ledger.folding import fold_now

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
COLUMN = {
    "model": "model", "project": "project__name", "user": "user__handle", "feature": "feature", "expert": "expert_id",
    "status": "status",
}  # fmt: skip


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
    fold_now()
    record([call("m2", organization="acme", at=NOW, user="ann")])  # one more is in the tail


def chart_data(client: Client, query: str) -> dict[str, Any]:
    page = client.get(f"/?{query}").content.decode()
    found = re.search(r'<script id="chart-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(unescape(found[1])))


def plain_sums(name: str, grain: str) -> dict[str, dict[str, list[Any]]]:
    """Requests, tokens and cost of each value at each moment, by plain addition."""
    sums: dict[str, dict[str, list[Any]]] = defaultdict(dict)
    events = UsageEvent.objects.filter(organization__slug="acme")
    for event in events.values("day", "hour", "total_tokens", "cost_usd", COLUMN[name]):
        moment = f"{event['day']}T{event['hour']:02}:00" if grain == "hour" else str(event["day"])
        value = sums[event[COLUMN[name]] or ""].setdefault(moment, [0, 0, 0.0])
        value[0] += 1
        value[1] += event["total_tokens"]
        value[2] += float(event["cost_usd"] or 0)
    return sums


def read(data: dict[str, Any], layer: dict[str, Any]) -> dict[str, list[Any]]:
    """The figures of a layer at the moments that have requests."""
    rows = zip(data["series"]["x"], layer["requests"], layer["tokens"], layer["cost"], strict=True)
    return {x: [requests, tokens, pytest.approx(cost)] for x, requests, tokens, cost in rows if requests}


@pytest.mark.parametrize("grain", ["day", "hour"])
@pytest.mark.parametrize("name", sorted(COLUMN))
def test_each_layer_is_the_sum_of_its_events(ledger: None, admin: User, name: str, grain: str) -> None:
    data = chart_data(signed_in(admin), f"range=7d&group={name}&grain={grain}")
    sums = plain_sums(name, grain)
    own = [layer for layer in data["layers"] if layer["color"]]
    assert len(own) == min(8, len(sums))
    for layer in own:
        value = {"success": "success", "error": "error"}.get(layer["name"].lower(), layer["name"])
        assert read(data, layer) == sums[value if value in sums else ""]
    for measure, whole in (("requests", data["series"]["requests"]), ("cost", data["series"]["cost"])):
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


@pytest.mark.parametrize("query", ["range=all", "range=7d&grain=hour", "range=7d&model=nope-before"])
def test_without_a_previous_period_there_is_no_line_of_it(ledger: None, admin: User, query: str) -> None:
    record([call("nope-before", organization="acme", at=NOW)])
    assert chart_data(signed_in(admin), query)["before"] is None
