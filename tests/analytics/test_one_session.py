"""The page of one session: it agrees with its events, and everybody sees their own sessions alone."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics import reports
from analytics.display import figures
from analytics.reports import LogCursor
from analytics.reports.session_messages import PAGE
from ledger.models import UsageEvent
from ledger.recording.record import record
from pricing.cost import cost
from pricing.models import FactsEdit, Price
from tests.cast import signed_in
from tests.ledger.calls import call, failed, timed_out, usage
from tests.ledger.folding import fold_now
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2026, 10, 28, 12, tzinfo=UTC)
MANY = PAGE + 3


@pytest.fixture
def prices() -> None:
    make_price("priced/a", cached_input_usd_per_1k_tokens=Decimal("0.25"))
    make_price("cheap/b", input_usd_per_1k_tokens=Decimal("0.01"), output_usd_per_1k_tokens=Decimal("0.02"))
    make_price("heard", input_usd_per_1k_tokens=None, output_usd_per_1k_tokens=None, audio_usd_per_hour=Decimal(1))


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User, prices: None) -> None:
    """One session of Ann with more messages than a page has, half of them in the tail; the same id of Ben and Eve."""
    talk = [
        call(
            "priced/a", organization="acme", user="ann", session_id="talk", at=START + timedelta(minutes=n),
            latency_ms=100 + n, usage=usage(1_000, 10 + n, cached_tokens=10 * n),
        )
        for n in range(MANY)
    ]  # fmt: skip
    record(talk[:20])
    fold_now()
    record(talk[20:])
    record([failed(organization="acme", user="ben", session_id="talk", at=START, model_requested="priced/a")])
    record([call("unpriced/x", organization="acme", user="ben", session_id="talk", at=START + timedelta(minutes=1))])
    record([call("priced/a", organization="globex", user="eve", session_id="talk", at=START)])
    record([call("priced/a", organization="acme", session_id="no one's", at=START)])


def address(username: str, session_id: str = "talk", more: str = "") -> str:
    person = User.objects.get(username=username)
    return f"/sessions/{person.organization_id}-{person.pk}/?id={session_id}{more}"


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, response.content
    return response.content.decode()


def said(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text.split("<main")[1])).split())


def test_its_figures_are_the_sums_of_its_events(ledger: None, admin: User) -> None:
    events = list(UsageEvent.objects.filter(user__username="ann"))
    text = said(page(signed_in(admin), address("ann")))
    total = sum((event.cost_usd or Decimal(0) for event in events), Decimal(0))
    assert f"Exactly {figures.exact_money(total)}" in text
    assert f"Messages {MANY} Failed 0" in text
    assert f"Input {figures.compact(sum(e.input_tokens for e in events))}" in text
    assert f"of it cached {figures.percent(sum(e.cached_tokens for e in events) / (1_000 * MANY))}" in text
    assert f"Avg latency {figures.duration(sum(e.latency_ms for e in events) / MANY)}" in text
    assert "Duration 52 m 0 s" in text
    assert 'class="cost high' in page(signed_in(admin), address("ann"))


def test_pages_hold_every_message_once_in_order(ledger: None, admin: User) -> None:
    viewer, ann = Viewer.of(admin), User.objects.get(username="ann")
    session = reports.session_at(viewer, ann.organization_id or 0, ann.pk, "talk")
    assert session is not None
    first = reports.messages(viewer, session)
    assert first.next is not None
    second = reports.messages(viewer, session, LogCursor.parse(str(first.next)))
    assert second.next is None
    read = [event.pk for event in (*first.events, *second.events)]
    assert read == list(UsageEvent.objects.filter(user=ann).order_by("timestamp").values_list("pk", flat=True))
    client = signed_in(admin)
    text = page(client, address("ann"))
    following = html.unescape(
        re.findall(r'aria-label="Pages of messages"><a class="button text" href="([^"]+)"', text)[0]
    )
    assert page(client, following).count("data-drawer") == MANY - PAGE
    assert page(client, address("ann", more="&message=nonsense")).count("data-drawer") == PAGE


def test_a_session_of_nobody_has_a_page(ledger: None, acme: Organization, admin: User) -> None:
    assert "Messages 1 Failed 0" in said(page(signed_in(admin), f"/sessions/{acme.pk}-0/?id=no%20one's"))


def test_each_role_sees_its_own(
    ledger: None, super_admin: User, admin: User, user: User, outsider: User, colleague: User
) -> None:
    opened = {
        person.username: [signed_in(person).get(address(whose)).status_code for whose in ("ann", "ben", "eve")]
        for person in (super_admin, admin, user, outsider)
    }
    assert opened == {
        "root": [200, 200, 200], "boss": [200, 200, 404], "ann": [200, 404, 404], "eve": [404, 404, 200],
    }  # fmt: skip
    for path in (address("ann", "else"), address("ann", ""), "/sessions/1-99999999999999999/?id=talk"):
        assert signed_in(admin).get(path).status_code == 404, path


def test_a_hidden_cost_is_nowhere(ledger: None, user: User) -> None:
    text = page(signed_in(user), address("ann")).lower()
    for word in ("cost", "$", "usd", "pric", "cheap/b"):
        assert word not in text.replace("priced/a", ""), word


def test_what_it_would_have_cost(ledger: None, admin: User) -> None:
    """Its own model is no alternative, and a price without rates for what was used is none either."""
    events = UsageEvent.objects.filter(user__username="ann")
    actual = sum((event.cost_usd or Decimal(0) for event in events), Decimal(0))
    price = Price.objects.get(model="cheap/b")
    other = sum((cost(event, price) or Decimal(0) for event in events), Decimal(0))
    text = said(page(signed_in(admin), address("ann"))).split("on another model")[1]
    assert f"cheap/b {figures.money(other)} {figures.money(actual - other)} less" in text
    assert "heard" not in text
    assert "priced/a" not in text


@pytest.mark.parametrize(("context", "is_there"), [(999, False), (1_000, True)])
def test_a_model_without_room_for_the_messages_is_no_alternative(
    ledger: None, admin: User, super_admin: User, context: int, is_there: bool
) -> None:
    """Each message of the session has 1,000 input tokens."""
    FactsEdit.objects.create(model="cheap/b", changes={"context_tokens": context}, author=super_admin)
    text = said(page(signed_in(admin), address("ann"))).split("on another model")
    assert ("cheap/b" in text[-1]) is is_there


def test_an_unknown_cost_is_not_compared(ledger: None, admin: User) -> None:
    text = said(page(signed_in(admin), address("ben")))
    assert "Total cost Unpriced" in text
    assert "1 unpriced" in text
    assert "there is no difference to tell" in text
    assert "less (" not in text


def test_a_rounding_is_no_difference(acme: Organization, user: User, admin: User) -> None:
    """Each request is rounded by itself, a sum is rounded once."""
    for model in ("one/a", "two/b"):
        make_price(model, input_usd_per_1k_tokens=Decimal("0.0000005"), output_usd_per_1k_tokens=Decimal(0))
    record(
        call(
            "one/a",
            organization="acme",
            user="ann",
            session_id="talk",
            at=START + timedelta(seconds=n),
            usage=usage(1_001, 0),
        )
        for n in range(9)
    )
    text = said(page(signed_in(admin), address("ann"))).split("on another model")[1]
    assert re.search(r"two/b \S+ the same", text), text


def test_the_list_keeps_its_filters(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    listed = page(client, "/sessions/?range=all&sort=cost&status=success")
    link = html.unescape(re.findall(r'<a href="(/sessions/\d+-\d+/\?[^"]+)"', listed)[0])
    back = html.unescape(re.findall(r'href="([^"]+)">All sessions', page(client, link))[0])
    assert back == "/sessions/?range=all&status=success&sort=cost"


def exported(client: Client, query: str = "") -> list[dict[str, object]]:
    response = client.get(f"/sessions/export.jsonl{query}")
    assert response.status_code == 200
    lines = b"".join(response).decode().splitlines()  # type: ignore[arg-type]
    return [json.loads(line, parse_float=Decimal) for line in lines]


def test_the_export_has_the_sessions_of_the_list(ledger: None, super_admin: User, user: User) -> None:
    client = signed_in(super_admin)
    lines = exported(client, "?range=all&sort=requests")
    assert [line["requests"] for line in lines] == [MANY, 2, 1, 1]
    events = UsageEvent.objects.filter(user__username="ann")
    assert lines[0]["cost_usd"] == sum((event.cost_usd or Decimal(0) for event in events), Decimal(0))
    assert lines[0]["first_at"] == "2026-10-28T12:00:00.000000Z"
    assert lines[0]["models"] == ["priced/a"]
    assert len(exported(client, "?range=all&cost_min=1&sort=cost")) == 1
    assert exported(client, "?range=custom&from=2020-01-01&to=2020-01-02") == []
    assert signed_in(user).get("/sessions/export.jsonl").status_code == 403


def test_it_refreshes_itself_while_it_may_grow(ledger: None, acme: Organization, admin: User) -> None:
    now, client = datetime.now(UTC), signed_in(admin)
    assert "data-live" not in page(client, address("ann")), "the last message is of another month"
    record([call("priced/a", organization="acme", user="ann", session_id="new", at=now - timedelta(hours=1))])
    path = address("ann", "new", "&sort=cost")
    first = page(client, path)
    assert f'data-live hx-get="{html.escape(path)}"' in first
    (seen,) = re.findall(r'"X-Seen": "(.*?)"', first)
    headers = {"HX-Request-Type": "partial", "HX-Target": "div#results", "X-Seen": seen}
    assert client.get(path, headers=headers).status_code == 204
    record([timed_out(organization="acme", user="ann", session_id="new", at=now)])
    again = client.get(path, headers=headers).content.decode()
    assert again.startswith('<div id="results" data-live')
    assert "Failed 1 of it time-outs 1" in said(f"<main{again}")
    fold_now()
    (seen,) = re.findall(r'"X-Seen": "(.*?)"', again)
    assert client.get(path, headers=headers | {"X-Seen": seen}).status_code == 204, "a fold changes nothing"


def test_the_page_asks_few_questions(
    ledger: None, admin: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    """Session and person; the organization's zone; the list's range; messages, their names and prices; sums; prices."""
    client = signed_in(admin)
    page(client, address("ann"))
    with django_assert_max_num_queries(18), CaptureQueriesContext(connection) as asked:
        page(client, address("ann"))
    of_events = [one["sql"] for one in asked if '"ledger_usageevent"' in one["sql"]]
    assert len(of_events) == 2
    assert all("session_id" in sql for sql in of_events)
