"""The tables of the Overview with changes against the previous period."""

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.pages.overview.comparison import Compared
from analytics.reports import Report, Summary
from analytics.reports.selection import Selection
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.cast import signed_in
from tests.ledger.calls import call, summary, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
DAYS = 7
NOW_AND_THEN = {"grown": (5, 2), "new": (3, 0), "gone": (0, 4), "same": (2, 2), "unpriced": (2, 1), "half": (4, 1)}
"""For each model its numbers of calls in this period and in the previous one."""


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User) -> None:
    """Calls of this week and of the one before; those of the model "half" have a price since this week only."""
    for model in ("grown", "new", "gone", "same"):
        make_price(model, at=NOW - timedelta(days=90))
    make_price("half", at=NOW - timedelta(days=DAYS))
    at = {0: NOW - timedelta(days=2), 1: NOW - timedelta(days=2 + DAYS)}
    record(
        call(model, organization=organization, user=person, at=at[period], usage=usage(1000, 100), feature=f"f-{model}")
        for model, counts in NOW_AND_THEN.items()
        for period, number in enumerate(counts)
        for organization, person in (("acme", "ann"), ("acme", "ben"), ("globex", "eve"))
        for _ in range(number)
    )
    record(call("old", organization=name, user=person, at=NOW - timedelta(days=40)) for name, person in WHO)


WHO = (("acme", "ann"), ("acme", "ben"), ("globex", "eve"))


def page(client: Client, query: str = "") -> str:
    response = client.get(f"/?range=7d{query}")
    assert response.status_code == 200
    return response.content.decode()


def changes(html: str, table: str = "model") -> dict[str, dict[str, str]]:
    """For each row of a table the texts of its changes."""
    body = re.search(rf'table-{table}-title">.*?<tbody[^>]*>(.*?)</tbody>', html, re.DOTALL)
    assert body
    return {
        text(row.split("</a>")[0]): {
            name: text(cell)
            for name, cell in re.findall(r'<td[^>]* class="(\w+)-change[^>]*>(.*?)</td>', row, re.DOTALL)
        }
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", body[1], re.DOTALL)
    }


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_changes_are_the_differences_of_plain_sums(ledger: None, super_admin: User, admin: User, user: User) -> None:
    today = UsageEvent.objects.latest("timestamp").day + timedelta(days=2)
    selection = Selection(today - timedelta(days=DAYS - 1), today)
    previous = selection.previous()
    for person in (super_admin, admin, user):
        viewer = Viewer.of(person)
        report = Report(viewer, selection)
        assert report.covers_previous
        groups: dict[Any, list[UsageEvent]] = defaultdict(list)
        for event in UsageEvent.objects.filter(day__range=(previous.first_day, previous.last_day)):
            if all(
                ids is None or one in ids
                for ids, one in (
                    (viewer.organization_ids, event.organization_id),
                    (viewer.user_ids, event.user_id),
                )
            ):
                groups[event.model].append(event)
        expected = {model: summary(events, with_cost=viewer.sees_cost) for model, events in groups.items()}
        assert report.previous_sums_by("model") == expected
        assert len(expected) == 5


def test_a_table_tells_how_much_and_how_sure(ledger: None, admin: User) -> None:
    found = changes(page(signed_in(admin), "&change=1"))
    each = UsageEvent.objects.filter(model="grown").values_list("cost_usd", flat=True)[0]
    assert each
    assert found["grown"]["requests"] == "+6 150.0%"
    assert found["grown"]["cost"].endswith("150.0%")
    assert found["new"]["requests"] == "+6 new"
    assert found["same"] == {"requests": "0 no change", "cost": "$0.00 no change"}
    assert found["unpriced"] == {"requests": "+2 100%", "cost": "–"}, "nobody knows what it cost"
    assert found["half"]["cost"] == "–", "nothing is known of the cost before"


def test_an_incomplete_cost_says_on_which_side(ledger: None) -> None:
    whole = Summary(requests=3, cost_usd=Decimal(3))
    part = Summary(requests=3, cost_usd=Decimal(2), unpriced=1)
    assert Compared(part, whole).moved_cost.text == "≥ -$1.00"
    assert Compared(whole, part).moved_cost.text == "≤ +$1.00"
    assert Compared(part, part).moved_cost.text == "–"
    assert Compared(whole, None).moved_cost.text == "+$3.00"
    assert Compared(part, whole).moved_cost.relative is None


def test_what_is_gone_is_named_with_what_it_was(ledger: None, admin: User, user: User) -> None:
    (gone, *_) = re.findall(r'<p class="hint gone">(.*?)</p>', page(signed_in(admin), "&change=1"))
    assert gone.startswith("Gone since the previous period: gone, with 8 requests and $")
    (gone, *_) = re.findall(r'<p class="hint gone">(.*?)</p>', page(signed_in(user), "&change=1"))
    assert gone == "Gone since the previous period: gone, with 4 requests then."


def test_tables_are_sorted_by_change(ledger: None, admin: User) -> None:
    html = page(signed_in(admin), "&change=1&sort=model:-requests_change")
    assert list(changes(html)) == ["grown", "half", "new", "unpriced", "same"]
    assert 'aria-sort="descending"' in html


def test_whoever_sees_no_cost_gets_no_change_of_it(ledger: None, user: User) -> None:
    html = page(signed_in(user), "&change=1")
    assert {frozenset(row) for row in changes(html).values()} == {frozenset({"requests"})}
    assert "$" not in html
    assert list(changes(page(signed_in(user), "&change=1&sort=model:-cost_change"))) == list(changes(html))


def test_nothing_is_compared_with_a_period_without_data(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    for query, why in (
        ("&range=30d&change=1", "there is nothing before"),
        ("&range=all&change=1", "no previous period"),
    ):
        response = client.get(f"/?{query[1:]}").content.decode()
        assert "requests-change" not in response
        assert why in response
        assert ">With changes<" not in response


def test_changes_are_asked_for_only_on_demand(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    counts = []
    for query in ("", "&change=1"):
        with CaptureQueriesContext(connection) as queries:
            html = page(client, query)
        counts.append(len([one for one in queries if "ledger_current_rollup" in one["sql"]]))
        assert ">With changes<" in html
        assert ("requests-change" in html) == bool(query)
    tables = len(re.findall('id="table-', html))
    assert 0 < counts[1] - counts[0] <= tables, "one question a table, because each has a cube of its own"
