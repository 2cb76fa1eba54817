"""The event log, page by page, and one request in detail."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.display.local_time import LocalTime
from analytics.pages.requests import detail
from analytics.pages.requests.waterfall import waterfall
from analytics.reports import Log, LogCursor, LogPage, visible
from analytics.reports import event_log as log_reader
from analytics.reports.direction import NEWER, OLDER, Direction
from analytics.reports.log_days import Passage, counts_that_fill
from analytics.reports.selection import Dimension, Selection
from groq_client.call import RateLimit, UsagePart
from groq_client.names import identity
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.cast import signed_in
from tests.ledger.calls import call, failed, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC).replace(microsecond=0)
START = NOW - timedelta(days=24)
PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}


def seen_by(viewer: Viewer, selection: Selection, *, unpriced: bool = False) -> list[int]:
    """The oracle: all ids that the log has, newest first."""
    events = UsageEvent.objects.filter(visible(viewer), day__range=(selection.first_day, selection.last_day))
    for dimension, values in selection.chosen.items():
        events = events.filter(**{f"{dimension}__in": values})
    if unpriced:
        events = events.filter(cost_usd=None)
    return list(events.order_by("-timestamp", "-id").values_list("pk", flat=True))


def pages(log: Log) -> Iterator[LogPage]:
    page = log.first()
    yield page
    while cursor := (page.older if log.onward.is_older else page.newer):
        page = log.before(cursor) if log.onward.is_older else log.after(cursor)
        yield page


def ids(page: LogPage) -> list[int]:
    return [event.pk for event in page.events]


@pytest.fixture
def many(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User) -> None:
    """230 calls of three weeks in two zones half a day apart: often several at one moment, some days without any, a
    model that is rare and one without a price."""
    make_price("often", at=START - timedelta(days=9))
    make_price("rare", at=START - timedelta(days=9))
    made = []
    for n in range(230):
        model = "rare" if n % 50 == 7 else "unpriced" if n % 11 == 3 else "often"
        at = START + timedelta(hours=n // 3 * 6 if n < 150 else 300 + n)
        organization, name = (("acme", "ann"), ("acme", "ben"), ("globex", "eve"))[n % 3]
        made.append(
            call(
                model,
                at=at,
                organization=organization,
                user=name,
                feature="rag" if n % 4 else "chat",
                session_id=f"s-{n % 9}" if n % 2 else "",
            )
        )
    record(made)


CHOICES: tuple[dict[Dimension, tuple[str, ...]], ...] = (
    {},
    {"model": ("rare",)},
    {"model": ("rare", "unpriced"), "feature": ("rag",)},
    {"session_id": ("s-1", "s-4")},
    {"session_id": ("", "s-1"), "feature": ("rag",)},
)
WHOLE = Selection(START.date() - timedelta(days=2), NOW.date() + timedelta(days=2))
PART = Selection(START.date() + timedelta(days=3), START.date() + timedelta(days=9))


@pytest.fixture(params=["few", "many"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to read the days that the rollups name, whatever their number."""
    number = 10**9 if request.param == "few" else -1
    monkeypatch.setattr(log_reader, "FEW_DAYS", number)
    monkeypatch.setattr(log_reader, "FEW_PAGES", number)


@pytest.mark.usefixtures("either_way", "many")
def test_pages_hold_everything_once_in_order_in_both_directions(super_admin: User, admin: User, user: User) -> None:
    for person in (super_admin, admin, user):
        viewer = Viewer.of(person)
        for selection in (WHOLE, PART):
            for chosen in CHOICES:
                asked = Selection(selection.first_day, selection.last_day, chosen)
                for unpriced in (False, True):
                    expected = seen_by(viewer, asked, unpriced=unpriced)
                    log = Log(viewer, asked, unpriced, size=7)
                    found = list(pages(log))
                    assert [pk for page in found for pk in ids(page)] == expected
                    for newer, older in pairwise(found):
                        assert older.newer
                        assert ids(log.after(older.newer)) == ids(newer)
                    upwards = Log(viewer, asked, unpriced, size=50, onward=NEWER)
                    found = list(pages(upwards))
                    assert [pk for page in found for pk in ids(page)] == expected[::-1]
                    for older, newer in pairwise(found):
                        assert newer.older
                        assert ids(upwards.before(newer.older)) == ids(older)


@pytest.mark.usefixtures("many")
def test_rare_requests_are_found_without_a_pass_over_the_others(super_admin: User) -> None:
    selection = Selection(WHOLE.first_day, WHOLE.last_day, {"model": ("nothing",)})
    assert Log(Viewer.of(super_admin), selection).first() == LogPage([])


def test_days_of_a_session_are_those_of_the_person_asked_for(acme: Organization, admin: User, user: User) -> None:
    """Everybody may call a session "1": their rows are not looked for in each other's days."""
    record(
        call(organization="acme", user=name, session_id="1", at=NOW - timedelta(days=days))
        for name, days in (("ann", 1), ("ben", 9), ("ben", 8))
    )
    chosen: dict[Dimension, tuple[str | int, ...]] = {"session_id": ("1",), "user_id": (user.pk,)}
    passage = Passage(Viewer.of(admin), replace(WHOLE, chosen=chosen), None, OLDER)
    counts = counts_that_fill(51, "requests", passage)
    assert counts == {(acme.pk, UsageEvent.objects.get(user=user).day): 1}


@pytest.mark.parametrize("direction", [OLDER, NEWER])
@pytest.mark.parametrize("days", [1, 7, 8, 66, 67, 68, 400])
def test_days_are_looked_at_once_from_where_one_starts(days: int, direction: Direction) -> None:
    first = WHOLE.first_day
    wanted = [first + timedelta(days=n) for n in range(days)]
    found = [*direction.stretches(wanted[0], wanted[-1])]
    seen = [begin + timedelta(days=n) for begin, end in found for n in range((end - begin).days + 1)]
    assert sorted(seen) == wanted
    assert found == sorted(found, reverse=direction.is_older)
    assert len(found) == 1 + (days > 7) + (days > 67)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.datetimes(datetime(1970, 1, 2), datetime(8999, 1, 1), timezones=st.just(UTC)), st.integers(0, 2**63 - 1))
def test_places_are_read_as_they_are_written(moment: datetime, number: int) -> None:
    assert LogCursor.parse(str(LogCursor(moment, number))) == LogCursor(moment, number)


@pytest.mark.parametrize(
    "text", ["", "_", "2026-11-22", "2026-11-22T00:00:00_1", "2026-11-22T00:00:00Z_x", "2026-11-22T00:00:00Z_-1",
             "0001-01-01T00:00:00+14:00_1", "9999-12-31T23:00:00-12:00_1", "2026-11-22T00:00:00Z_" + "9" * 30]
)  # fmt: skip
def test_an_address_that_is_no_place_shows_the_newest(many: None, admin: User, text: str) -> None:
    assert LogCursor.parse(text) is None
    client = signed_in(admin)
    assert rows(get(client, f"?before={text}")) == rows(get(client))


# The page


def get(client: Client, query: str = "", **headers: str) -> str:
    response = client.get(f"/requests/{query}", headers=headers)
    assert response.status_code == 200, response.content
    return response.content.decode()


def rows(html: str) -> list[str]:
    return re.findall(r'<tr[^>]* id="request-\d+-(\d+)"', html)


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def without_tokens(html: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", html)


def link(html: str, name: str) -> str:
    found = re.search(rf'href="([^"]*)"[^>]*>{name}</a>', html)
    assert found, f"no link {name}"
    return found[1].replace("&amp;", "&")


@pytest.fixture
def one(acme: Organization, user: User) -> UsageEvent:
    """A call with everything that can be known of one."""
    make_price("priced/a", cached_input_usd_per_1k_tokens=Decimal("0.25"), author=user)
    made = call(
        "priced/a", organization="acme", user="ann", project="rag", expert_id="lawyer", template_id="t1",
        session_id="s 1", feature="tools", metadata={"team": "<b>", "n": [1, None]}, at=NOW - timedelta(days=2),
        provider_request_id="req_01abc", request_id="ours-1", http_status=200, attempts=2, stream=True,
        model_requested="alias/a", latency_ms=1_000, ttft_ms=400, service_tier="on_demand",
        rate_limit=RateLimit(1_000, 999, 6_000, 5_432),
        usage=usage(
            1000, 500, cached_tokens=400, reasoning_tokens=77, queue_ms=50.0, prompt_ms=150.0, completion_ms=600.0
        ),
    )  # fmt: skip
    record([made])
    return UsageEvent.objects.get(request_id="ours-1")


def test_a_row_says_what_matters(one: UsageEvent, admin: User) -> None:
    html = get(signed_in(admin))
    said = text(re.split("<tbody[^>]*>", html)[1].split("</tbody>")[0])
    local = (NOW - timedelta(days=2)).astimezone(ZoneInfo(one.organization.time_zone))
    assert f"{local:%H:%M:%S} {local.tzname()} {local.day} {local:%b %Y}" in said
    for part in ("priced/a", "success", "rag", "ann", "tools", "1,000", "500", "1.00 s", "400 ms", "$1.70"):
        assert part in said
    assert f'title="{(NOW - timedelta(days=2)):%Y-%m-%dT%H:%M:%S}.000000Z"' in html
    assert "input 1,000 ($0.70), output 500 ($1.00), cached 400 ($0.30 saved), total $1.70" in html


def test_pages_of_fifty_with_a_way_back(many: None, admin: User) -> None:
    client = signed_in(admin)
    first = get(client)
    assert len(rows(first)) == 50
    second = get(client, link(first, "Older"))
    third = get(client, link(second, "Older"))
    assert len({*rows(first), *rows(second), *rows(third)}) == 150
    assert rows(get(client, link(third, "Newer"))) == rows(second)
    assert rows(get(client, link(third, "Newest"))) == rows(first)
    assert ">Newer<" not in first


def test_filters_and_their_absence(many: None, admin: User) -> None:
    client = signed_in(admin)
    assert len(rows(get(client, "?model=rare"))) == 4
    assert "No usage recorded for this range." in get(client, "?model=nothing")
    deep = get(client, link(get(client, "?model=often&feature=rag"), "Older"))
    chips = re.findall(r'<a class="chip" href="([^"]*)"', deep)
    assert len(chips) == 2
    assert not [chip for chip in chips if "before=" in chip]  # another filter begins at the newest


def test_a_fixed_number_of_queries(
    many: None, super_admin: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = signed_in(super_admin)
    refresh = PARTIAL | {"HX-Target": "div#results", "HX-Source": "div#results"}
    # Session and person, groups and permissions, zones and version, then: rollups, events, organizations, projects,
    # users, prices, what the banner of unpriced messages asks, and where detail ends, for the log and for the notice.
    with django_assert_max_num_queries(18):
        get(client, "", **refresh)


def test_only_unpriced(many: None, admin: User, user: User) -> None:
    found = get(signed_in(admin), "?unpriced=1")
    assert len(rows(found)) == len(seen_by(Viewer.of(admin), WHOLE, unpriced=True))
    assert "Only unpriced" in found
    own = get(signed_in(user), "?unpriced=1")  # who sees no cost is not told by what is left out
    assert rows(own) == rows(get(signed_in(user)))
    assert "unpriced=1" not in own


def test_search_by_either_id_whatever_the_range(one: UsageEvent, admin: User) -> None:
    client = signed_in(admin)
    elsewhere = "range=custom&from=2020-01-01&to=2020-01-02&model=other"
    for wanted in ("ours-1", "req_01abc", "%20ours-1%20"):
        html = get(client, f"?{elsewhere}&q={wanted}")
        assert rows(html) == [str(one.pk)]
        assert "dates and filters do not apply" in html
    missing = get(client, f"?{elsewhere}&q=ours")
    assert "No request has the id “ours”" in missing
    assert "q=" not in link(missing, "Back to the list")


def test_ids_that_are_longer_than_their_columns_are_found_whole(acme: Organization, admin: User) -> None:
    """By the search and by filters, here and among the sessions; another one with the same beginning is not."""
    known, same_beginning, unknown = (f"{'x' * 205}{end}" for end in "abc")
    names = ("request_id", "session_id", "model", "expert_id", "template_id", "feature")
    record([call(organization="acme", **dict.fromkeys(names, one)) for one in (known, same_beginning)])
    client = signed_in(admin)
    assert rows(get(client, f"?q={unknown}")) == []
    found = rows(get(client, f"?q={known}"))
    assert found == [str(UsageEvent.objects.get(session_id=identity(known)).pk)]
    for name in ("session", "model", "expert", "template", "feature"):
        assert rows(get(client, f"?range=all&{name}={known}")) == found
        assert rows(get(client, f"?range=all&{name}={unknown}")) == []
    sessions = client.get(f"/sessions/?range=all&session={known}").content.decode()
    assert identity(known) in sessions
    assert identity(same_beginning) not in sessions


def test_search_finds_nothing_of_others(one: UsageEvent, outsider: User, colleague: User) -> None:
    for person in (outsider, colleague):
        found, never_was = (get(signed_in(person), f"?q={wanted}") for wanted in ("ours-1", "never-1"))
        assert rows(found) == []
        assert without_tokens(found).replace("ours-1", "never-1") == without_tokens(never_was)


def test_whoever_sees_no_cost_gets_none(one: UsageEvent, user: User, acme: Organization) -> None:
    client = signed_in(user)
    address = f"/requests/{one.organization_id}-{one.pk}/"
    for html in (
        get(client),
        client.get(address).content.decode(),
        client.get(address, headers=PARTIAL).content.decode(),
    ):
        assert "$" not in html
        assert "ost</th>" not in html
        assert "price" not in html.lower().replace("priced/a", "").replace("priced%2fa", "")
    Organization.objects.filter(pk=acme.pk).update(show_user_cost=True)
    assert "$1.70" in get(client)
    assert "$1.70" in client.get(address).content.decode()


# One request


def opened(person: User, event: UsageEvent, **headers: str) -> str:
    response = signed_in(person).get(f"/requests/{event.organization_id}-{event.pk}/", headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def test_everything_recorded_is_shown(one: UsageEvent, admin: User) -> None:
    html = opened(admin, one)
    said = text(html)
    for part in ("ours-1", "req_01abc", "Attempts 2", "HTTP status 200", "of which reasoning 77", "of which cached 400",
                 "999 of 1,000", "5,432 of 6,000", "on_demand", "lawyer", "t1", "s 1", "alias/a", "Streamed yes",
                 "&#34;team&#34;: &#34;&lt;b&gt;&#34;", "Counted by Groq", "Acme", "rag", "ann",
                 "tools"):  # fmt: skip
        assert part in said, part
    assert "<b>&#34;" not in html
    assert "/requests/?range=all&amp;expert=lawyer" in html


def test_a_request_leads_to_its_whole_session_and_to_nobody_elses(
    acme: Organization, globex: Organization, super_admin: User, admin: User, user: User
) -> None:
    record(
        call(organization=organization, user=name, session_id="s", at=NOW - timedelta(days=days))
        for organization, name in (("acme", "ann"), ("acme", "ben"), ("acme", ""), ("globex", "ann"))
        for days in (0, 9)
    )
    nobodys = UsageEvent.objects.filter(organization=acme, user=None)[0]
    anns = UsageEvent.objects.filter(user=user)
    opening = [(event, person) for event in anns for person in (super_admin, admin, user)]
    for event, person in (*opening, (nobodys, admin)):
        address = link(opened(person, event), "s")
        assert address.startswith("/sessions/")
        assert signed_in(person).get(address).content.decode().count("data-drawer") == 2, person


def test_every_field_is_shown() -> None:
    """A new field of the ledger has to find its place in the detail."""
    shown = {
        "organization", "request_id", "timestamp", "received_at", "provider", "model", "model_requested", "operation",
        "feature", "project", "user", "expert_id", "template_id", "session_id", "provider_request_id", "status",
        "error_code", "error_message", "http_status", "attempts", "stream", "input_tokens", "output_tokens",
        "total_tokens", "cached_tokens", "reasoning_tokens", "audio_seconds", "characters", "tokens_estimated",
        "latency_ms", "ttft_ms", "queue_ms", "prompt_ms", "completion_ms", "cost_usd", "price", "usage_breakdown",
        "service_tier", "limit_requests", "remaining_requests", "limit_tokens", "remaining_tokens", "metadata",
        "tool_uses", "tool_price", "tool_cost_usd", "without_tool_fees", "reported_cost_usd", "response_id",
    }  # fmt: skip
    of_the_clock = {"id", "day", "hour"}  # the local time says them
    assert {field.name for field in UsageEvent._meta.concrete_fields} == shown | of_the_clock


def test_the_arithmetic_of_a_cost_line_by_line(one: UsageEvent, admin: User) -> None:
    said = text(opened(admin, one).split('class="arithmetic"')[1].split("</section>")[0])
    assert "Input tokens 600 $1.00 per 1,000 $0.60" in said
    assert "Cached input tokens 400 $0.25 per 1,000 $0.10 $0.30 saved" in said
    assert "Output tokens 500 $2.00 per 1,000 $1.00" in said
    assert one.price
    start = LocalTime.of(one.price.effective_from, one.organization.time_zone)
    assert f"version {one.price_id}, since {start}" in said, "as on Pricing"
    assert "Cost $1.70" in said


@pytest.mark.parametrize(
    ("reported", "sentence"),
    [
        ("0.00005", "The sender of this request computed $0.00005, $0.00003 more."),
        ("0.00001", "The sender of this request computed $0.00001, $0.00001 less."),
        ("0.00002", "The sender of this request computed $0.00002, the same."),
    ],
)
def test_the_cost_that_the_sender_computed_stands_beside_ours(
    acme: Organization, admin: User, user: User, reported: str, sentence: str
) -> None:
    make_price("told", input_usd_per_1k_tokens=Decimal("0.0002"), output_usd_per_1k_tokens=Decimal(0))
    record([call("told", organization="acme", user="ann", reported_cost_usd=Decimal(reported))])
    event = UsageEvent.objects.get()
    assert (event.cost_usd, event.reported_cost_usd) == (Decimal("0.00002"), Decimal(reported))
    assert sentence in text(opened(admin, event))
    assert "computed" not in text(opened(user, event))  # who sees no cost


def test_the_price_version_leads_to_its_history(one: UsageEvent, admin: User) -> None:
    html = opened(admin, one)
    history = link(html, "History of this price")
    assert signed_in(admin).get(history).status_code == 200


def test_a_cost_that_was_rounded_shows_how(acme: Organization, admin: User) -> None:
    make_price("heard", input_usd_per_1k_tokens=None, output_usd_per_1k_tokens=None, audio_usd_per_hour=Decimal("0.04"))
    record(
        [call("heard", organization="acme", operation="transcription", usage=usage(0, 0, audio_seconds=Decimal("4.2")))]
    )
    said = text(opened(admin, UsageEvent.objects.get()))
    assert "Audio 10 s at least $0.04 per hour $0.000111111111111…" in said
    assert "Rounded to whole nano-dollars $0.000111111" in said


def test_the_parts_of_a_compound_call(acme: Organization, admin: User, user: User) -> None:
    make_price("priced/a")
    make_price("priced/b", input_usd_per_1k_tokens=Decimal("0.5"))
    parts = (UsagePart("priced/a", usage(1000, 0)), UsagePart("priced/b", usage(1000, 0)))
    record([call("groq/compound", organization="acme", user="ann", usage=usage(2000, 0, parts=parts))])
    event = UsageEvent.objects.get()
    said = text(opened(admin, event))
    assert "priced/a: version" in said
    assert "Input tokens 1,000 $0.50 per 1,000 $0.50" in said
    assert "Cost $1.50" in said
    own = opened(user, event)
    assert "priced/b" in own
    assert "$" not in own


def test_unpriced_and_failed_requests_say_so(acme: Organization, admin: User) -> None:
    record([call("unknown", organization="acme"), failed(organization="acme", error_message="Rate limit reached")])
    unpriced, refused = UsageEvent.objects.order_by("status")[::-1]
    assert "It was not free." in text(opened(admin, unpriced))
    said = text(opened(admin, refused))
    assert "rate_limit_exceeded" in said
    assert "Rate limit reached" in said
    assert "HTTP status 429" in said


def test_the_drawer_is_the_page_without_its_frame(one: UsageEvent, admin: User) -> None:
    whole, part = opened(admin, one), opened(admin, one, **PARTIAL)
    assert "<html" in whole
    assert "<html" not in part
    assert "Open as a page" in part
    assert "ours-1" in part


def test_somebody_elses_request_is_missing_like_one_that_never_was(
    one: UsageEvent, outsider: User, colleague: User, globex: Organization
) -> None:
    there = f"/requests/{one.organization_id}-{one.pk}/"
    never = f"/requests/{one.organization_id}-{one.pk + 1}/"
    moved = f"/requests/{globex.pk}-{one.pk}/"
    huge = f"/requests/{10**30}-{10**30}/"
    for person in (outsider, colleague):
        client = signed_in(person)
        answers = [client.get(address) for address in (there, never, moved, huge)]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1


def test_a_visitor_signs_in_first(one: UsageEvent, client: Client) -> None:
    address = f"/requests/{one.organization_id}-{one.pk}/"
    assert client.get(address)["Location"] == f"/sign-in/?next={address}"


def test_a_database_that_fails_is_said(one: UsageEvent, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(detail, "context", fails)
    response = signed_in(admin).get(f"/requests/{one.organization_id}-{one.pk}/")
    assert response.status_code == 503
    assert b"We couldn't load analytics" in response.content


# Where the time went


def timed(**values: Any) -> UsageEvent:
    return UsageEvent(**({"latency_ms": 1000} | values))


def test_the_phases_follow_each_other_and_fill_the_whole() -> None:
    found = waterfall(timed(queue_ms=50.0, prompt_ms=150.0, completion_ms=600.0, ttft_ms=400))
    assert [(p.kind, p.ms, p.x, p.width) for p in found.phases] == [
        ("queue", 50, 0, 50), ("prompt", 150, 50, 150), ("generation", 600, 200, 600), ("rest", 200, 800, 200),
    ]  # fmt: skip
    assert found.first_token_x == 400
    assert found.note == ""


def test_times_that_groq_did_not_say_are_not_made_up() -> None:
    nothing = waterfall(timed())
    assert [(p.kind, p.ms, p.width) for p in nothing.phases] == [("whole", 1000, 1000)]
    assert "did not say how the time" in nothing.note
    some = waterfall(timed(completion_ms=600.0))
    assert [(p.kind, p.ms) for p in some.phases] == [
        ("queue", None),
        ("prompt", None),
        ("generation", 600),
        ("rest", 400),
    ]
    assert "queue, prompt" in some.note


def test_more_time_than_passed_is_told_and_still_fits() -> None:
    found = waterfall(timed(latency_ms=500, completion_ms=600.0, queue_ms=0.0, prompt_ms=0.0, ttft_ms=900))
    assert max(phase.x + phase.width for phase in found.phases) <= 1000
    assert found.first_token_x == 1000
    assert "100 ms more than passed here" in found.note


def test_a_call_that_took_no_time() -> None:
    assert [phase.width for phase in waterfall(timed(latency_ms=0)).phases] == [0]
