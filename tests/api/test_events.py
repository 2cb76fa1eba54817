"""The log of events and sessions over the API: every event once, costs explained, and nothing that is hidden."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization, Project, User
from accounts.viewer import Viewer
from analytics.reports import Sessions
from analytics.reports.selection import Selection
from ledger.event_columns import COST_COLUMNS
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.api.asking import Asker, key, member, person
from tests.ledger.calls import NOON, call, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

ALL = {"from_": "2026-10-01", "to": "2026-11-30", "provider": "all"}


def pages(asker: Asker, **query: Any) -> list[dict[str, Any]]:
    """All pages, by their own links."""
    found = [asker.ask("events", **query)]
    while found[-1]["next"]:
        found.append(asker.follow(found[-1]["next"]))
    return found


def id_of(event: UsageEvent) -> str:
    return f"{event.organization_id}-{event.pk}"


def test_the_pages_tell_every_event_once_and_lead_back(ledger: list[UsageEvent], super_admin: User) -> None:
    asker = person(super_admin)
    found = pages(asker, **ALL, limit=130)
    told = [event["id"] for page in found for event in page["events"]]
    assert told == [id_of(e) for e in sorted(ledger, key=lambda e: (e.timestamp, e.pk), reverse=True)]
    assert [len(page["events"]) for page in found] == [130, 130, 130, 130, 80]
    assert asker.follow(found[2]["previous"])["events"] == found[1]["events"]
    costs = [Decimal(event["cost_usd"] or 0) for page in found for event in page["events"]]
    assert sum(costs) == sum(event.cost_usd or 0 for event in ledger)


def test_each_caller_reads_the_own_events(ledger: list[UsageEvent], admin: User, acme: Organization) -> None:
    project = Project.objects.get(organization=acme, slug="rag")
    cases = (
        (person(admin), lambda e: e.organization_id == acme.pk),
        (key(acme, project=project), lambda e: e.project_id == project.pk),
    )
    for asker, sees in cases:
        told = {event["id"] for page in pages(asker, **ALL, limit=200) for event in page["events"]}
        assert told == {id_of(event) for event in ledger if sees(event)}
        foreign = next(event for event in ledger if not sees(event))
        asker.ask(f"events/{id_of(foreign)}", 404)


def test_a_key_of_a_project_may_ask_for_a_session(acme: Organization) -> None:
    """A session may span projects: the key reads only the events of its own."""
    record(
        call(organization="acme", project=slug, session_id="s1", at=NOON + timedelta(minutes=n))
        for n, slug in enumerate(("rag", "rag", "chat"))
    )
    asker = key(acme, project=Project.objects.get(organization=acme, slug="rag"))
    for asked in ({"session": "s1"}, {"session": "s1", "limit": 1}):
        found = pages(asker, **ALL, **asked)
        assert [event["project"] for page in found for event in page["events"]] == ["rag", "rag"]
    assert asker.ask("usage", **ALL, session="s1")["requests"] == 2


def test_only_the_unpriced_are_told_if_asked(ledger: list[UsageEvent], super_admin: User) -> None:
    found = pages(person(super_admin), **ALL, limit=500, unpriced=1)
    told = {event["id"] for page in found for event in page["events"]}
    assert told == {id_of(e) for e in ledger if e.cost_usd is None or e.without_tool_fees}


def test_a_cost_is_explained_to_whoever_may_see_it(ledger: list[UsageEvent], admin: User, acme: Organization) -> None:
    event = next(e for e in ledger if e.cost_usd and e.cached_tokens and e.organization_id == admin.organization_id)
    found = person(admin).ask(f"events/{id_of(event)}")
    (part,) = found["cost"]["parts"]
    assert found["cost"]["adds_up"]
    assert Decimal(found["cost_usd"]) == event.cost_usd
    whole = sum(Decimal(charge["rate_usd"]) * Decimal(charge["amount"]) / charge["per"] for charge in part["charges"])
    assert abs(whole - event.cost_usd) < Decimal("1e-9")
    user = member(acme, "ann")
    mine, others = (next(e for e in ledger if (e.user_id == user.pk) == is_own) for is_own in (True, False))
    told = person(user).ask(f"events/{id_of(mine)}")
    assert not {"cost", *COST_COLUMNS} & told.keys()
    person(user).ask(f"events/{id_of(others)}", 404)
    assert person(user).ask("events", 400, unpriced=1)["parameter"] == "unpriced"


def test_sessions_are_those_of_the_page(admin: User, user: User, acme: Organization) -> None:
    record(
        call(organization="acme", user=user.handle, session_id=f"s{n % 7}", at=NOON + timedelta(minutes=n))
        for n in range(20)
    )
    asker = person(admin)
    found = [asker.ask("sessions", **ALL, limit=3, sort="requests")]
    while found[-1]["next"]:
        found.append(asker.follow(found[-1]["next"]))
    told = [session for page in found for session in page["sessions"]]
    first, last = NOON.date() - timedelta(days=30), NOON.date() + timedelta(days=20)
    page = Sessions(Viewer.of(admin), Selection(first, last)).page().conversations
    assert {(s["session_id"], s["requests"], s["total_tokens"]) for s in told} == {
        (s.session_id, s.requests, s.total_tokens) for s in page
    }
    assert len(told) == 7
    (hidden, *_) = person(user).ask("sessions", **ALL)["sessions"]
    assert not {"cost_usd", "unpriced"} & hidden.keys()
    assert person(user).ask("sessions", 400, sort="cost")["parameter"] == "sort"
    project = Project.objects.create(organization=acme, slug="p", name="P")
    key(acme, project=project).ask("sessions", 403)


def test_sessions_are_found_by_what_they_cost(admin: User, user: User) -> None:
    make_price("priced/a")
    used = [(f"s{n}", usage(1_000 * n)) for n in range(1, 6)]
    record(call("priced/a", organization="acme", user=user.handle, session_id=name, usage=of) for name, of in used)
    asker, query = person(admin), {**ALL, "limit": 500}
    costs = {s["session_id"]: Decimal(s["cost_usd"]) for s in asker.ask("sessions", **query)["sessions"]}
    least, most = sorted(costs.values())[1], sorted(costs.values())[-2]
    found = asker.ask("sessions", **query, cost_min=f"{least:f}", cost_max=f"{most:f}")["sessions"]
    within = {name for name, cost in costs.items() if least <= cost <= most}
    assert {s["session_id"] for s in found} == within != costs.keys()
    assert asker.ask("sessions", 400, cost_min="2", cost_max="1")["parameter"] == "cost_max"
    assert asker.ask("sessions", 400, cost_min="1e3")["parameter"] == "cost_min"
    for name in ("cost_min", "cost_max"):
        assert person(user).ask("sessions", 400, **{name: "1"})["parameter"] == name
