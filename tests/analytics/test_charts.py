"""What comes after the page: latency over time and the week by hours. And the banner about what has no price."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization, User
from analytics.pages.overview import page
from analytics.reports import Report
from ledger.models import UsageEvent
from ledger.recording.record import record
from pricing.models import Price
from tests.cast import signed_in
from tests.ledger.calls import call, usage

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
EARLIER = NOW - timedelta(days=2)
PEOPLE = ("people-1", "people-7", "people-30")


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User) -> None:
    """Acme: three priced calls of Ann, one of Ben without a price. Globex: one slow call."""
    Price.objects.create(
        model="priced/a", input_usd_per_1k_tokens=Decimal(1), output_usd_per_1k_tokens=Decimal(2),
        effective_from=NOW - timedelta(days=400), source_note="a test",
    )  # fmt: skip
    acme_call: dict[str, Any] = {"organization": "acme", "at": EARLIER, "model": "priced/a"}
    record(
        [
            *(call(**acme_call, user="ann", latency_ms=ms, ttft_ms=ms // 10) for ms in (100, 200, 900)),
            call(**acme_call | {"model": "unpriced/b", "at": NOW}, user="ben", usage=usage(5, 6)),
            call(organization="globex", at=EARLIER, user="eve", model="secret/c", latency_ms=60_000),
        ]
    )


def fragment(client: Client, query: str = "") -> str:
    response = client.get(f"/charts/{query}")
    assert response.status_code == 200, response.content
    return response.content.decode()


def slow(client: Client, query: str = "") -> Any:
    found = re.search(r'<script id="slow-data" type="application/json">(.*?)</script>', fragment(client, query))
    assert found
    return json.loads(found[1])


def banner(client: Client, path: str = "/") -> str:
    html = client.get(path).content.decode()
    found = re.search(r'<p class="notice warning unpriced".*?</p>', html, re.DOTALL)
    return unescape(" ".join(found[0].split())) if found else ""


def mark(client: Client, path: str, headers: dict[str, str] | None = None) -> str:
    """The element in the head of the pages without the banner."""
    html = client.get(path, headers=headers or {}).content.decode()
    found = re.search(r'<p class="unpriced-mark".*?</p>', html, re.DOTALL)
    return unescape(" ".join(found[0].split())) if found else ""


# What comes later


def test_latency_has_gaps_where_nothing_happened(ledger: None, admin: User) -> None:
    latency = slow(signed_in(admin))["latency"]
    day = EARLIER.astimezone(ZoneInfo("America/Los_Angeles")).date().isoformat()
    found = {x: latency["p99"][place] for place, x in enumerate(latency["x"]) if latency["p99"][place] is not None}
    assert len(latency["x"]) == 30
    assert len(found) == 2
    assert found[day] == 900
    assert latency["ttft"][latency["x"].index(day)] == 40


def test_the_heat_map_is_a_plain_sum_over_the_organizations_hours(ledger: None, admin: User) -> None:
    heat = slow(signed_in(admin))["heat"]
    expected = [[0] * 24 for _ in range(7)]
    for event in UsageEvent.objects.filter(organization=admin.organization):
        local = event.timestamp.astimezone(ZoneInfo("America/Los_Angeles"))
        expected[local.weekday()][local.hour] += 1
    assert heat["requests"] == expected
    assert sum(map(sum, heat["tokens"])) == 3 * 120 + 11
    assert sum(map(sum, heat["cost"])) == pytest.approx(3 * 0.14)


@pytest.mark.parametrize("model", ["", "priced/a"])
def test_the_histogram_has_every_request_in_its_bucket(ledger: None, admin: User, model: str) -> None:
    record([call(organization="acme", at=EARLIER, latency_ms=5_000_000)])  # above the last bound
    spread = slow(signed_in(admin), "?group=model" + (f"&model={model}" if model else ""))["spread"]
    events = UsageEvent.objects.filter(organization=admin.organization)
    latencies = list((events.filter(model=model) if model else events).values_list("latency_ms", flat=True))
    bounds = spread["bounds"]
    buckets = list(zip(bounds, [*bounds[1:-1], bounds[-1] + 1], strict=False))
    assert spread["requests"] == [sum(low <= ms < high for ms in latencies) for low, high in buckets]
    assert sum(spread["requests"]) == len(latencies)
    assert [sum(column) for column in zip(*(layer["requests"] for layer in spread["layers"]), strict=True)] == (
        spread["requests"]
    )
    assert spread["percentiles"]["p50"] == sorted(latencies)[(len(latencies) - 1) // 2]


def test_the_histogram_has_layers_only_on_demand(ledger: None, admin: User, user: User) -> None:
    assert "layers" not in slow(signed_in(admin))["spread"]
    assert "layers" not in slow(signed_in(admin), "?group=user")["spread"]
    (layer,) = slow(signed_in(user), "?group=model")["spread"]["layers"]
    assert layer["name"] == "priced/a"
    assert slow(signed_in(admin), "?model=nope")["spread"] == {}


def test_people_are_counted_once_by_the_days_of_their_last_calls(ledger: None, admin: User, user: User) -> None:
    ages = {"ann": 0, "cid": 3, "dan": 12, "eve": 20, "fay": 31, "": 0}
    record(call(organization="acme", at=NOW - timedelta(days=age), user=name) for name, age in ages.items())

    def counted(query: str) -> list[str]:
        later = slow(signed_in(admin), query)["later"]
        return [later[name] for name in PEOPLE]

    assert counted("") == ["2", "3", "5"]  # Ann and Ben today; and Cid; and Dan and Eve
    assert counted("?range=7d") == ["2", "3", "5"]  # thirty days, whatever the range is
    assert counted("?model=unpriced/b") == ["1", "1", "1"]
    assert PEOPLE[0] not in slow(signed_in(user), "")["later"]
    page = signed_in(admin).get("/").content.decode()
    assert all(f'data-later="{name}"' in page for name in PEOPLE)
    assert 'data-later="people' not in signed_in(user).get("/").content.decode()


def test_filters_range_and_grain_act_on_it(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    assert sum(map(sum, slow(client, "?model=unpriced/b")["heat"]["requests"])) == 1
    assert len(slow(client, "?range=7d&grain=hour")["latency"]["x"]) == 7 * 24
    assert slow(client, "?model=nope")["later"] == {"p50": "–", "p95": "–", "p99": "–"} | dict.fromkeys(PEOPLE, "0")
    assert "Half of the requests took up to 200 ms" in fragment(client, "?model=priced/a")


def test_each_role_sees_its_share_and_a_hidden_cost_is_nowhere(ledger: None, super_admin: User, user: User) -> None:
    assert sum(map(sum, slow(signed_in(super_admin))["heat"]["requests"])) == 5
    html = fragment(signed_in(user))
    assert sum(map(sum, slow(signed_in(user))["heat"]["requests"])) == 3
    assert set(slow(signed_in(user))["heat"]) == {"requests", "tokens"}
    assert not re.search(r"cost|usd|\$|price", html, re.IGNORECASE)
    assert "60" not in slow(signed_in(user))["later"]["p99"]


def test_visitors_and_strangers_get_none_of_it(ledger: None, client: Client, stranger: User) -> None:
    assert client.get("/charts/").status_code == 302
    assert "slow-data" not in signed_in(stranger).get("/charts/").content.decode()
    assert signed_in(stranger).post("/charts/").status_code == 405


def test_too_many_for_hours_are_shown_by_day(ledger: None, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "HOURLY_LATENCY_UP_TO", 3)
    client = signed_in(admin)
    assert "too many requests for hours" in fragment(client, "?range=7d&grain=hour")
    assert len(slow(client, "?range=7d&grain=hour")["latency"]["x"]) == 7
    assert "too many" not in fragment(client, "?range=7d")


def test_it_asks_few_questions(
    ledger: None, admin: User, user: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for person, query in ((admin, ""), (admin, "?model=priced/a&grain=hour&range=7d"), (user, "")):
        client = signed_in(person)
        fragment(client)
        with django_assert_max_num_queries(13):
            fragment(client, query)


def test_it_fails_in_its_place(ledger: None, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(Report, "latency_series", gone)
    client = signed_in(admin)
    response = client.get("/charts/?range=7d")
    assert response.status_code == 503
    assert "We couldn't load analytics. Please try again." in unescape(response.content.decode())
    assert 'hx-get="/charts/?range=7d"' in response.content.decode()
    assert client.get("/?range=7d").status_code == 200


def test_the_page_asks_for_it_again_only_when_something_was_recorded(ledger: None, admin: User) -> None:
    client = signed_in(admin)

    def address(query: str) -> str:
        found = re.search(r'id="slow" data-from="([^"]+)"', client.get(f"/{query}").content.decode())
        assert found
        return unescape(found[1])

    before = address("?range=7d")
    assert before.startswith("/charts/?range=7d&version=")
    assert address("?range=7d&sort=model:name") == before
    record([call(organization="acme", at=NOW)])
    assert address("?range=7d") != before


# The banner


def test_the_banner_names_the_models_and_leads_on(ledger: None, admin: User, super_admin: User) -> None:
    said = banner(signed_in(admin), "/?range=7d")
    assert "1 request without a price." in said
    assert "unpriced/b (1)" in said
    assert 'href="/requests/?range=7d&unpriced=1"' in said
    assert "secret" not in said
    assert "/pricing/edit/" not in said
    assert 'href="/pricing/edit/?add=unpriced%2Fb"' in banner(signed_in(super_admin), "/?range=7d&model=unpriced/b")


def test_other_pages_have_a_mark_that_says_the_same(ledger: None, admin: User) -> None:
    for path in ("/requests/", "/sessions/", "/models/"):
        assert banner(signed_in(admin), f"{path}?range=7d") == "", path
        said = mark(signed_in(admin), f"{path}?range=7d")
        assert "1 request without a price. Its cost is not in the figures: unpriced/b (1)." in said, path
        assert 'href="/requests/?range=7d&unpriced=1"' in said
        assert "<a" not in mark(signed_in(admin), f"{path}?range=7d&model=priced/a"), path
    record([call("unpriced/b", organization="acme", user=admin.username, at=NOW)])
    assert f'href="/requests/?user={admin.pk}&unpriced=1"' in mark(signed_in(admin), "/my-usage/")
    assert mark(signed_in(admin), "/") == "", "the notice says it"


def test_a_refresh_of_the_results_brings_the_mark(ledger: None, admin: User) -> None:
    asked = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#results"}
    assert 'hx-swap-oob="true"' in mark(signed_in(admin), "/requests/?range=7d", asked)
    assert mark(signed_in(admin), "/", asked) == ""


def test_the_banner_names_one_and_counts_the_rest(acme: Organization, admin: User) -> None:
    record(call(f"m{n}", organization="acme", at=NOW) for n in range(5) for _ in range(n + 1))
    said = banner(signed_in(admin))
    assert "15 requests without a price." in said
    assert "Their cost is not in the figures: m4 (5) and 4 more models." in said


def test_without_cost_there_is_no_banner(ledger: None, colleague: User) -> None:
    assert banner(signed_in(colleague)) == ""
    assert "<a" not in mark(signed_in(colleague), "/requests/")


def test_cards_hold_exact_figures(ledger: None, admin: User, user: User) -> None:
    html = signed_in(admin).get("/").content.decode()
    facts = dict(re.findall(r"<dt>([^<]+)</dt>\s*<dd>(?:<a[^>]*>|<span[^>]*>)([^<]*)<", html))
    assert facts["US dollars"] == "≥ $0.42"
    assert facts["Unpriced requests"] == "1"
    assert facts["Tokens"] == "371"
    assert 'href="/requests/?&amp;unpriced=1"' in html or 'href="/requests/?unpriced=1"' in html
    assert "unpriced" not in signed_in(user).get("/").content.decode()
