"""My usage: one's own figures, whatever the role."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.display import figures
from analytics.reports import Report, cache_savings, today
from analytics.reports.cost_explanation import parts_of, prices_of
from analytics.reports.planner import Planner
from analytics.reports.selection import Selection
from ledger.models import UsageEvent
from ledger.recording.record import record
from pricing.cost import rounded
from tests.cast import signed_in, zone_at_noon
from tests.ledger.calls import call, failed, summed, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
ABOUT_COST = re.compile(r"\$\s?\d|cost|pric|usd", re.IGNORECASE)


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User, admin: User) -> None:
    """Ann's calls of today, of some days ago and of last year; others' calls of the same sessions."""
    acme.time_zone = zone_at_noon()  # No day ends between these calls and the page.
    acme.save()
    make_price("one/a", at=NOW - timedelta(days=800))
    ann: dict[str, Any] = {"organization": "acme", "user": "ann"}
    record(
        [
            call("one/a", at=NOW, **ann, session_id="s1", usage=usage(1_000, 500)),
            call("one/a", at=NOW - timedelta(days=3), **ann, session_id="s1", usage=usage(300, 100)),
            call("two/b", at=NOW - timedelta(days=3), **ann, session_id="s2", usage=usage(40, 4)),
            call("one/a", at=NOW - timedelta(days=400), **ann, usage=usage(7, 1)),
            failed(at=NOW - timedelta(days=400), **ann, model_requested="one/a"),
            call("one/a", at=NOW, organization="acme", user="ben", session_id="s1", usage=usage(90_000, 1)),
            call("secret/g", at=NOW, organization="globex", user="eve", usage=usage(80_000, 1)),
        ]
    )


def page(person: User) -> str:
    response = signed_in(person).get("/my-usage/")
    assert response.status_code == 200
    return response.content.decode()


def text(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", html).split()))


def cards(html: str) -> dict[str, str]:
    return {
        text(found[1]): text(found[2])
        for found in re.finditer(r"<article[^>]*>\s*<h3>(.*?)</h3>(.*?)</article>", html, re.DOTALL)
    }


def rows(html: str) -> dict[str, list[str]]:
    found = re.findall(r'<tr[^>]*>\s*<th[^>]* scope="row">(.*?)</th>(.*?)</tr>', html, re.DOTALL)
    return {
        text(name): [text(cell) for cell in re.findall(r"<td.*?>(.*?)</td>", rest, re.DOTALL)] for name, rest in found
    }


def own_events(person: User) -> list[UsageEvent]:
    return list(UsageEvent.objects.filter(user=person))


def test_each_period_is_the_sum_of_its_own_events(ledger: None, user: User, acme: Organization) -> None:
    acme.show_user_cost, acme.time_zone = True, zone_at_noon()
    acme.save()
    found, day = cards(page(user)), today(Viewer.of(user))
    begins = {"Today": day, "This month": day.replace(day=1), "All time": day - timedelta(days=5_000)}
    assert list(found) == list(begins)
    for name, first in begins.items():
        expected = summed(event for event in own_events(user) if event.day >= first)
        assert f"{figures.compact(expected.total_tokens)} tokens" in found[name]
        assert f"Requests {expected.requests} " in found[name]
        at_least = "≥ " if expected.unpriced else ""
        assert f"Cost {at_least}{figures.money(expected.cost_usd)}" in found[name]
    assert "Unpriced 1" in found["All time"]
    assert "Failed 1" in found["All time"]


@pytest.mark.parametrize("path", ["/", "/my-usage/"])
def test_averages_of_a_day_and_active_people(
    ledger: None, user: User, admin: User, acme: Organization, path: str
) -> None:
    """On the Overview and on My usage alike, of the days of the range that have begun."""
    acme.show_user_cost, acme.time_zone = True, zone_at_noon()
    acme.save()
    record([call("one/a", organization="acme", user="boss", at=NOW, usage=usage(9, 9))])
    for person in (user, admin):
        whose = {} if person == admin and path == "/" else {"user": person}
        events = UsageEvent.objects.filter(organization=acme, timestamp__gt=NOW - timedelta(days=6.9), **whose)
        expected = summed(events)
        html = signed_in(person).get(f"{path}?range=7d").content.decode()
        for card, average in (
            ("total-cost", figures.money((expected.cost_usd or Decimal(0)) / 7)),
            ("messages", figures.average(expected.requests / 7)),
        ):
            assert f"Average per day {average}" in text(html.partition(f'id="facts-{card}"')[2]), (card, person)
        assert html.count('data-later="people-') == (0 if whose else 3)


def test_averages_of_a_message_and_of_a_session(ledger: None, user: User, acme: Organization) -> None:
    acme.show_user_cost = True
    acme.save()
    found, events = rows(page(user)), own_events(user)
    expected = summed(events)
    assert expected.cost_usd is not None
    priced = expected.requests - expected.unpriced
    assert found["A message"] == ["1", f"{expected.total_tokens / 5:.0f}", figures.money(expected.cost_usd / priced)]
    in_sessions = summed(event for event in events if event.session_id)
    assert in_sessions.cost_usd is not None
    assert found["A session of 2"] == [
        "1.5", f"{in_sessions.total_tokens / 2:.0f}", f"≥ {figures.money(in_sessions.cost_usd / 2)}",
    ]  # fmt: skip


def test_figures_of_a_range_are_the_sums_of_its_own_events(ledger: None, user: User, admin: User) -> None:
    record([call("one/a", organization="acme", user="boss", at=NOW, usage=usage(11, 2), feature="rag")])
    for person in (user, admin):
        day = today(Viewer.of(person))
        for range_, days in (("7d", 7), ("all", 5_000)):
            response = signed_in(person).get(f"/my-usage/?range={range_}")
            first = day - timedelta(days=days - 1)
            expected = summed(event for event in own_events(person) if event.day >= first)
            totals = response.context["totals"]
            names = ("requests", "errors", "total_tokens", "input_tokens", "output_tokens", "cached_tokens")
            assert [getattr(totals, name) for name in names] == [getattr(expected, name) for name in names]
            drawn = response.context["chart_data"]["series"]
            assert sum(drawn["requests"]) == expected.requests
            assert sum(drawn["errors"]) == expected.errors
            of_models = {row.label: row.sums.now.requests for row in response.context["tables"][0].rows}
            assert of_models == Counter(event.model for event in own_events(person) if event.day >= first)


def test_the_later_charts_and_menus_are_of_ones_own_calls_too(ledger: None, admin: User) -> None:
    record([call("one/a", organization="acme", user="boss", at=NOW, usage=usage(11, 2))])
    client = signed_in(admin)
    drawn = client.get("/my-usage/charts/?range=all").context["slow_data"]
    assert sum(map(sum, drawn["heat"]["requests"])) == sum(drawn["spread"]["requests"]) == 1
    assert sum(client.get("/charts/?range=all").context["slow_data"]["spread"]["requests"]) == 7
    menu = client.get("/my-usage/choices/model/?range=all").context["menu"]
    assert [(option.label, option.requests) for option in menu.options] == [("one/a", 1)]
    assert client.get("/my-usage/choices/user/").status_code == 404


def test_links_to_other_pages_lead_to_ones_own_calls(ledger: None, user: User, admin: User) -> None:
    admin.user_permissions.add(Permission.objects.get(codename="export_usageevent"))
    record([call("no/price", organization="acme", user="boss", session_id="s1", at=NOW)])
    html = unescape(page(admin))
    for link in (f"/requests/?user={admin.pk}&unpriced=1", f"/export.csv?user={admin.pk}"):
        assert f'"{link}"' in html
    (leads,) = set(re.findall(r'href="(/requests/[^"]*session=s1)"', html))
    assert f"user={admin.pk}" in leads
    assert f'"/sessions/?user={admin.pk}"' in html
    assert "user=" not in unescape(page(user))


def test_latest_sessions_of_the_range(ledger: None, user: User) -> None:
    for range_, expected in (("today", ["s1"]), ("7d", ["s1", "s2"])):
        response = signed_in(user).get(f"/my-usage/?range={range_}")
        assert [row.conversation.session_id for row in response.context["rows"]] == expected


def test_what_the_cache_saved(acme: Organization, user: User) -> None:
    """At the price in force at each call, as the sum over the calls; and nothing in the batch tier."""
    acme.show_user_cost = True
    acme.save()
    made: dict[str, Any] = {"input_usd_per_1k_tokens": "0.01", "output_usd_per_1k_tokens": 1}
    make_price("one/a", at=NOW - timedelta(days=9), cached_input_usd_per_1k_tokens="0.004", **made)
    make_price("one/a", at=NOW - timedelta(days=2), cached_input_usd_per_1k_tokens="0.001", **made)
    make_price("half/b", at=NOW - timedelta(days=9), **made)
    ann: dict[str, Any] = {"organization": "acme", "user": "ann"}
    record(
        [
            call("one/a", at=NOW, **ann, usage=usage(1_000, 5, cached_tokens=700)),
            call("one/a", at=NOW - timedelta(days=3), **ann, usage=usage(1_000, 5, cached_tokens=333)),
            call("one/a", at=NOW, **ann, usage=usage(900, 5, cached_tokens=800), service_tier="batch"),
            call("half/b", at=NOW, **ann, usage=usage(500, 5, cached_tokens=400)),
            call("no/price", at=NOW, **ann, usage=usage(500, 5, cached_tokens=400)),
            call("one/a", at=NOW, organization="acme", user="ben", usage=usage(1_000, 5, cached_tokens=1_000)),
        ]
    )
    savings = cache_savings(Report(Viewer.of(user), Selection((NOW - timedelta(days=5)).date(), NOW.date())))
    events = own_events(user)
    saved = sum((charge.saved for e in events for part in parts_of(e, prices_of(events)) if part.price
                 for charge in part.charges), Fraction(0))  # fmt: skip
    assert savings is not None
    assert savings.saved_usd == Decimal("0.008298") == rounded(saved)
    assert savings.cached_tokens == 700 + 333 + 800 + 400
    said = text(page(user))
    assert f"Cache Savings {figures.money(savings.saved_usd)} " in said
    assert "US dollars saved $0.008298" in said
    acme.show_user_cost = False
    acme.save()
    assert "Cache Savings" not in text(page(user))


def test_savings_that_the_sums_cannot_tell_are_left_out(
    acme: Organization, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_price("one/a", at=NOW - timedelta(days=9))
    record([call("one/a", organization="acme", user="boss", at=NOW, usage=usage(100, 5, cached_tokens=50))])
    assert "Cache Savings" in text(page(admin))
    monkeypatch.setattr("analytics.reports.savings.UP_TO", 0)
    assert "Cache Savings" not in text(page(admin))


def test_no_cost_for_who_may_not_see_it(ledger: None, user: User) -> None:
    assert ABOUT_COST.findall(page(user)) == []


def test_others_are_not_in_it(ledger: None, user: User, admin: User, super_admin: User, stranger: User) -> None:
    assert "90" not in cards(page(user))["Today"]
    assert "No call of yours is recorded yet." in page(admin)  # who sees others elsewhere
    assert "you belong to none." in page(super_admin)
    assert "Nothing to see yet" in page(stranger)


def test_an_admin_with_calls_sees_them(ledger: None, admin: User) -> None:
    record([call("one/a", organization="acme", user="boss", at=NOW, usage=usage(11, 2))])
    assert "13 tokens" in cards(page(admin))["All time"]


def test_a_visitor_signs_in_first() -> None:
    response = Client().get("/my-usage/")
    assert response["Location"] == "/sign-in/?next=/my-usage/"
    assert Client().post("/my-usage/").status_code in (302, 405)


def test_it_is_in_the_account_menu_of_whoever_has_an_organization(user: User, super_admin: User) -> None:
    assert 'href="/my-usage/"' in page(user)
    assert 'href="/my-usage/"' not in page(super_admin)


def test_a_viewer_is_narrowed_and_never_widened(
    user: User, colleague: User, outsider: User, admin: User, super_admin: User, acme: Organization
) -> None:
    for person in (user, admin):
        narrowed = Viewer.of(person).narrowed_to(person)
        assert (narrowed.organization_ids, narrowed.user_ids) == ({acme.pk}, {person.pk})
        assert narrowed.sees_cost == Viewer.of(person).sees_cost
    assert Viewer.of(user).narrowed_to(colleague).user_ids == frozenset()
    assert Viewer.of(admin).narrowed_to(outsider).organization_ids == frozenset()
    assert Viewer.of(super_admin).narrowed_to(super_admin).organization_ids == frozenset()


def test_it_takes_a_fixed_number_of_queries(ledger: None, user: User) -> None:
    client = signed_in(user)
    with CaptureQueriesContext(connection) as before:
        client.get("/my-usage/")
    record(
        call(f"m{n}", organization="acme", user="ann", session_id=f"x{n}", at=NOW - timedelta(days=n))
        for n in range(30)
    )
    with CaptureQueriesContext(connection) as after:
        client.get("/my-usage/")
    # Who looks and the transaction; then: time zones, version, first day, both ranges, models and menus, names, this
    # month, all time, sessions and their averages, saved views.
    assert len(after) == len(before) <= MOST_QUERIES


MOST_QUERIES = 21


def test_a_failure_is_said(ledger: None, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(Planner, "grouped", gone)
    response = Client(raise_request_exception=False)
    response.force_login(user)
    answer = response.get("/my-usage/")
    assert answer.status_code == 503
    assert "We couldn't load analytics. Please try again." in unescape(answer.content.decode())
