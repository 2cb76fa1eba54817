"""Events in the Django admin are read-only, and their pages are quick for any number of events."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from ledger import admin as events_admin
from ledger.models import UsageEvent
from tests.cast import signed_in

EVENTS = "/admin/ledger/usageevent/"


@pytest.fixture
def root(super_admin: User) -> Client:
    return signed_in(super_admin)


def make_events(organization: Organization, *request_ids: str, **values: Any) -> None:
    moment = datetime(2026, 11, 2, 12, tzinfo=UTC)
    defaults = {"timestamp": moment, "day": date(2026, 11, 2), "hour": 12, "latency_ms": 250, "model": "m"}
    UsageEvent.objects.bulk_create(
        UsageEvent(organization=organization, request_id=request_id, **(defaults | values))
        for request_id in request_ids
    )


def shown(client: Client, query: str = "") -> list[str]:
    return [event.request_id for event in client.get(f"{EVENTS}?{query}").context["cl"].result_list]


def test_the_newest_events_come_first(root: Client, acme: Organization) -> None:
    make_events(acme, "a", "b", "c")
    assert shown(root) == ["c", "b", "a"]


def test_events_are_filtered(root: Client, acme: Organization, globex: Organization) -> None:
    make_events(acme, "a")
    make_events(globex, "b", status="error", model="n", day=date(2026, 11, 3), cost_usd=Decimal(1))
    for query in (
        "status__exact=error",
        "model=n",
        f"organization__id__exact={globex.pk}",
        "day__gte=2026-11-03",
        "cost_usd__isempty=0",
    ):
        assert shown(root, query) == ["b"], query


def test_a_request_id_is_found_by_all_of_it(root: Client, acme: Organization, globex: Organization) -> None:
    make_events(acme, "abc", "abcd")
    make_events(globex, "abc", "ABC")
    assert shown(root, "q=abc") == ["abc", "abc"]
    assert shown(root, "q=ab") == []


def test_no_more_events_are_counted_than_anybody_looks_through(
    root: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_admin, "MAX_COUNTED", 2)
    make_events(acme, "a", "b", "c")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        root.get(EVENTS)
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "usageevent" in query["sql"]]
    assert counts
    assert all("LIMIT 2" in sql for sql in counts)


def test_an_event_is_shown_and_cannot_be_touched(root: Client, acme: Organization) -> None:
    make_events(acme, "a")
    event = UsageEvent.objects.get()
    page = root.get(f"{EVENTS}{event.pk}/change/")
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    assert root.post(f"{EVENTS}{event.pk}/change/", {"model": "x"}).status_code == 403
    assert root.post(f"{EVENTS}{event.pk}/delete/", {"post": "yes"}).status_code == 403
    assert root.get(f"{EVENTS}add/").status_code == 403
    root.post(EVENTS, {"action": "delete_selected", "_selected_action": event.pk, "post": "yes"})
    assert UsageEvent.objects.get().model == "m"
