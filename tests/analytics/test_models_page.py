"""The Models page: what each model did and costs, two side by side, for each role."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.display import figures
from analytics.reports import Report, models_used, today
from analytics.reports.selection import Selection
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.cast import signed_in
from tests.ledger.calls import call, failed, summed, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
AT = NOW - timedelta(days=2)
ABOUT_COST = re.compile(r"\$\s?\d|cost|pric|usd", re.IGNORECASE)


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User) -> None:
    """Three models of Acme, one of Globex. One model has no price, one is disabled, two are not used."""
    make_price("fast/a")
    make_price("slow/b", input_usd_per_1k_tokens=Decimal("0.1"), output_usd_per_1k_tokens=Decimal("0.3"))
    make_price("slow/b", organization=acme, input_usd_per_1k_tokens=Decimal("0.05"))
    make_price("disabled/c", enabled=False)
    make_price("quiet/d")
    make_price("quiet/e", enabled=False)
    make_price("secret/g", organization=globex)
    named: dict[str, Any] = {"organization": "acme", "user": "ann", "project": "rag"}
    record(
        [
            call("fast/a", at=AT, **named, usage=usage(1_000, 500), latency_ms=1_000, stream=True, ttft_ms=200),
            call("fast/a", at=AT + timedelta(days=1), **named, usage=usage(300, 100), latency_ms=3_000),
            failed(at=AT, **named, model_requested="fast/a", latency_ms=60_000),
            call(
                "slow/b", at=AT, **named | {"user": "ben"}, usage=usage(2_000, 900, cached_tokens=500), latency_ms=9_000
            ),
            call("disabled/c", at=AT, **named, usage=usage(10, 10)),
            call("secret/g", at=AT, organization="globex", user="eve", usage=usage(5, 5)),
        ]
    )


def page(client: Client, query: str = "") -> str:
    response = client.get(f"/models/{query}")
    assert response.status_code == 200, response.content
    return response.content.decode()


def without_tokens(html: str) -> str:
    """Without Django's tokens against forged forms, which are new on every page."""
    return re.sub(r'value="\w{64}"', "", html)


def text(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", html).split()))


def lines(html: str, table: str = "models-title") -> dict[str, list[str]]:
    """Rows of a table: the name, and the text of its cells."""
    body = re.search(rf'aria-labelledby="{table}">.*?<tbody[^>]*>(.*?)</tbody>', html, re.DOTALL)
    assert body
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body[1], re.DOTALL)
    return {_name(row): [text(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)] for row in rows}


def _name(row: str) -> str:
    named = re.search(r'class="name">([^<]*)<', row) or re.search(r"<th[^>]*>(.*?)</th>", row, re.DOTALL)
    assert named
    return text(named[1])


def cards(html: str) -> dict[str, str]:
    """The text of each card of the catalogue, by the name of its model."""
    found = re.findall(r'<article class="card model-card[^>]*aria-label="([^"]*)">(.*?)</article>', html, re.DOTALL)
    return {unescape(name): text(body) for name, body in found}


def row_of(html: str, model: str) -> str:
    return text(next(row for row in re.findall(r"<tr[^>]*>.*?</tr>", html, re.DOTALL) if f">{model}<" in row))


# The table


def test_a_row_says_what_plain_sums_say(ledger: None, admin: User) -> None:
    events = UsageEvent.objects.filter(organization__slug="acme", model="fast/a")
    expected = summed(events)
    answered = summed(events.filter(status="success"))
    cells = lines(page(signed_in(admin)))["fast/a"]
    assert cells == [
        figures.count(expected.requests),
        figures.compact(expected.total_tokens),
        figures.money(expected.cost_usd),
        figures.percent(expected.error_rate),
        *cells[4:7],
        figures.duration(expected.avg_ttft_ms),
        figures.per_second(1_000 * answered.output_tokens / answered.latency_ms_sum),
        figures.day(max(event.day for event in events)),
    ]
    assert cells[0] == "3"
    assert cells[8] == "150"  # 600 tokens in 4 seconds; the failed minute is not among them


@pytest.mark.parametrize("by", ["cube", "events"])
def test_models_agree_with_the_events(ledger: None, admin: User, by: str) -> None:
    """Whether the rollups tell or, for two filters, only the events do."""
    viewer = Viewer.of(admin)
    last = today(viewer)
    two: dict[Any, Any] = {"project_id": (UsageEvent.objects.get(model="slow/b").project_id,), "expert_id": ("",)}
    report = Report(viewer, Selection(last - timedelta(days=29), last, {} if by == "cube" else two))
    found = models_used(report)
    assert [model.model for model in found] == ["fast/a", "disabled/c", "slow/b"]
    for model in found:
        events = list(UsageEvent.objects.filter(organization__slug="acme", model=model.model))
        expected = summed(events)
        assert (model.totals.requests, model.totals.cost_usd) == (expected.requests, expected.cost_usd)
        assert model.totals.total_tokens == expected.total_tokens
        assert model.last_day == max(event.day for event in events)
        assert expected.latency_ms_min is not None
        assert expected.latency_ms_max is not None
        assert expected.latency_ms_min <= model.latency.p50 <= model.latency.p99 <= expected.latency_ms_max


def test_a_model_without_output_has_no_speed(acme: Organization, admin: User) -> None:
    record(
        [
            failed(at=AT, organization="acme", model_requested="x"),
            call("x", at=AT, organization="acme", usage=usage(5, 0)),
        ]
    )
    assert lines(page(signed_in(admin)))["x"][-2] == "–"


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("", "fast/a"), ("name", "disabled/c"), ("-tokens", "slow/b"), ("-cost", "fast/a"), ("-errors", "fast/a"),
        ("-p50", "slow/b"), ("speed", "disabled/c"), ("-used", "fast/a"), ("nonsense", "fast/a"),
    ],
)  # fmt: skip
def test_it_sorts(ledger: None, admin: User, sort: str, first: str) -> None:
    html = page(signed_in(admin), f"?sort={sort}")
    assert next(iter(lines(html))) == first


def test_it_is_paged(acme: Organization, admin: User) -> None:
    record([call(f"model-{number:02}", at=AT, organization="acme") for number in range(30)])
    client = signed_in(admin)
    assert "1–25 of 30" in text(page(client))
    assert list(lines(page(client, "?page=2"))) == [f"model-{number}" for number in range(25, 30)]
    assert list(lines(page(client, "?page=99"))) == [f"model-{number}" for number in range(25, 30)]


def test_filters_act_on_it(ledger: None, admin: User, user: User) -> None:
    client = signed_in(admin)
    assert list(lines(page(client, f"?user={user.pk}"))) == ["fast/a", "disabled/c"]
    assert list(lines(page(client, "?model=slow/b"))) == ["slow/b"]
    assert "No usage recorded for this range." in page(client, "?range=custom&from=2020-01-01&to=2020-01-02")


# Prices


def test_prices_now(ledger: None, admin: User) -> None:
    html = page(signed_in(admin))
    assert "$1,000.00 in / 1M $2,000.00 out / 1M" in row_of(html, "fast/a")
    assert "Disabled" in row_of(html, "disabled/c")
    record([call("nobody/knows", at=AT, organization="acme")])
    assert "No price" in row_of(page(signed_in(admin)), "nobody/knows")
    assert "Unpriced" in row_of(page(signed_in(admin)), "nobody/knows")


def test_an_own_price_is_shown_to_those_who_are_charged_at_it(
    ledger: None, admin: User, super_admin: User, acme: Organization
) -> None:
    own, everybodys = "$50.00 in / 1M $2,000.00 out / 1M Own price", "$100.00 in / 1M $300.00 out / 1M"
    assert own in row_of(page(signed_in(admin)), "slow/b")
    client = signed_in(super_admin)
    assert everybodys in row_of(page(client), "slow/b")
    assert "Own price" not in page(client)
    assert own in row_of(page(client, f"?organization={acme.pk}"), "slow/b")


def test_models_that_were_not_used_have_a_card(ledger: None, admin: User) -> None:
    found = cards(page(signed_in(admin), "?cards=all"))
    assert "quiet/d" in found
    assert "quiet/e" not in found  # disabled: it could not have been
    assert "secret/g" not in found  # Globex's own
    assert "quiet/d" in cards(page(signed_in(admin), "?cards=all&range=custom&from=2020-01-01&to=2020-01-02"))


# Two side by side


def test_two_models_side_by_side(ledger: None, admin: User) -> None:
    html = page(signed_in(admin), "?left=fast/a&right=slow/b")
    found = lines(html, "compare-title")
    assert found["Requests"] == ["3", "1", "down 66.7%"]
    assert found["Error rate"] == ["33.3%", "0%", "down 33.3 pp better"]
    assert found["Tokens/s"] == ["150", "100", "down 33.3% worse"]
    assert found["Cost per priced request"] == ["$0.8333", "$1.90", "up 128.0% worse"]
    assert found["Last used"][2] == "–"


def test_what_has_no_price_costs_no_zero(ledger: None, admin: User) -> None:
    found = lines(page(signed_in(admin), "?left=disabled/c&right=fast/a"), "compare-title")
    assert found["Cost of priced requests"] == ["–", "$2.50", "–"]
    assert found["Cost per priced request"][0] == "–"


def test_by_default_the_two_most_used_are_compared(ledger: None, admin: User) -> None:
    html = page(signed_in(admin))
    chosen = re.findall(r'<option value="([^"]*)" selected>', html.partition('id="compare"')[2].partition("</form>")[0])
    assert chosen == ["fast/a", "disabled/c"]


def test_a_model_that_cannot_be_compared_is_named(ledger: None, admin: User) -> None:
    """Another organization's model looks like one that does not exist."""
    for name in ("secret/g", "does/not-exist"):
        assert f"{name} was not used in this range." in page(signed_in(admin), f"?left={name}")


def test_one_model_is_not_compared(ledger: None, admin: User) -> None:
    assert "Compare two models" not in page(signed_in(admin), "?model=fast/a")


# Who sees what


def test_a_user_sees_own_models_and_nothing_about_cost(ledger: None, user: User) -> None:
    html = page(signed_in(user), "?left=fast/a&right=disabled/c")
    assert list(lines(html)) == ["fast/a", "disabled/c"]
    assert ABOUT_COST.findall(html) == []
    assert "quiet/d" not in html  # only prices tell of it


@pytest.mark.parametrize(
    "query",
    ["?sort=-cost", "?sort=cost", "?cost_on=slow/b", "?cost_input=1&cost_output=2&cost_per=1m", "?cost_of=fast/a"],
)
def test_nothing_about_cost_changes_what_a_user_without_costs_gets(ledger: None, user: User, query: str) -> None:
    client = signed_in(user)
    assert without_tokens(page(client, query)) == without_tokens(page(client))


def test_with_the_toggle_a_user_sees_costs(ledger: None, user: User, acme: Organization) -> None:
    acme.show_user_cost = True
    acme.save()
    html = page(signed_in(user))
    assert lines(html)["fast/a"][2] == "$2.50"
    assert "What would it have cost?" in html
    assert "slow/b" not in lines(html)


@pytest.mark.parametrize("role", ["super_admin", "admin", "user"])
def test_it_takes_a_fixed_number_of_queries(
    ledger: None, acme: Organization, role: str, request: pytest.FixtureRequest
) -> None:
    acme.show_user_cost = True
    acme.save()
    client = signed_in(request.getfixturevalue(role))
    query = "?left=fast/a&right=slow/b&cost_on=slow/b"
    with CaptureQueriesContext(connection) as before:
        page(client, query)
    record([call(f"more-{n}", at=AT, organization="acme", user="ann", project=f"p{n}") for n in range(20)])
    with CaptureQueriesContext(connection) as after:
        page(client, query)
    assert len(after) == len(before)
    # Who looks (session, person, role, permissions), the transaction, the filters; then: models, by status, latency,
    # prices.
    assert len(after) <= MOST_QUERIES


MOST_QUERIES = 40
