"""The Analytics and Pricing tabs, as HTML: filters, cards, tables, roles, export, failures."""

import csv
import io
import json
import re
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, connections
from django.http import HttpResponse
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from accounts.models import Organization, Project, User
from analytics import reports
from analytics.display import figures
from analytics.display.outlook import Outlook
from analytics.export import export
from analytics.filters.range_form import RANGE_OF, RANGES
from analytics.reports import report
from analytics.reports.planner import Planner
from analytics.reports.selection import Selection
from ledger.models import UsageEvent
from ledger.recording.record import record
from ledger.rollups.cubes import OF_ALL
from pricing.models import Price
from tests.cast import signed_in
from tests.ledger.calls import call, failed, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
EARLIER = NOW - timedelta(days=3)
PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial", "HX-Target": "div#view"}
REFRESH = PARTIAL | {"HX-Target": "div#results", "HX-Source": "div#results"}
CARDS = ["Total Tokens", "Total Cost", "Messages", "Avg Latency", "Error Rate"]


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User) -> None:
    """Five calls of Acme and one of Globex within three days, and one of Acme a month earlier; one has no price."""
    Price.objects.create(
        model="priced/a", input_usd_per_1k_tokens=Decimal(1), output_usd_per_1k_tokens=Decimal(2),
        effective_from=NOW - timedelta(days=400), source_note="a test",
    )  # fmt: skip
    acme_call: dict[str, Any] = {"organization": "acme", "at": EARLIER, "model": "priced/a"}
    record(
        [
            call(**acme_call, user="ann", project="rag", expert_id="lawyer", usage=usage(1000, 500)),
            call(**acme_call, user="ann", project="chat", template_id="t1", latency_ms=2_250),
            call(**acme_call, user="ben", project="rag"),
            call(**acme_call | {"model": "unpriced/b"}, user="ben", usage=usage(40_000, 2_000, cached_tokens=10_000)),
            failed(organization="acme", at=EARLIER, model_requested="priced/a", user="ben"),
            call(**acme_call | {"organization": "globex"}, user="eve", project="secret-project"),
            call(**acme_call | {"at": NOW - timedelta(days=40)}, user="ann"),
        ]
    )


def page(client: Client, query: str = "", **headers: str) -> str:
    response = client.get(f"/{query}", headers=headers)
    assert response.status_code == 200, response.content
    return response.content.decode()


def cards(html: str) -> dict[str, str]:
    """Name and value of each card, in order."""
    found = re.findall(r"<h2>([^<]+)</h2>\s*<p class=\"value[^>]*>(?:<span[^>]*></span>)?([^<]+)<", html)
    return dict(found)


def chart_data(html: str) -> Any:
    found = re.search(r'<script id="chart-data" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def lines(html: str, table: str) -> dict[str, list[str]]:
    """Rows of a table: the name, and the text of its cells."""
    body = re.search(rf'table-{table}-title">.*?<tbody[^>]*>(.*?)</tbody>', html, re.DOTALL)
    assert body, f"no table by {table}"
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body[1], re.DOTALL)
    return {_text(row.split("</a>")[0]): [_text(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows}


def _text(html: str) -> str:
    return re.sub(r"<[^>]*>", "", html).strip()


def links(html: str) -> list[str]:
    return [link.replace("&amp;", "&") for link in re.findall(r'href="(\?[^"]*)"', html)]


# What everybody sees


def test_a_visitor_signs_in_first(client: Client) -> None:
    assert client.get("/")["Location"] == "/sign-in/?next=/"


def test_somebody_without_a_role_gets_a_friendly_page(stranger: User) -> None:
    assert "Nothing to see yet" in page(signed_in(stranger))


def test_the_cards_in_their_order(ledger: None, super_admin: User) -> None:
    html = page(signed_in(super_admin))
    assert list(cards(html)) == [*CARDS, "Top Model"]
    assert cards(html)["Messages"] == "6"
    assert html.count("Messages are requests: one call to Groq each.") == 1
    assert cards(html)["Total Tokens"] == "43.9K"
    assert cards(html)["Total Cost"] == "≥ $2.42", "one has no price"
    assert cards(html)["Error Rate"] == "16.7%"
    assert cards(html)["Top Model"] == "priced/a"
    priced = cards(page(signed_in(super_admin), "?model=priced/a"))
    assert priced["Total Cost"] == "$2.42"
    unpriced = cards(page(signed_in(super_admin), "?model=unpriced/b"))
    assert unpriced["Total Cost"] == "–", "what nobody knows is not zero"
    nothing = cards(page(signed_in(super_admin), "?model=nothing"))
    assert (nothing["Total Cost"], nothing["Top Model"]) == ("$0.00", "–")


def test_tabs(ledger: None, admin: User) -> None:
    html = page(signed_in(admin))
    nav = re.search(r"<nav class=\"tabs\".*?</nav>", html, re.DOTALL)
    assert nav
    assert re.findall(r">([^<\s][^<]*)</a>", nav[0]) == ["Analytics", "Pricing", "Connect"]


def test_changes_against_the_period_before(ledger: None, admin: User) -> None:
    first = figures.day(UsageEvent.objects.earliest("day").day)
    html = page(signed_in(admin))
    assert "vs previous" not in html, "the first call is of 40 days ago, in the middle of the period before"
    assert html.count(f"data since {first}") == 5
    record([call(organization="acme", at=NOW - timedelta(days=70))])
    html = page(signed_in(admin))
    assert "vs previous 30 days" in html  # the call of 40 days ago is in it
    assert "400.0%" in html  # five messages after one
    assert "data since" not in html
    assert "vs previous" not in page(signed_in(admin), "?range=all")
    assert "data since" not in page(signed_in(admin), "?range=all")


def test_a_filter_does_not_change_since_when_there_is_data(ledger: None, admin: User) -> None:
    record([call(organization="acme", at=NOW - timedelta(days=70))])
    assert "vs previous 30 days" in page(signed_in(admin), "?model=priced/a"), "this model is new, the data is not"


def test_a_range_that_is_over_does_not_refresh_itself(ledger: None, super_admin: User) -> None:
    """A day is over when it is over for all organizations: it may be today in Los Angeles, tomorrow in Kolkata."""
    client = signed_in(super_admin)
    earliest, latest = reports.local_dates(_viewer(super_admin))
    for day, is_over in ((latest, False), (earliest, False), (earliest - timedelta(days=1), True)):
        for path in ("/", "/requests/", "/sessions/", "/models/"):
            html = client.get(f"{path}?range=custom&from={day - timedelta(days=3)}&to={day}").content.decode()
            assert ("data-live" not in html) == is_over, (path, day)
            assert ('id="live"' not in html) == is_over, (path, day)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("today", "2028-03-01", "2028-03-01"), ("yesterday", "2028-02-29", "2028-02-29"),
        ("7d", "2028-02-24", "2028-03-01"), ("30d", "2028-02-01", "2028-03-01"), ("90d", "2027-12-03", "2028-03-01"),
        ("month", "2028-03-01", "2028-03-01"), ("last-month", "2028-02-01", "2028-02-29"),
        ("year", "2028-01-01", "2028-03-01"),
    ],
)  # fmt: skip
def test_ranges_by_name(name: str, first: str, last: str) -> None:
    assert tuple(map(str, RANGE_OF[name](date(2028, 3, 1)))) == (first, last)


def test_every_range_has_a_page_and_keeps_its_name(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    for name in RANGES:
        html = page(client, f"?range={name}")
        is_marked = re.search(rf'value="{name}" checked|range={name}" aria-current="true"', html)
        assert is_marked or (name == "30d" and 'value="30d" checked' in html), name
        assert "vs previous" not in html or name != "all"


def test_a_month_that_goes_on_says_what_it_will_come_to(acme: Organization, admin: User) -> None:
    """The oracle is a plain sum over the events of the finished days."""
    make_price("priced/a", input_usd_per_1k_tokens=Decimal(1), output_usd_per_1k_tokens=Decimal(2))
    days = [date(2028, 2, day) for day in (1, 2, 2, 3)]
    record(call("priced/a", organization="acme", at=datetime(d.year, d.month, d.day, 20, tzinfo=UTC)) for d in days)
    report = reports.Report(_viewer(admin), Selection(days[0], days[-1]))
    outlook = Outlook.of(report.series("day"), days[-1])
    finished = list(UsageEvent.objects.filter(day__lt=days[-1]))
    assert outlook is not None
    assert len(finished) == 3
    assert outlook.whole(lambda t: t.requests) == Decimal(3) * 29 / 2
    assert outlook.whole(lambda t: t.cost_usd) == sum(event.cost_usd or 0 for event in finished) * 29 / 2
    assert outlook.explanation == "By 29 Feb 2028: the average of the 2 finished days of this month, for all 29 days."
    assert not outlook.is_part
    assert Outlook.of(report.series("day"), days[0]) is None, "no day is finished"


def test_only_this_month_has_an_outlook(ledger: None, acme: Organization, admin: User, user: User) -> None:
    client = signed_in(admin)
    assert "Whole month" not in page(client, "?range=30d")
    earliest, _ = reports.local_dates(_viewer(admin))
    if earliest.day > 1:  # on the first of a month no day of it is finished
        record([call(organization="acme", user="ann", at=NOW - timedelta(days=1))])
        html = page(client, "?range=month")
        assert html.count("<dt>Whole month</dt>") == 3
        assert "finished day" in html
        hidden = page(signed_in(user), "?range=month")
        assert hidden.count("<dt>Whole month</dt>") == 2


def test_charts_have_a_point_for_every_day_and_words_for_those_who_cannot_see(ledger: None, admin: User) -> None:
    html = page(signed_in(admin))
    series = chart_data(html)["series"]
    assert len(series["x"]) == 30
    assert sum(series["requests"]) == 5
    assert sum(series["input"]) + sum(series["cached"]) == 1000 + 100 + 100 + 40_000
    assert sum(series["cached"]) == 10_000
    assert "5 requests from" in html


def test_grain_by_hand_and_its_limit(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    assert len(chart_data(page(client, "?range=7d&grain=hour"))["series"]["x"]) == 7 * 24
    html = page(client, "?range=all&grain=hour")
    assert "Hours are shown for up to 31 days" in html
    assert all("T" not in x for x in chart_data(html)["series"]["x"])


def test_unpriced_usage_is_a_banner(ledger: None, admin: User) -> None:
    html = page(signed_in(admin))
    assert "1 request without a price." in html
    assert lines(html, "model")["unpriced/b"][2] == "Unpriced"
    assert "without a price" not in page(signed_in(admin), "?model=priced%2Fa")


def test_without_usage_the_page_says_so(ledger: None, admin: User) -> None:
    html = page(signed_in(admin), "?model=nope")
    assert "No usage recorded for this range." in html
    assert "chart-data" not in html
    assert cards(html)["Total Tokens"] == "0"


# Filters


def test_every_filter_acts_on_cards_charts_and_tables(ledger: None, admin: User) -> None:
    client, rag = signed_in(admin), Project.objects.get(slug="rag").pk
    for query, messages in {
        "?model=priced/a": 4, "?model=unpriced/b": 1, f"?project={rag}": 2, "?expert=lawyer": 1, "?template=t1": 1,
        "?status=error": 1, "?status=success&status=error": 5, f"?project={rag}&expert=(none)": 1,
        "?provider=other": 0, "?provider=all": 5, "?provider=": 5, "?range=all": 6, "?model=a&model=priced/a": 4,
    }.items():  # fmt: skip
        html = page(client, query)
        assert cards(html)["Messages"] == str(messages), query
        if messages:
            assert sum(chart_data(html)["series"]["requests"]) == messages, query
            assert sum(int(row[0]) for row in lines(html, "model").values()) == messages, query


def test_all_is_a_name_like_others_except_for_a_provider(ledger: None, admin: User) -> None:
    record([call("all", organization="acme", at=EARLIER, expert_id="all")])
    client = signed_in(admin)
    counts = {"?expert=all": "1", "?model=all": "1", "?model=all&model=unpriced/b": "2", "?provider=all": "6"}
    assert {query: cards(page(client, query))["Messages"] for query in counts} == counts


def test_filters_are_chips_that_remove_themselves(ledger: None, admin: User) -> None:
    html = page(signed_in(admin), "?model=priced/a&model=unpriced/b&range=7d")
    assert "?range=7d&model=unpriced%2Fb" in links(html)
    assert "?range=7d&model=priced%2Fa" in links(html)
    assert "Remove Provider" not in html  # which nobody chose
    assert "Remove Provider groq" in page(signed_in(admin), "?provider=groq&provider=openai")


def test_a_name_in_a_table_leads_to_its_rows(ledger: None, admin: User) -> None:
    html = page(signed_in(admin), "?range=all")
    assert "?range=all&model=priced%2Fa" in links(html)


def test_values_that_nobody_has_select_nothing(ledger: None, admin: User) -> None:
    for query in ("?project=abc", "?project=-1", "?user=99999999999999999999999", "?model=nope", "?project=²"):
        assert cards(page(signed_in(admin), query))["Messages"] == "0", query


def test_nothing_in_an_address_is_an_error(ledger: None, admin: User) -> None:
    for query in (
        "?range=forever", "?grain=second", "?sort=model:-nothing", "?sort=x", "?page=model:99", "?page=model:x",
        "?page=model:-1", "?status=%27%22", "?a=b", "?range=all&from=garbage", "?sort=model:" + "9" * 500,
    ):  # fmt: skip
        assert "Total Tokens" in page(signed_in(admin), query)


@pytest.mark.parametrize("query", ["?model=a%00b", "?x%00=1", "?from=%00"])
def test_text_that_no_database_can_hold_is_refused(admin: User, query: str) -> None:
    assert signed_in(admin).get(f"/{query}").status_code == 400
    assert signed_in(admin).get(f"/export.csv{query}").status_code in (400, 403)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("from=yesterday&to=2026-01-01", "year-month-day"),
        ("from=0001-01-01&to=2026-01-01", "Choose a date from"),
        ("from=9999-12-31", "Choose a date from"),
        ("from=2026-03-02&to=2026-03-01", "The range ends before it begins"),
        ("from=2005-01-01&to=2026-03-01", "Choose at most ten years"),
    ],
)
def test_a_bad_range_is_explained_at_its_field(ledger: None, super_admin: User, query: str, reason: str) -> None:
    client = signed_in(super_admin)
    html = page(client, f"?range=custom&{query}")
    assert reason in html
    assert 'aria-invalid="true"' in html
    assert cards(html)["Messages"] == "6"  # of the default range
    assert len(chart_data(html)["series"]["x"]) == 30
    response = client.get(f"/export.csv?range=custom&{query}")
    assert response.status_code == 400
    assert reason in response.content.decode()


def test_a_range_may_be_open_at_either_end(ledger: None, admin: User) -> None:
    client, day = signed_in(admin), reports.today(_viewer(admin))
    assert cards(page(client, f"?to={day}"))["Messages"] == "6"
    assert cards(page(client, f"?from={day - timedelta(days=5)}"))["Messages"] == "5"
    assert cards(page(client, "?to=2001-01-01"))["Messages"] == "0"


def _viewer(person: User) -> Any:
    from accounts.viewer import Viewer

    return Viewer.of(person)


# Tables


def test_tables_sort_by_their_headers(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    assert list(lines(page(client), "model")) == ["priced/a", "unpriced/b"]
    assert list(lines(page(client, "?sort=model:-total_tokens"), "model")) == ["unpriced/b", "priced/a"]
    assert list(lines(page(client, "?sort=model:-name"), "model")) == ["unpriced/b", "priced/a"]
    html = page(client, "?sort=model:-total_tokens")
    assert 'aria-sort="descending"' in html
    assert "?sort=model%3Atotal_tokens" in links(html)  # the same column again turns it round


def test_a_table_has_pages(acme: Organization, admin: User) -> None:
    record(call(f"m{number:02}", organization="acme", at=EARLIER) for number in range(23))
    client = signed_in(admin)
    first = page(client)
    assert len(lines(first, "model")) == 10
    assert "1–10 of 23" in first
    assert "?page=model%3A2" in links(first)
    last = page(client, "?page=model:3")
    assert list(lines(last, "model")) == ["m20", "m21", "m22"]
    assert "21–23 of 23" in last


# Roles


def test_each_role_sees_its_share(ledger: None, super_admin: User, admin: User, user: User, outsider: User) -> None:
    for person, messages in ((super_admin, 6), (admin, 5), (user, 2), (outsider, 1)):
        assert cards(page(signed_in(person)))["Messages"] == str(messages), person


def test_another_organization_leaves_no_trace(ledger: None, admin: User) -> None:
    globex = Organization.objects.get(slug="globex").pk
    for query in ("", "?range=all", f"?organization={globex}", "?sort=project:name"):
        html = page(signed_in(admin), query)
        assert "secret-project" not in html
        assert "Globex" not in html
        assert cards(html)["Messages"] in ("5", "6")  # the parameter is not his to give


def test_asking_for_somebody_elses_rows_selects_nothing(ledger: None, user: User, admin: User) -> None:
    secret = Project.objects.get(slug="secret-project").pk
    html = page(signed_in(admin), f"?project={secret}")
    assert "secret-project" not in html
    assert cards(html)["Messages"] == "0"
    ben = User.objects.get(username="ben").pk
    assert cards(page(signed_in(user), f"?user={ben}"))["Messages"] == "2"  # a User has no choice of users


def test_a_hidden_cost_is_nowhere(ledger: None, user: User) -> None:
    client = signed_in(user)
    for query, headers in (("", {}), ("?sort=model:-cost_usd", {}), ("?range=all", PARTIAL), ("?range=7d", REFRESH)):
        html = page(client, query, **headers)
        for word in ("cost", "pricing", "without a price", "$", "usd"):
            assert word not in html.lower(), (word, query)
    assert list(cards(page(client))) == [name for name in [*CARDS, "Top Model"] if name != "Total Cost"]
    assert client.get("/pricing/").status_code == 403


def test_sorting_by_a_hidden_cost_is_no_oracle(ledger: None, user: User) -> None:
    client = signed_in(user)
    orders = {tuple(lines(page(client, f"?sort=project:{sort}"), "project")) for sort in ("-cost_usd", "cost_usd", "")}
    assert len(orders) == 1


def test_with_the_organizations_leave_a_user_sees_own_costs(ledger: None, acme: Organization, user: User) -> None:
    acme.show_user_cost = True
    acme.save()
    html = page(signed_in(User.objects.get(pk=user.pk)))
    assert cards(html)["Total Cost"] == "$2.14"
    assert "cost" in chart_data(html)["series"]


def test_names_from_outside_are_only_text(acme: Organization, admin: User) -> None:
    evil = '"><script>alert(1)</script>'
    record([call(evil, organization="acme", at=EARLIER, project=evil, expert_id=evil)])
    html = page(signed_in(admin), "?expert=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in html
    assert chart_data(html)["models"][0]["name"] == evil


# Fragments


def test_the_fragment_is_part_of_the_page(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    whole, view, results = page(client), page(client, **PARTIAL), page(client, **PARTIAL | {"HX-Target": "div#results"})
    assert "<html" in whole
    assert "<html" not in view
    assert 'id="filters"' in view
    assert 'id="filters"' not in results
    assert results.startswith('<div id="results"')
    assert cards(whole) == cards(view) == cards(results)


def test_a_fragment_says_its_shortest_address(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    response = client.get("/?range=30d&from=2026-01-01&provider=all&provider=groq&model=priced/a", headers=PARTIAL)
    assert response["HX-Push-Url"] == "/?model=priced%2Fa"
    assert "HX-Push-Url" not in client.get("/", headers=REFRESH)
    assert "HX-Request-Type" in response["Vary"]


def test_a_refresh_sends_nothing_when_nothing_changed(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    seen = re.search(r'"X-Seen": "([^"]+)"', page(client))
    assert seen
    unchanged = client.get("/", headers=REFRESH | {"X-Seen": seen[1]})
    assert (unchanged.status_code, unchanged.content) == (204, b"")
    record([call(organization="acme", at=NOW)])
    assert cards(page(client, **REFRESH | {"X-Seen": seen[1]}))["Messages"] == "6"


def test_a_new_price_is_news_to_who_sees_prices(ledger: None, admin: User, user: User) -> None:
    for person, news in ((admin, 200), (user, 204)):
        client = signed_in(person)
        seen = re.search(r'"X-Seen": "([^"]+)"', page(client, "models/").replace("&quot;", '"'))
        assert seen
        Price.objects.create(model="priced/a", input_usd_per_1k_tokens=Decimal(9))
        assert client.get("/models/", headers=REFRESH | {"X-Seen": seen[1]}).status_code == news


def test_the_page_is_not_kept(ledger: None, admin: User) -> None:
    assert "no-store" in signed_in(admin).get("/")["Cache-Control"]


def test_the_page_asks_few_questions(
    ledger: None, admin: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = signed_in(admin)
    page(client)
    with django_assert_max_num_queries(21):
        page(client)
    with django_assert_max_num_queries(19):
        page(client, **PARTIAL | {"HX-Target": "div#results"})


def test_the_page_asks_for_names_once(acme: Organization, admin: User) -> None:
    """A table shows ten of what a menu offers a hundred of."""
    record(call(organization="acme", project=f"p{n}", user=f"u{n}", at=EARLIER) for n in range(23))
    client = signed_in(admin)
    with CaptureQueriesContext(connection) as asked:
        assert "1–10 of 23" in page(client)
    for table in ("accounts_project", "accounts_user"):
        assert len([one for one in asked if f'FROM "{table}" WHERE "{table}"."id" IN' in one["sql"]]) == 1, table


def test_the_scripts_need_no_leave_to_be_inline(ledger: None, admin: User) -> None:
    response = signed_in(admin).get("/")
    html = response.content.decode()
    assert "unsafe-eval" not in response["Content-Security-Policy"]
    inline = re.findall(r"<script(?![^>]*src=)(?![^>]*application/json)[^>]*>", html)
    assert inline == []
    assert not re.search(r"\son[a-z]+=", html)
    assert "hx-on" not in html


# Export


def exported(client: Client, query: str = "") -> list[dict[str, str]]:
    response = client.get(f"/export.csv{query}")
    assert response.status_code == 200
    body = b"".join(response)  # type: ignore[arg-type]
    return list(csv.DictReader(io.StringIO(body.decode())))


def test_the_export_has_the_events_of_the_page(ledger: None, super_admin: User) -> None:
    client = signed_in(super_admin)
    for query in ("", "?range=all", "?model=priced/a", "?status=error"):
        rows = exported(client, query)
        assert str(len(rows)) == cards(page(client, query))["Messages"], query
    assert sum(Decimal(row["cost_usd"] or 0) for row in exported(client)) == Decimal("2.42")


def test_only_those_who_may_export_do(ledger: None, user: User, admin: User, super_admin: User) -> None:
    for person in (admin, super_admin):
        assert 'id="export"' in page(signed_in(person))
    assert 'id="export"' not in page(signed_in(user))
    assert signed_in(user).get("/export.csv").status_code == 403


def test_the_file_name_says_range_and_filters(ledger: None, super_admin: User) -> None:
    client = signed_in(super_admin)
    query = "?from=2026-10-24&to=2026-11-22&model=openai/gpt-oss-120b&status=success"

    def name_of(query: str) -> str:
        response = client.get(f"/export.csv{query}")
        response.close()  # as servers do
        return response["Content-Disposition"]

    name = name_of(query)
    assert name == 'attachment; filename="usage_2026-10-24_2026-11-22_model-openai-gpt-oss-120b_status-success.csv"'
    evil = name_of('?model=a"%0d%0aSet-Cookie:x=1;../../b')
    assert re.fullmatch(r'attachment; filename="[a-z0-9_.-]+\.csv"', evil)
    assert len(name_of(f"?model={'x' * 5000}")) < 200


async def test_an_event_loop_streams_the_export_too(ledger: None, super_admin: User) -> None:
    client = AsyncClient()
    await client.aforce_login(super_admin)
    response = await client.get("/export.csv")
    chunks = [chunk async for chunk in response]  # type: ignore[attr-defined]
    assert len(list(csv.DictReader(io.StringIO(b"".join(chunks).decode())))) == 6
    await sync_to_async(connections.close_all)()  # those of the loop's thread, which the test's end does not know


async def test_browsers_get_the_whole_export(ledger: None, super_admin: User) -> None:
    many = (call(organization="acme", at=EARLIER, user="ann", session_id="s" * 200) for _ in range(400))
    await sync_to_async(record)(many)
    client, headers = AsyncClient(), {"Accept-Encoding": "gzip"}
    await client.aforce_login(super_admin)
    response = await client.get("/export.csv", headers=headers)
    body = b"".join([chunk async for chunk in response])  # type: ignore[attr-defined]
    if "Content-Encoding" in response:
        body = zlib.decompressobj(wbits=31).decompress(body)  # as browsers do: to the end of the first gzip member
    assert len(body) > export.CHUNK_BYTES
    assert len(list(csv.DictReader(io.StringIO(body.decode())))) == 406
    assert (await client.get("/", headers=headers))["Content-Encoding"] == "gzip"
    await sync_to_async(connections.close_all)()


# Failures


def _no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(export.COLUMNS, "hour", "1 / (event.hour - event.hour)")  # PostgreSQL refuses the first row


def test_an_export_that_cannot_begin_says_so(ledger: None, super_admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_export(monkeypatch)
    response = signed_in(super_admin).get("/export.csv?range=7d")
    assert response.status_code == 503
    assert "We couldn't load analytics. Please try again." in response.content.decode().replace("&#39;", "'")
    assert "Content-Disposition" not in response


async def test_an_event_loop_says_so_too(ledger: None, super_admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_export(monkeypatch)
    client = AsyncClient()
    await client.aforce_login(super_admin)
    response = await client.get("/export.csv")
    assert response.status_code == 503
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("export")]
    await sync_to_async(connections.close_all)()


def _gone(*_: object) -> Iterator[Any]:
    raise OperationalError("canceling statement due to statement timeout")


def test_a_report_that_fails_says_so_in_its_place(ledger: None, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Planner, "grouped", _gone)
    client = signed_in(admin)
    whole = client.get("/?range=7d")
    assert whole.status_code == 503
    assert "We couldn't load analytics. Please try again." in whole.content.decode().replace("&#39;", "'")
    assert "Sign out" in whole.content.decode()  # the frame is there
    assert 'href="/?range=7d"' in whole.content.decode()
    part = client.get("/?range=7d", headers=PARTIAL)
    assert part.status_code == 503
    assert part["HX-Retarget"] == "#results"
    assert "<html" not in part.content.decode()


def test_a_report_that_takes_too_long_is_ended_by_the_database(
    ledger: None, admin: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def sleep(*_: object) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")

    settings.REPORT_TIMEOUT_MS = 100
    monkeypatch.setattr(Planner, "grouped", sleep)
    client = signed_in(admin)
    start = time.monotonic()
    assert client.get("/").status_code == 503
    assert time.monotonic() - start < 10
    monkeypatch.undo()
    settings.REPORT_TIMEOUT_MS = 15_000
    assert client.get("/").status_code == 200  # the connection is as it was


def test_a_database_that_is_gone_says_so_without_asking_it(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(admin)
    client.raise_request_exception = False
    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", _gone)
    response = client.get("/")
    assert response.status_code == 503
    assert "We couldn't load analytics. Please try again." in response.content.decode()
    assert client.get("/", headers=REFRESH).content.decode().startswith('<div id="results"')


def test_a_slip_of_ours_is_a_plain_page(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def slip(*_: object) -> HttpResponse:
        raise ZeroDivisionError

    client = signed_in(admin)
    client.raise_request_exception = False
    monkeypatch.setattr("analytics.views.read_filters", slip)
    response = client.get("/")
    assert response.status_code == 500
    assert "Something went wrong" in response.content.decode()


def test_pages_that_do_not_exist(client: Client) -> None:
    response = client.get("/nothing/here")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


# Pricing


def test_pricing_lists_what_is_in_force(ledger: None, admin: User, globex: Organization, acme: Organization) -> None:
    def price(amount: str, **more: Any) -> None:
        Price.objects.create(**{"model": "m", "input_usd_per_1k_tokens": Decimal(amount), **more})

    price("0.00001", effective_from=NOW - timedelta(days=9))
    price("0.00025", effective_from=NOW - timedelta(days=2), source_note="the newer")
    price("9", effective_from=NOW + timedelta(days=2))
    price("0.00777", organization=globex)
    price("0.00333", organization=acme)
    price("0.5", model="off", enabled=False)
    assert "$0.25<" in signed_in(admin).get("/pricing/?unit=1m").content.decode()
    html = signed_in(admin).get("/pricing/").content.decode()
    for there in ("$0.00025", "the newer", "$0.00333", "Disabled"):
        assert there in html
    for absent in ("$0.00001", "$0.00777", "Globex", "Edit Pricing"):
        assert absent not in html
    assert html.index("Scheduled") < html.index("$9.00")


def test_super_admins_are_led_to_the_editor(super_admin: User) -> None:
    html = signed_in(super_admin).get("/pricing/").content.decode()
    assert "No prices yet." in html
    assert 'href="/pricing/edit/"' in html


def tables_of(text: str) -> list[str]:
    return re.findall(r'id="table-(\w+)-title"', text)


def test_slow_tables_come_after_the_page_where_organizations_are_many(
    ledger: None, super_admin: User, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without JavaScript, a link leads to a page that has them all."""
    at_once = tables_of(page(signed_in(super_admin)))
    assert {"project", "user", "organization", "model"} <= set(at_once)
    monkeypatch.setattr(report, "FEW_ORGANIZATIONS", 1)
    client = signed_in(super_admin)
    text = page(client)
    late = tables_of(client.get("/tables/").content.decode())
    assert late == [name for name in at_once if name in ("project", "user", "organization")]
    assert tables_of(text) == [name for name in at_once if name not in late]
    (link,) = re.findall(r'<a href="([^"]*)">Show the tables by project, user, organization</a>', text)
    assert tables_of(page(client, link)) == at_once
    acme = Organization.objects.get(slug="acme").pk
    assert "user" in tables_of(page(client, f"?organization={acme}")), "these are read quickly"
    assert tables_of(page(signed_in(admin))) == [name for name in at_once if name != "organization"]


def test_menus_of_slow_tables_are_filled_when_they_open(
    ledger: None, super_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "FEW_ORGANIZATIONS", 1)
    with CaptureQueriesContext(connection) as asked:
        text = page(signed_in(super_admin))
    deferred = re.findall(r'<div id="choices-(\w+)" data-deferred>', text)
    assert deferred == ["project", "user", "organization"]
    sums = [one["sql"] for one in asked if "ledger_current_rollup" in one["sql"]]
    cubes = {int(number) for sql in sums for number in re.findall(r'"cube" IN \((\d+), 0\)', sql)}
    assert cubes <= {cube.number for cube in OF_ALL}
