"""The catalogue on the page Models: its cards, its filters, and the providers above, for each role."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.test import override_settings

from accounts.models import Organization, ProviderKey, User
from accounts.viewer import Viewer
from analytics.display import figures
from analytics.reports import Health, health, provider_health
from groq_client.call import UsagePart
from ledger.models import UsageEvent
from ledger.recording.record import record
from pricing.cost import cost
from pricing.models import FactsEdit, Price
from tests.analytics.test_models_page import ABOUT_COST, cards, page, row_of, text
from tests.cast import signed_in
from tests.ledger.calls import call, failed, summed, usage
from tests.pricing.prices import Used, make_price

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
AT = NOW - timedelta(days=2)
OSS, SMALL, RETIRED, VOICE, SYSTEM = (
    "openai/gpt-oss-120b",
    "openai/gpt-oss-20b",
    "llama-3.3-70b-versatile",
    "canopylabs/orpheus-v1-english",
    "groq/compound",
)
NOTHING: dict[str, Any] = {"input_usd_per_1k_tokens": None, "output_usd_per_1k_tokens": None}


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User) -> None:
    """Models of the catalogue with prices, two of them used by Acme, one free, and one that only Globex has."""
    make_price(OSS, input_usd_per_1k_tokens=Decimal("0.00015"), output_usd_per_1k_tokens=Decimal("0.0006"))
    make_price(OSS, organization=acme, input_usd_per_1k_tokens=Decimal("0.0001"))
    make_price(SMALL, input_usd_per_1k_tokens=Decimal("0.000075"), output_usd_per_1k_tokens=Decimal("0.0003"))
    make_price(RETIRED)
    make_price(VOICE, **NOTHING, usd_per_1k_characters=Decimal("0.022"))
    make_price("gift/a", input_usd_per_1k_tokens=Decimal(0), output_usd_per_1k_tokens=Decimal(0))
    make_price("secret/g", organization=globex)
    named: dict[str, Any] = {"organization": "acme", "at": AT}
    record(
        [
            call(OSS, **named, user="ann", usage=usage(10_000, 500), latency_ms=1_000),
            call(OSS, **named, user="ben", usage=usage(90_000, 700), latency_ms=3_000),
            call(RETIRED, **named, user="ann", usage=usage(7, 3)),
            call("secret/g", organization="globex", at=AT, user="eve", usage=usage(5, 5)),
        ]
    )


def found(person: User, query: str = "") -> list[str]:
    return list(cards(page(signed_in(person), f"?cards=all{query}")))


# Cards


def test_a_card_says_what_is_known_and_what_plain_sums_say(ledger: None, admin: User) -> None:
    used = summed(UsageEvent.objects.filter(organization__slug="acme", model=OSS))
    card = cards(page(signed_in(admin)))[OSS]
    for said in (
        "GPT OSS 120B", "Current", "Chat", "Reasoning", "JSON schema", "Made by OpenAI", "131K tokens", "65.5K tokens",
        "$0.10 in / 1M", "Own price", f"{used.requests} requests, {figures.compact(used.total_tokens)} tokens",
        f"Costs you now {figures.money(used.cost_usd)}", "300 tokens/s",
    ):  # fmt: skip
        assert said in card, said


@pytest.mark.parametrize("role", ["super_admin", "admin", "user"])
def test_cards_and_providers_agree_with_the_events_of_the_viewers_share(
    ledger: None, acme: Organization, role: str, request: pytest.FixtureRequest
) -> None:
    """In any zone: the days of the organizations begin at different moments."""
    Organization.objects.filter(pk=acme.pk).update(show_user_cost=True)
    make_price("gpt-4o", provider="openai")
    zones = {"acme": "Pacific/Kiritimati", "globex": "Pacific/Pago_Pago"}
    for slug, zone in zones.items():
        Organization.objects.filter(slug=slug).update(time_zone=zone)
    record(
        call("gpt-4o", provider="openai", organization=slug, user=user, at=AT, usage=usage(n, 1))
        for n, (slug, user) in enumerate([("acme", "ann"), ("acme", "ben"), ("globex", "eve")], 1)
    )
    person = request.getfixturevalue(role)
    seen = {
        "super_admin": UsageEvent.objects.all(),
        "admin": UsageEvent.objects.filter(organization=acme),
        "user": UsageEvent.objects.filter(user=person),
    }[role]
    html = page(signed_in(person), "?range=all&provider=all&cards=all")
    shown, above = cards(html), providers(html)
    for provider, model in seen.values_list("provider", "model").distinct():
        plain = summed(seen.filter(provider=provider, model=model))
        label = model if provider == "groq" else f"{model} ({provider})"
        used = (
            f"Used {plain.requests} request{'' if plain.requests == 1 else 's'}, {figures.compact(plain.total_tokens)}"
        )
        assert used in shown[label]
        assert f"Costs you now {figures.money(plain.cost_usd)}" in shown[label]
    for provider in ("groq", "openai"):
        plain = summed(seen.filter(provider=provider))
        assert f"Requests {plain.requests} Cost {figures.money(plain.cost_usd)}" in above[provider.capitalize()]
    assert ("secret/g" in shown) == (role == "super_admin")


def test_a_card_says_what_the_traffic_would_have_cost_there(ledger: None, admin: User) -> None:
    used = summed(UsageEvent.objects.filter(organization__slug="acme"))
    there = cost(Used(used.input_tokens, used.output_tokens), Price.objects.get(model=SMALL))
    html = page(signed_in(admin), "?cards=all")
    assert f"Would cost here {figures.money(there)}" in cards(html)[SMALL]
    assert f"{figures.exact_money(there)} instead of {figures.exact_money(used.cost_usd)}" in html
    assert "no difference" not in cards(html)[SMALL]
    assert "Would cost here" not in cards(html)[RETIRED]  # nobody can call it
    assert "Would cost here" not in cards(html)[VOICE]  # it does not read


def test_what_is_not_known_is_absent(ledger: None, admin: User) -> None:
    card = cards(page(signed_in(admin), "?cards=all"))["gift/a"]
    for word in ("Context", "Maximum output", "Made by", "Languages", "Current", "Used", "Measured"):
        assert word not in card


def test_a_retired_model_says_since_when_and_what_replaces_it(ledger: None, admin: User) -> None:
    card = cards(page(signed_in(admin)))[RETIRED]
    assert "Retired since 16 Aug 2026" in card
    assert f"Replaced by {OSS}" in card


def test_a_system_is_charged_at_the_prices_of_its_parts(acme: Organization, admin: User) -> None:
    """It has a cost and no price of its own, which is nothing to warn of."""
    make_price(OSS)
    parts = (UsagePart(OSS, usage(1_000, 100)),)
    record([call(SYSTEM, at=AT, organization="acme", usage=usage(1_000, 100, parts=parts))])
    html = page(signed_in(admin))
    assert "$1.20" in row_of(html, SYSTEM)
    assert "By the models it uses" in row_of(html, SYSTEM)
    assert "No price" not in row_of(html, SYSTEM) + cards(html)[SYSTEM]
    make_price(SYSTEM, **NOTHING, tool_rates={"visit_website": Decimal(1)})
    assert "By the models it uses $1.00 visit_website / 1k" in row_of(page(signed_in(admin)), SYSTEM)


def test_an_edit_is_seen_by_everybody(ledger: None, super_admin: User, user: User) -> None:
    changes = {"maker": "Somebody", "retires_on": "2199-01-02"}
    FactsEdit.objects.create(model=OSS, changes=changes, author=super_admin)
    card = cards(page(signed_in(user)))[OSS]
    assert "Made by Somebody" in card
    assert "Retiring on 2 Jan 2199" in card


# Filters


@pytest.mark.parametrize(
    ("query", "inside", "outside"),
    [
        ("&find=gpt+OPENAI", OSS, RETIRED), ("&find=meta", RETIRED, OSS), ("&can=speech", VOICE, OSS),
        ("&can=chat&can=json_schema", OSS, RETIRED), ("&speaks=en", VOICE, OSS),
        ("&speaks=ar", "whisper-large-v3", VOICE),
        ("&state=retired", RETIRED, OSS), ("&state=preview", "qwen/qwen3.8-27b", OSS),
        ("&cost_kind=free", "gift/a", OSS), ("&cost_kind=paid", OSS, "gift/a"),
        ("&cost_to=0.1", OSS, RETIRED), ("&cost_from=0.09&cost_to=0.2", OSS, SMALL), ("&cost_from=0.09", OSS, VOICE),
    ],
)  # fmt: skip
def test_filters(ledger: None, admin: User, query: str, inside: str, outside: str) -> None:
    names = found(admin, query)
    assert inside in names
    assert outside not in names


def test_the_provider_filter_is_that_of_the_page(ledger: None, admin: User) -> None:
    make_price("gpt-4o", provider="openai")
    record([call("gpt-4o", at=AT, organization="acme", provider="openai", usage=usage(1, 1))])
    assert "gpt-4o (openai)" not in found(admin)
    assert found(admin, "&provider=openai") == ["gpt-4o (openai)"]
    assert {"gpt-4o (openai)", OSS} <= set(found(admin, "&provider=all"))


def test_a_wrong_price_is_explained_and_filters_nothing(ledger: None, admin: User) -> None:
    html = page(signed_in(admin), "?cards=all&cost_to=cheap")
    assert "Enter a plain number of dollars" in text(html)
    assert OSS in cards(html)
    for bad in ("%00", "x" * 3_000, "%ED%A0%80"):
        assert signed_in(admin).get(f"/models/?find={bad}").status_code in (200, 400)


def test_twelve_cards_come_first_and_the_rest_on_demand(ledger: None, admin: User) -> None:
    html = page(signed_in(admin))
    assert len(cards(html)) == 12
    assert next(iter(cards(html))) == OSS  # the most used
    whole = cards(page(signed_in(admin), "?cards=all"))
    assert f"Show all {len(whole)} models" in text(html)


# Compare


def test_cards_add_to_the_comparison(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    query = ""
    for model in (OSS, SMALL, RETIRED, VOICE):
        html = page(client, query or "?")
        link = re.search(
            rf'href="([^"]*)#compare"[^>]*aria-label="Compare {re.escape(model)}"',
            page(client, f"{query or '?'}&cards=all"),
        )
        assert link, html
        query = unescape(link[1])
    head = text(page(client, query).partition('id="compare"')[2].partition("</thead>")[0])
    for said in ("Second against first", "Third against first", "Fourth against first"):
        assert said in head
    compared = row_of(page(client, query), "Context length")
    assert compared.split()[2:6] == ["131,072", "131,072", "131,072", "4,000"]


# Who sees what


def test_a_user_without_cost_reads_the_facts_and_own_figures_alone(ledger: None, user: User) -> None:
    html = page(signed_in(user), "?cards=all&cost_kind=free")
    assert ABOUT_COST.findall(html) == []
    assert "1 request," in cards(html)[OSS]
    assert VOICE in cards(html)
    assert not {"gift/a", "secret/g"} & set(cards(html))  # only prices tell of them
    assert "Edit" not in cards(html)[OSS]


def test_a_super_admin_gets_links_to_edit(ledger: None, super_admin: User) -> None:
    assert "/pricing/facts/?provider=groq&amp;model=openai%2Fgpt-oss-120b" in page(signed_in(super_admin))


# Providers


def providers(html: str) -> dict[str, str]:
    cut = re.findall(r'<article class="card provider[^>]*>(.*?)</article>', html, re.DOTALL)
    return {text(card).split()[0]: text(card) for card in cut}


def test_providers_with_their_figures(ledger: None, admin: User) -> None:
    make_price("gpt-4o", provider="openai", enabled=False)
    record([call("gpt-4o", at=AT, organization="acme", provider="openai", usage=usage(1, 1))])
    cut = providers(page(signed_in(admin)))
    charged = summed(UsageEvent.objects.filter(organization__slug="acme", provider="groq")).cost_usd
    assert f"Requests 3 Cost {figures.money(charged)}" in cut["Groq"]
    assert "1 free, 3 paid" in cut["Groq"]  # the retired one is neither
    assert "Enabled" in cut["Groq"]
    assert "Disabled" in cut["Openai"]
    assert "Requests 1" in cut["Openai"]  # though the page is about Groq
    assert 'href="/?provider=openai"' in page(signed_in(admin), "?sort=name")


@pytest.mark.parametrize(
    ("server", "own", "said"),
    [("gsk_server", False, "The server's"), ("", True, "The organization's own"), ("", False, "None")],
)
def test_whether_a_key_is_configured_and_never_which(
    ledger: None, admin: User, acme: Organization, globex: Organization, server: str, own: bool, said: str
) -> None:
    for organization in [globex, *([acme] if own else [])]:
        ProviderKey.objects.create(organization=organization, encrypted="gAAAAsecret", ending="wxyz")
    with override_settings(GROQ_API_KEY=server):
        html = page(signed_in(admin))
    assert f"Key {said}" in providers(html)["Groq"]
    assert not [part for part in ("gsk_server", "gAAAA", "wxyz") if part in html]


def test_a_super_admin_learns_how_many_organizations_have_a_key(
    ledger: None, super_admin: User, acme: Organization
) -> None:
    ProviderKey.objects.create(organization=acme, encrypted="x", ending="wxyz")
    assert "1 organization has an own one" in providers(page(signed_in(super_admin)))["Groq"]


# Health


@pytest.fixture
def last_hour(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User) -> datetime:
    """Returns the moment that the calls are counted back from."""
    named: dict[str, Any] = {"organization": "acme"}
    now = datetime.now(UTC)
    ago = [now - timedelta(minutes=minutes) for minutes in (1, 5, 10, 50, 61)]
    record(
        [
            call(OSS, at=ago[0], **named, user="ann", latency_ms=100),
            failed(at=ago[1], **named, user="ben", latency_ms=200),
            replace(failed(at=ago[2], **named, user="ann", latency_ms=60_000), error_code="timeout"),
            call(OSS, at=ago[3], **named, user="ben", latency_ms=300),
            failed(at=ago[4], **named, user="ann"),
            replace(failed(at=ago[0], organization="globex", user="eve"), error_code="secret"),
        ]
    )
    return now


def test_the_health_of_the_last_hour_is_that_of_the_viewers_share(
    last_hour: datetime, admin: User, user: User, super_admin: User
) -> None:
    now = last_hour + timedelta(seconds=1)
    assert provider_health(Viewer.of(admin), now) == {
        "groq": Health(4, 2, 1, 250.0, "rate_limit_exceeded", last_hour - timedelta(minutes=5))
    }
    of_user = provider_health(Viewer.of(user), now)["groq"]
    assert (of_user.requests, of_user.errors, of_user.timeouts, of_user.last_error) == (2, 1, 1, "timeout")
    of_all = provider_health(Viewer.of(super_admin), now)["groq"]
    assert (of_all.requests, of_all.last_error) == (5, "secret")
    assert provider_health(Viewer.nobody(), now) == {}


def test_health_agrees_with_the_plain_events(last_hour: datetime, admin: User) -> None:
    now = last_hour + timedelta(seconds=1)
    events = [
        event for event in UsageEvent.objects.filter(organization__slug="acme") if now - event.timestamp < health.PERIOD
    ]
    found = provider_health(Viewer.of(admin), now)["groq"]
    assert found.requests == len(events)
    assert found.error_rate == sum(event.status == "error" for event in events) / len(events)


def test_the_card_says_how_the_provider_is(last_hour: datetime, admin: User) -> None:
    card = providers(page(signed_in(admin)))["Groq"]
    assert "50% errors" in card or "50.0% errors" in card
    assert "1 time-out." in card
    assert "Last error: rate_limit_exceeded" in card
    assert "secret" not in card


def test_a_busy_hour_is_looked_at_in_part(last_hour: datetime, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MOST_CALLS", 2)
    found = provider_health(Viewer.of(admin), last_hour + timedelta(seconds=1))["groq"]
    assert (found.requests, found.errors) == (2, 1)  # the newest two
    assert found.is_partial
