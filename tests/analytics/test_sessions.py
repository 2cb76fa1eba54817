"""Sessions: each is the sum of its events, and everybody sees their own share of them."""

import html
import re
import threading
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization, Project, Role, User
from accounts.viewer import Viewer
from analytics.filters.filters import read_filters
from analytics.reports import Report, Sessions
from analytics.reports.selection import Selection
from analytics.reports.session_order import SORTS, SessionCursor, sorts_of
from analytics.reports.sessions import PAGE
from groq_client.call import new_request_id
from ledger.models import CurrentSession, Session, UsageEvent
from ledger.recording.record import record
from pricing.models import Price
from tests.cast import signed_in
from tests.ledger.calls import call, failed, outcome, timed_out, usage
from tests.ledger.folding import fold_now

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2026, 10, 28, tzinfo=UTC)


@pytest.fixture
def price() -> Price:
    return Price.objects.create(
        model="priced/a", input_usd_per_1k_tokens=Decimal(1), output_usd_per_1k_tokens=Decimal(2),
        effective_from=START - timedelta(days=400),
    )  # fmt: skip


# The writer


def summed(events: Sequence[UsageEvent]) -> dict[str, Any]:
    """What a session must say of its events, by plain addition."""
    return {
        "requests": len(events),
        "errors": sum(event.status == "error" for event in events),
        "timeouts": sum(outcome(event) == "timeout" for event in events),
        "unpriced": sum(event.cost_usd is None or event.without_tool_fees for event in events),
        "without_tool_fees": sum(event.without_tool_fees for event in events),
        "input_tokens": sum(event.input_tokens for event in events),
        "output_tokens": sum(event.output_tokens for event in events),
        "cached_tokens": sum(event.cached_tokens for event in events),
        "total_tokens": sum(event.total_tokens for event in events),
        "cost_usd": sum((event.cost_usd or Decimal(0) for event in events), Decimal(0)),
        "first_at": min(event.timestamp for event in events),
        "last_at": max(event.timestamp + timedelta(milliseconds=event.latency_ms) for event in events),
        "first_day": min(event.day for event in events),
        "last_day": max(event.day for event in events),
        "model_names": sorted({event.model for event in events}),
        "providers": sorted({event.provider for event in events}),
        "project_ids": sorted({event.project_id or 0 for event in events}),
        "expert_ids": sorted({event.expert_id for event in events}),
        "template_ids": sorted({event.template_id for event in events}),
        "features": sorted({event.feature for event in events}),
    }


def by_session(organization: Organization) -> dict[tuple[int, str], dict[str, Any]]:
    events = defaultdict(list)
    for event in UsageEvent.objects.filter(organization=organization).exclude(session_id=""):
        events[event.user_id or 0, event.session_id].append(event)
    return {key: summed(own) for key, own in events.items()}


def current(organization: Organization) -> dict[tuple[int, str], dict[str, Any]]:
    names = summed_names()
    rows = CurrentSession.objects.filter(organization=organization)
    return {(row.user_id, row.session_id): {name: getattr(row, name) for name in names} for row in rows}


def summed_names() -> list[str]:
    left_out = {"pk", "organization", "user_id", "session_id", "last_utc_day"}
    names = [field.name for field in Session._meta.get_fields()]
    return [name for name in names if name not in left_out and not name.endswith("_class")]


drawn_calls = st.builds(
    dict,
    model=st.sampled_from(["priced/a", "priced/a", "unpriced/b", ""]),
    at=st.integers(0, 60 * 24 * 10).map(lambda minute: START + timedelta(minutes=minute)),
    latency_ms=st.integers(0, 2**31 - 1),
    user=st.sampled_from(["", "ann", "ben"]),
    project=st.sampled_from(["", "p1", "p2"]),
    expert_id=st.sampled_from(["", "e1"]),
    template_id=st.sampled_from(["", "t1", "t2"]),
    feature=st.sampled_from(["chat", "tools"]),
    provider=st.sampled_from(["groq", "groq", "other"]),
    session_id=st.sampled_from(["", "s1", "s2", "S1", "it's 100%"]),
    usage=st.integers(0, 10**9 // 2).map(lambda tokens: usage(tokens, tokens // 3, cached_tokens=tokens // 7)),
    status=st.sampled_from(["success", "error"]),
    error_code=st.sampled_from(["", "timeout", "http_500"]),
    request_id=st.integers(0, 15).map(lambda n: f"request-{n}"),
)


@given(st.lists(st.lists(drawn_calls, max_size=8), max_size=5))
@settings(
    max_examples=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_sessions_equal_events_whatever_was_recorded(price: Price, batches: list[list[dict[str, Any]]]) -> None:
    """Duplicates, late events, several people with one session id, one by one and in batches; each example in an
    organization of its own."""
    slug = f"org-{uuid.uuid4()}"
    organization = Organization.objects.create(slug=slug, name=slug, time_zone="America/Los_Angeles")
    for batch in batches:
        record([call(organization=slug, **drawn) for drawn in batch])
        assert current(organization) == by_session(organization), "the last batch is in the tail"
        fold_now()
    assert current(organization) == by_session(organization)


def test_the_oracle_compares_every_sum(acme: Organization, price: Price) -> None:
    record([call(organization="acme", session_id="s")])
    assert set(summed_names()) == set(summed(list(UsageEvent.objects.all())))


def test_two_writers_of_the_same_sessions_neither_deadlock_nor_lose(acme: Organization, price: Price) -> None:
    """Single calls and batches in every order, the same sessions and sums: each writer meets rows of the others."""
    shared = [call("priced/a", organization="acme", session_id=f"s{n % 4}") for n in range(20)]
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            for n in range(6):
                own = [call("priced/a", organization="acme", session_id=f"s{m % 4}") for m in range(seed, seed + 9)]
                for one in own[:4]:
                    record([one])
                record(own[4:] + shared[(n + seed) % 20 :] + shared[: (n + seed) % 20])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(CurrentSession.objects.values_list("requests", flat=True)) == 6 * 6 * 9 + 20
    assert current(acme) == by_session(acme)


def test_a_session_is_recorded_with_its_event_or_not_at_all(acme: Organization, price: Price) -> None:
    again = call("priced/a", organization="acme", session_id="s", request_id=new_request_id())
    record([again])
    record([again])
    record([again, call("priced/a", organization="acme", session_id="s")])
    assert CurrentSession.objects.get().requests == 2


@pytest.mark.parametrize(
    ("measure", "class_name"),
    [("requests", "requests_class"), ("total_tokens", "tokens_class"), ("cost_usd", "cost_class")],
)
def test_what_is_larger_is_in_no_smaller_class(acme: Organization, price: Price, measure: str, class_name: str) -> None:
    """The lists go by class first, so that this is what keeps them in order."""
    for n in range(1, 8):
        record(call("priced/a", organization="acme", session_id=f"s{n}", usage=usage(10**n, 0)) for _ in range(3 * n))
    in_tail = list(CurrentSession.objects.order_by(measure).values_list(class_name, flat=True))
    assert in_tail == sorted(in_tail)
    assert in_tail[0] < in_tail[-1]
    fold_now()
    assert list(Session.objects.order_by(measure).values_list(class_name, flat=True)) == in_tail


# The reader

EVERYTHING = Viewer(Role.SUPER_ADMIN, None, None, sees_cost=True, may_export=True, may_edit_pricing=True)
RANGE = Selection(date(2026, 10, 20), date(2026, 11, 20))
COST, RECENT = SORTS[1], SORTS[0]


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, price: Price) -> None:
    """Seventy sessions of two organizations and three people, of every size; many equal others in some way."""
    record(
        call(
            ("priced/a", "unpriced/b")[n % 7 == 0], organization=("acme", "globex")[n % 3 == 0],
            user=("ann", "ben", "")[n % 3 if n % 2 else 0], session_id=f"s{n:02}", project=("rag", "")[n % 5 == 0],
            at=START + timedelta(hours=5 * (n // 2), minutes=message), usage=usage(1000 * (n % 12) ** 2, 5),
        )
        for n in range(70)
        for message in range(1 + n % 23)
    )  # fmt: skip


def everything(sessions: Sessions) -> list[tuple[int, int, str]]:
    """Keys from the first page to the last."""
    keys, place = [], None
    while True:
        page = sessions.page(place)
        keys += [(one.organization_id, one.user_id, one.session_id) for one in page.conversations]
        assert len(page.conversations) <= PAGE
        if page.next is None:
            return keys
        place = SessionCursor.parse(str(page.next))
        assert place == page.next


@pytest.mark.parametrize("days", [7, 40])
@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.key)
def test_pages_in_each_order_hold_every_session_once(ledger: None, sort: Any, days: int) -> None:
    """Of few days, which are read whole, and of many, where the largest classes come first."""
    first = date(2026, 10, 30)
    selection = Selection(first, first + timedelta(days=days - 1))
    active = CurrentSession.objects.filter(last_day__gte=selection.first_day, first_day__lte=selection.last_day)
    expected = sorted(((getattr(row, sort.column), *row.pk) for row in active), reverse=True)
    assert len(expected) > PAGE
    assert everything(Sessions(EVERYTHING, selection, sort)) == [tuple(key) for _, *key in expected]


def test_a_session_is_listed_on_every_day_that_it_lasts_and_always_whole(acme: Organization, price: Price) -> None:
    for day in (1, 5, 9):
        record([call("priced/a", organization="acme", session_id="s", at=datetime(2026, 11, day, 12, tzinfo=UTC))])
    for first, last, found in ((1, 1, 1), (6, 7, 1), (9, 20, 1), (10, 12, 0)):
        selection = Selection(date(2026, 11, first), date(2026, 11, last))
        assert [one.requests for one in Sessions(EVERYTHING, selection).page().conversations] == [3] * found


def names(sessions: Sessions) -> set[str]:
    return {session_id for _, _, session_id in everything(sessions)}


def test_every_filter(acme: Organization, globex: Organization, user: User, price: Price) -> None:
    common: dict[str, Any] = {"organization": "acme", "at": START + timedelta(days=3)}
    record(
        [
            call("priced/a", **common, user="ann", session_id="a", project="rag", expert_id="lawyer"),
            call("unpriced/b", **common, user="ann", session_id="a"),
            failed(**common, session_id="b", model_requested="priced/a", project="rag"),
            call("priced/a", **common, session_id="b", feature="tools"),
            call("priced/a", **common | {"organization": "globex"}, session_id="c", template_id="t"),
            call("priced/a", **common | {"at": START - timedelta(days=30)}, session_id="c", project="late"),
            call("priced/a", **common, provider="other", session_id="d"),
            timed_out(**common, session_id="e", model_requested="priced/a"),
        ]
    )
    rag = Project.objects.get(slug="rag").pk
    for chosen, expected in (
        ({}, "abcde"),
        ({"provider": ("groq",)}, "abce"),
        ({"provider": ("groq", "other")}, "abcde"),
        ({"provider": ("nobody",)}, ""),
        ({"model": ("unpriced/b",)}, "a"),
        ({"model": ("unpriced/b", "priced/a")}, "abcde"),
        ({"status": ("error",)}, "be"),
        ({"status": ("timeout",)}, "e"),
        ({"status": ("success", "timeout")}, "abcde"),
        ({"status": ("success",)}, "abcd"),
        ({"status": ("success", "error")}, "abcde"),
        ({"session_id": ("c", "d")}, "cd"),
        ({"user_id": (user.pk,)}, "a"),
        ({"user_id": (0,)}, "bcde"),
        ({"organization_id": (globex.pk,)}, "c"),
        ({"project_id": (rag,)}, "ab"),
        ({"project_id": (0,), "user_id": (0,)}, "bcde"),
        ({"project_id": (rag,), "user_id": (0,)}, "b"),
        ({"expert_id": ("lawyer",)}, "a"),
        ({"expert_id": ("lawyer",), "model": ("unpriced/b",)}, "a"),  # each in some message
        ({"template_id": ("t",)}, "c"),
        ({"feature": ("tools",)}, "b"),
    ):
        assert names(Sessions(EVERYTHING, replace(RANGE, chosen=chosen))) == set(expected), chosen


def test_a_range_of_costs(acme: Organization, price: Price) -> None:
    for n, tokens in enumerate((0, 10, 100, 100_000)):  # at a dollar for a thousand
        record([call("priced/a", organization="acme", session_id=f"s{n}", usage=usage(tokens, 0))])
    sessions = Sessions(EVERYTHING, RANGE)
    assert names(replace(sessions, cost_min=Decimal("0.01"))) == {"s1", "s2", "s3"}
    assert names(replace(sessions, cost_min=Decimal("0.011"), cost_max=Decimal("0.1"))) == {"s2"}
    assert names(replace(sessions, cost_max=Decimal(0))) == {"s0"}


def test_a_hidden_cost_can_be_neither_asked_for_nor_sorted_by(acme: Organization, user: User) -> None:
    viewer = Viewer.of(user)
    assert COST not in sorts_of(viewer)
    for asked in ({"sort": COST}, {"cost_min": Decimal(1)}, {"cost_max": Decimal(1)}):
        with pytest.raises(ValueError, match="hidden cost"):
            Sessions(viewer, RANGE, **asked)  # type: ignore[arg-type]


def test_everybody_sees_their_share(ledger: None, acme: Organization, admin: User, user: User) -> None:
    def seen(viewer: Viewer) -> set[tuple[int, int]]:
        return {(organization, person) for organization, person, _ in everything(Sessions(viewer, RANGE))}

    assert {organization for organization, _ in seen(Viewer.of(admin))} == {acme.pk}
    assert len(seen(Viewer.of(admin))) == 3
    assert seen(Viewer.of(user)) == {(acme.pk, user.pk)}
    assert seen(Viewer.nobody()) == set()
    other = replace(RANGE, chosen={"user_id": (User.objects.get(handle="ben", organization=acme).pk,)})
    assert everything(Sessions(Viewer.of(user), other)) == []


# The page


def page(client: Client, query: str = "", path: str = "/sessions/") -> str:
    response = client.get(f"{path}{query}")
    assert response.status_code == 200, response.content
    return response.content.decode()


def listed(text: str) -> list[str]:
    return re.findall(r'class="session-id">([^<]*)<', text)


@pytest.fixture
def today(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User, price: Price) -> None:
    """Of Ann a dear session with an unpriced message and one across two days, of Ben one with an error, one of
    Globex, and a message in no session."""
    now = datetime.now(UTC)
    acme_call: dict[str, Any] = {"organization": "acme", "at": now - timedelta(days=2)}
    record(
        [
            call("priced/a", **acme_call, user="ann", session_id="dear", usage=usage(10_000, 300, cached_tokens=7)),
            call("unpriced/b", **acme_call, user="ann", session_id="dear"),
            call("priced/a", **acme_call | {"at": now - timedelta(days=3)}, user="ann", session_id="long"),
            call("priced/a", **acme_call | {"at": now - timedelta(days=4)}, user="ann", session_id="long"),
            call("priced/a", **acme_call, user="ben", session_id="dear"),
            failed(**acme_call, user="ben", session_id="dear", model_requested="priced/a"),
            call("unpriced/b", **acme_call | {"organization": "globex"}, user="eve", session_id="secret"),
            call("priced/a", **acme_call, user="ben"),
        ]
    )


def test_each_role_sees_its_sessions(today: None, super_admin: User, admin: User, user: User, outsider: User) -> None:
    seen = {person.username: sorted(listed(page(signed_in(person)))) for person in (super_admin, admin, user, outsider)}
    assert seen == {
        "root": ["dear", "dear", "long", "secret"], "boss": ["dear", "dear", "long"], "ann": ["dear", "long"],
        "eve": ["secret"],
    }  # fmt: skip


def test_a_hidden_cost_is_nowhere(today: None, user: User) -> None:
    client = signed_in(user)
    in_order = listed(page(client))
    for query in ("", "?sort=cost", "?cost_min=1", "?cost_min=x&cost_max=y&range=7d", "?sort=cost&after=1_1_1_x"):
        text = page(client, query).lower()
        assert not [word for word in ("cost", "$", "usd", "pricing", "1 unpriced", "≥") if word in text], query
        assert listed(page(client, query)) == in_order or "after" in query


def test_with_the_organizations_leave_a_user_sees_own_costs(today: None, acme: Organization, user: User) -> None:
    acme.show_user_cost = True
    acme.save()
    text = page(signed_in(user), "?sort=cost")
    assert listed(text) == ["dear", "long"]
    assert "≥ $10.60" in text
    assert "1 unpriced" in text
    assert "input 10,100, output 320, cached 7, total $10.60, 1 unpriced" in text
    assert listed(page(signed_in(user), "?cost_max=1")) == ["long"]


def test_a_session_opens_into_exactly_its_requests(today: None, super_admin: User, admin: User, user: User) -> None:
    for person in (super_admin, admin, user):
        text = page(signed_in(person), "?range=all")
        links = [html.unescape(link) for link in re.findall(r'href="(/requests/\?[^"]*session=[^"]*)"', text)]
        counts = re.findall(r'data-unit="requests?">([\d,]+)<', text)
        assert len(links) == len(counts) == len(listed(text)) > 1
        for link, count in zip(links, counts, strict=True):
            asked = read_filters(QueryDict(link.partition("?")[2]), Viewer.of(person))
            assert asked.is_valid
            assert Report(Viewer.of(person), asked.selection).events().count() == int(count), (person, link)


def test_a_bad_cost_is_explained_at_its_field(today: None, admin: User) -> None:
    client = signed_in(admin)
    for query, reason in (
        ("?cost_min=x", "Enter a plain number of dollars"),
        ("?cost_min=-1", "A cost is never negative"),
        ("?cost_max=1,5", "without commas"),
        ("?cost_max=NaN", "Enter a plain number"),
        ("?cost_min=0.0000000001", "at most 9 decimals"),
        ("?cost_min=99999999999999999999", "more money than there is"),
        ("?cost_min=2&cost_max=1", "less than where the range begins"),
    ):
        text = page(client, query)
        assert reason in text, query
        assert 'aria-invalid="true"' in text
        assert len(listed(text)) == 3


def test_nothing_in_an_address_is_an_error(today: None, admin: User) -> None:
    client = signed_in(admin)
    for query in (
        "?sort=x",
        "?sort=-cost",
        "?after=x",
        "?after=1_2",
        "?after=_1_2_3",
        "?after=-1_1_1_s",
        "?sort=recent",
    ):
        assert len(listed(page(client, query))) == 3, query
    for number in (0, 2**63 - 1, 2**62):
        for sort in SORTS:
            page(client, f"?sort={sort.key}&after={number}_1_1_s")
    page(client, f"?after={'9' * 400}_1_1_s&session={'s' * 4000}")


def test_without_sessions_the_page_says_so(today: None, acme: Organization, admin: User) -> None:
    text = page(signed_in(admin), "?range=custom&from=2020-01-01&to=2020-01-02")
    assert "No usage recorded for this range." in text
    assert "usage_context" not in text
    fold_now()
    Session.objects.all().delete()
    text = page(signed_in(admin))
    assert "No usage recorded for this range." in text
    assert "usage_context(session=" in text


def test_names_from_outside_are_only_text(acme: Organization, admin: User) -> None:
    evil = '"><script>alert(1)</script>&x=1'
    record([call(evil, organization="acme", user="ann", session_id=evil, at=datetime.now(UTC))])
    text = page(signed_in(admin))
    assert "<script>alert" not in text
    assert [html.unescape(name) for name in listed(text)] == [evil]
    link = html.unescape(re.findall(r'href="(/requests/\?[^"]*session=[^"]*)"', text)[0])
    assert QueryDict(link.partition("?")[2])["session"] == evil


def test_the_number_of_queries_does_not_depend_on_the_number_of_sessions(
    ledger: None, super_admin: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """The sessions; zones of organizations; people; names of organizations."""
    selection = replace(RANGE, chosen={"provider": ("groq",)})
    for last_day in (date(2026, 10, 28), date(2026, 11, 20)):
        with django_assert_num_queries(4):
            Sessions(EVERYTHING, replace(selection, last_day=last_day)).page()


def test_times_name_their_zone(acme: Organization, globex: Organization, super_admin: User) -> None:
    """One moment in two organizations: the clocks differ, and each says which it is."""
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    record(call(organization=one.slug, session_id="s", at=moment, latency_ms=0) for one in (acme, globex))
    html = page(signed_in(super_admin), "?range=all")
    assert "05:00:00 <small>PDT</small>" in html
    assert "17:30:00 <small>IST</small>" in html
