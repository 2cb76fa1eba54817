"""Models, providers, prices and estimates over the API."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditRecord, Organization, User
from accounts.rate import Rate
from api import estimates
from ledger.models import UsageEvent
from pricing.cost import cost
from pricing.models import Price
from tests.api.asking import ROOT, Asker, assert_fits, key, person
from tests.pricing.prices import Used, make_price

pytestmark = pytest.mark.django_db(transaction=True)

OSS = "openai/gpt-oss-120b"


def posted(asker: Asker, path: str, body: Any, status: int = 200) -> Any:
    response = asker.client.post(ROOT + path, body, content_type="application/json", headers=asker.authorization)
    assert response.status_code == status, response.content.decode()
    assert_fits(ROOT + path, response)
    return response.json()


@pytest.fixture
def offers(acme: Organization, globex: Organization) -> None:
    make_price(OSS)
    make_price("free/one", input_usd_per_1k_tokens=Decimal(0), output_usd_per_1k_tokens=Decimal(0))
    make_price("secret/g", organization=globex)


@pytest.mark.usefixtures("offers")
def test_models_are_found_by_what_they_are(admin: User, user: User) -> None:
    asker = person(admin)
    every = {model["model"]: model for model in asker.ask("models")["models"]}
    assert {OSS, "free/one"} <= every.keys()
    assert "secret/g" not in every
    assert Decimal(every[OSS]["price"]["input_usd_per_1k_tokens"]) == make_price("x/y").input_usd_per_1k_tokens
    assert [model["model"] for model in asker.ask("models/free")["models"]] == ["free/one"]
    assert {model["model"] for model in asker.ask("models", search="OSS 120")["models"]} == {OSS}
    assert "free/one" not in {model["model"] for model in asker.ask("models", kind="paid")["models"]}
    hidden = person(user).ask("models")["models"]
    assert hidden
    assert not [model for model in hidden if {"price", "is_free"} & model.keys()]
    person(user).ask("models/free", 403)
    assert person(user).ask("models", 400, kind="free")["parameter"] == "kind"


def test_one_model_with_its_use(ledger: list[UsageEvent], admin: User) -> None:
    found = person(admin).ask("models/priced/a", range="all")
    hits = [e for e in ledger if e.model == "priced/a" and e.organization_id == admin.organization_id]
    assert (found["requests"], Decimal(found["cost_usd"])) == (len(hits), sum(e.cost_usd or 0 for e in hits))
    assert found["model"]["price"]["model"] == "priced/a"
    person(admin).ask("models/no/such", 404)


def test_providers_with_their_use(ledger: list[UsageEvent], admin: User) -> None:
    (groq,) = (p for p in person(admin).ask("providers", range="all")["providers"] if p["provider"] == "groq")
    assert groq["requests"] == sum(e.organization_id == admin.organization_id for e in ledger)
    assert groq["paid"] >= 2


@pytest.mark.usefixtures("offers")
def test_prices_are_told_to_those_who_may_see_them(admin: User, user: User, super_admin: User) -> None:
    told = person(admin).ask("prices")["prices"]
    assert {price["model"] for price in told} == {OSS, "free/one"}
    assert len(person(super_admin).ask("prices", which="all")["prices"]) == 3
    page = person(super_admin).ask("prices", which="all", limit=2)
    rest = person(super_admin).follow(page["next"])
    assert [price["model"] for price in page["prices"] + rest["prices"]] == ["secret/g", "free/one", OSS]
    assert [price["model"] for price in person(admin).ask("prices", search="OSS gpt")["prices"]] == [OSS]
    assert person(admin).ask("prices", search="oss", provider="other")["prices"] == []
    assert person(admin).ask("prices", which="scheduled")["prices"] == []
    person(user).ask("prices", 403)


def test_a_super_admin_adds_a_price(super_admin: User, admin: User, acme: Organization) -> None:
    body = {"model": "new/m", "input_usd_per_1k_tokens": "0.00015", "output_usd_per_1k_tokens": 0.0006}
    body |= {"tool_rates": {"browser_search": 5}, "organization": acme.pk, "source_note": "by API"}
    told = posted(person(super_admin), "prices", body, 201)
    price = Price.objects.get(model="new/m")
    assert (price.pk, price.author, price.organization, price.enabled) == (told["id"], super_admin, acme, True)
    assert (price.output_usd_per_1k_tokens, price.tool_rates) == (Decimal("0.0006"), {"browser_search": Decimal(5)})
    assert AuditRecord.objects.filter(action="price.add", organization=acme).exists()
    for asker in (person(admin), key(acme)):
        posted(asker, "prices", body, 403)
    wrong = posted(person(super_admin), "prices", body | {"input_usd_per_1k_tokens": -1}, 400)
    assert wrong["parameter"] == "input_usd_per_1k_tokens"
    assert posted(person(super_admin), "prices", {"model": "m", "colour": 1}, 400)["parameter"] == "colour"
    assert posted(person(super_admin), "prices", [1], 400)["parameter"] == "body"
    assert Price.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        # PostgreSQL would keep these times, and nothing that reads prices could read them: not even recording a call.
        ({"effective_from": "0001-01-01T00:00:00+14:00"}, "effective_from"),
        ({"effective_from": "9999-12-31T23:59:59-14:00"}, "effective_from"),
        ({"effective_from": "1999-12-31T00:00:00Z"}, "effective_from"),
        ({"effective_from": "2999-01-01T00:00:00Z"}, "effective_from"),
        ({"effective_from": 5}, "effective_from"),
        ({"model": "\ud800"}, "model"),
        ({"model": ["m"]}, "model"),
        ({"model": {"a": 1}}, "model"),
        ({"source_note": "\ud800"}, "source_note"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"input_usd_per_1k_tokens": [1]}, "input_usd_per_1k_tokens"),
        ({"tool_rates": [1]}, "tool_rates"),
    ],
)
def test_a_price_that_nobody_could_read_is_refused(super_admin: User, wrong: dict[str, Any], parameter: str) -> None:
    told = posted(person(super_admin), "prices", {"model": "m", "input_usd_per_1k_tokens": 1} | wrong, 400)
    assert told["parameter"] == parameter
    assert not Price.objects.exists()


def test_who_has_not_seen_the_newest_price_is_told(super_admin: User) -> None:
    seen = make_price("m")
    newer = make_price("m", input_usd_per_1k_tokens=Decimal(2))
    body = {"model": "m", "input_usd_per_1k_tokens": None, "output_usd_per_1k_tokens": 1}
    assert posted(person(super_admin), "prices", body | {"newest_seen": seen.pk}, 400)["parameter"] == "newest_seen"
    posted(person(super_admin), "prices", body | {"newest_seen": newer.pk}, 201)


@pytest.mark.parametrize("path", ["estimate-cost", "prices"])
@pytest.mark.parametrize("body", ["[" * 200_000, '{"a":' * 5_000, "[" * 980 + "]" * 980])
def test_a_body_that_is_nested_too_deeply_is_refused(super_admin: User, path: str, body: str) -> None:
    response = person(super_admin).client.post(ROOT + path, body, content_type="application/json")
    assert response.status_code == 400, response.content.decode()
    assert_fits(ROOT + path, response)


def test_a_forged_price_is_refused(super_admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(super_admin)
    response = client.post(ROOT + "prices", {"model": "m"}, content_type="application/json")
    assert (response.status_code, Price.objects.count()) == (403, 0)


@pytest.mark.usefixtures("offers")
def test_an_estimate_is_what_the_call_would_cost(admin: User, user: User, acme: Organization) -> None:
    asker = key(acme)
    told = posted(asker, "estimate-cost", {"input_tokens": 1_000, "cached_tokens": 100, "output_tokens": 200})
    (oss,) = (one for one in told["estimates"] if one["model"] == OSS)
    usage = Used(input_tokens=1_000, cached_tokens=100, output_tokens=200)
    assert Decimal(oss["cost_usd"]) == cost(usage, Price.objects.get(model=OSS))
    messages = [{"role": "user", "content": "What is the national dish of India?"}]
    (one,) = posted(person(admin), "estimate-cost", {"messages": messages, "model": OSS})["estimates"]
    assert (one["is_exact"], one["output_tokens"]) == (True, 500)
    assert one["input_tokens"] > 5
    posted(person(user), "estimate-cost", {"messages": messages}, 403)


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "messages"),
        ({"messages": [], "input_tokens": 3}, "input_tokens"),
        ({"messages": [{"content": "x" * 100_001}]}, "messages"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": 1, "cached_tokens": 2}, "cached_tokens"),
        ({"input_tokens": 1, "model": "no/such"}, "model"),
        ({"input_tokens": 1, "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_question_is_named(admin: User, body: dict[str, Any], parameter: str) -> None:
    assert posted(person(admin), "estimate-cost", body, 400)["parameter"] == parameter


def test_estimates_have_a_limit(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "PER_MINUTE", Rate(1, seconds=10**9))
    posted(person(admin), "estimate-cost", {"input_tokens": 1})
    posted(person(admin), "estimate-cost", {"input_tokens": 1}, 429)
