"""The list of requests as the reader wants it: its order, its columns, its length, and a request as JSON."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.pages.requests.columns import OFFERED, TIME
from analytics.reports import MEASURES, LargestCursor, Log, LogCursor, Measure, largest, visible
from analytics.reports import largest_first as reader
from analytics.reports.selection import Dimension, Selection
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.cast import signed_in
from tests.ledger.calls import call, failed, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC).replace(microsecond=0)
WHOLE = Selection(NOW.date() - timedelta(days=20), NOW.date() + timedelta(days=2))
CHOICES: tuple[dict[Dimension, tuple[str, ...]], ...] = ({}, {"feature": ("rag",)}, {"model": ("unpriced", "priced")})
ALL_COLUMNS = "".join(f"&columns={column.key}" for column in OFFERED)


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, outsider: User) -> None:
    """Ninety calls of two organizations, several at one moment and of equal cost, some without a price."""
    make_price("priced", at=NOW - timedelta(days=40))
    people = (("acme", "ann"), ("acme", "ben"), ("globex", "eve"))
    record(
        call(
            "unpriced" if n % 7 == 3 else "priced", at=NOW - timedelta(hours=n // 4 * 9), organization=people[n % 3][0],
            user=people[n % 3][1], feature=("chat", "rag")[n % 2], usage=usage(100 * (n % 5), n % 4),
            latency_ms=100 + n % 6, expert_id=f"expert-{n % 2}",
        )
        for n in range(90)
    )  # fmt: skip


KEYS: dict[str, Callable[[UsageEvent], Any]] = {
    "cost": lambda event: Decimal(-1) if event.cost_usd is None else event.cost_usd,
    "tokens": lambda event: event.total_tokens,
    "latency": lambda event: event.latency_ms,
}


def sorted_by(measure: Measure, viewer: Viewer, selection: Selection) -> list[int]:
    """The oracle: all ids that the viewer may see, largest first, of equals the newest first."""
    events = UsageEvent.objects.filter(visible(viewer), day__range=(selection.first_day, selection.last_day))
    for dimension, values in selection.chosen.items():
        events = events.filter(**{f"{dimension}__in": values})
    key = KEYS[measure.key]
    return [one.pk for one in sorted(events, key=lambda one: (key(one), one.timestamp, one.pk), reverse=True)]


def read(log: Log, measure: Measure) -> Iterator[int]:
    page = largest(log, measure, None)
    yield from (event.pk for event in page.events)
    while page.next:
        page = largest(log, measure, LargestCursor.parse(str(page.next)))
        yield from (event.pk for event in page.events)


def get(client: Client, query: str = "") -> str:
    response = client.get(f"/requests/{query}")
    assert response.status_code == 200, response.content
    return response.content.decode()


def rows(html: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'<tr[^>]* id="request-\d+-(\d+)"', html)]


def heads(html: str) -> list[str]:
    (head,) = re.findall(r'<table[^>]* class="log[^>]*>\s*<thead[^>]*>(.*?)</thead>', html, re.DOTALL)
    return [re.sub("<[^>]*>", "", one) for one in re.findall(r"<th [^>]*>(.*?)</th>", head)]


# Order


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.key)
def test_the_largest_come_first_each_once(
    ledger: None, super_admin: User, admin: User, user: User, measure: Measure
) -> None:
    for person in (super_admin, admin, user):
        viewer = Viewer.of(person)
        for chosen in CHOICES:
            selection = Selection(WHOLE.first_day, WHOLE.last_day, chosen)
            expected = sorted_by(measure, viewer, selection)
            assert list(read(Log(viewer, selection, size=7), measure)) == expected
            assert len(expected) > 7


def test_only_the_newest_are_sorted_where_there_are_many(
    ledger: None, super_admin: User, admin: User, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "AT_MOST", 21)
    for person in (super_admin, admin, user):
        viewer = Viewer.of(person)
        page = largest(Log(viewer, WHOLE), MEASURES[1], None)
        assert page.since
        assert len(page.events) == 21
        assert {event.timestamp for event in page.events} >= {
            e.timestamp for e in Log(viewer, WHOLE).first().events[:20]
        }
        sizes = [event.total_tokens for event in page.events]
        assert sizes == sorted(sizes, reverse=True)
    html = get(signed_in(admin), "?sort=cost")
    assert "Only the newest" in html
    assert "counted before filters" in html
    assert "Only the newest" not in get(signed_in(admin), "?sort=oldest")


def test_pages_in_each_order(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    for sort in ("oldest", "cost", "tokens", "latency"):
        first = get(client, f"?rows=25&sort={sort}")
        link = re.search(r'href="(\?[^"]*after=[^"]*)">(?:Next|Newer)</a>', first)
        assert link, sort
        second = get(client, link[1].replace("&amp;", "&"))
        assert len({*rows(first), *rows(second)}) == 50
        assert f"sort={sort}" in link[1]
        assert ">First page<" in second or ">Oldest<" in second
    assert rows(get(client, "?sort=oldest&rows=200")) == rows(get(client, "?rows=200"))[::-1]
    assert rows(get(client, "?sort=nonsense&after=x")) == rows(get(client))


@pytest.mark.parametrize("text", ["", "5", "_", "x_2026-11-22T00:00:00Z_1", "5_2026-11-22_1", "9" * 19 + "_x"])
def test_what_is_no_place_begins_at_the_first_page(text: str) -> None:
    assert LargestCursor.parse(text) is None


def test_places_are_read_as_they_are_written() -> None:
    for number in (-1, 0, 10**17):
        cursor = LargestCursor(number, LogCursor(NOW, 7))
        assert LargestCursor.parse(str(cursor)) == cursor


# Columns and length


def test_columns_are_chosen_and_remembered(ledger: None, admin: User, user: User) -> None:
    client = signed_in(admin)
    assert heads(get(client)) == [
        "Time", "Model, feature", "Status", "Project, user", "Input", "Output", "Latency", "TTFT", "Cost"
    ]  # fmt: skip
    chosen = get(client, "?columns=time&columns=cost&columns=expert&columns=model&columns=feature&rows=25")
    assert heads(chosen) == ["Time", "Model", "Feature", "Expert", "Cost"]
    assert 'class="who expert-cell"' in chosen
    assert "expert-1" in chosen
    assert len(rows(chosen)) == 25
    again = get(client, "?range=7d")
    assert heads(again) == heads(chosen)
    assert "columns=expert" in again, "the links name what is shown"
    assert len(rows(again)) == 25
    assert heads(get(client, "?columns=time")) == ["Time"]
    assert "columns" not in re.findall(r'id="export" href="([^"]*)"', again)[0]
    assert heads(get(signed_in(admin))) != heads(chosen), "another browser"
    own = heads(get(signed_in(user), f"?{ALL_COLUMNS}"))
    assert {"Organization", "User", "Cost"}.isdisjoint(own)


def test_each_column_shows_its_field(acme: Organization, super_admin: User) -> None:
    record(
        [
            call(
                organization="acme", user="ann", project="rag", expert_id="lawyer", template_id="t1", session_id="s-1",
                feature="tools", at=NOW, provider_request_id="req_01abc", request_id="ours-1", attempts=2,
                model_requested="alias/a", latency_ms=1_000, ttft_ms=400, service_tier="on_demand",
                usage=usage(1000, 500, cached_tokens=401, reasoning_tokens=77, queue_ms=51.0, prompt_ms=152.0,
                            completion_ms=603.0, audio_seconds=Decimal("7.5"), characters=88),
            )
        ]
    )  # fmt: skip
    client = signed_in(super_admin)
    html = get(client, f"?{ALL_COLUMNS}")
    assert len(heads(html)) == len(OFFERED) + 1
    (row,) = re.findall(r"<tr[^>]* id=.*?</tr>", html, re.DOTALL)
    found = re.findall(r'<td[^>]* class="(?:who |number |status )([\w-]+)-cell[^>]*>(.*?)</td>', row, re.DOTALL)
    cells = {key: re.sub("<[^>]*>", "", content).strip() for key, content in found}
    expected = {
        "project": "rag", "user": "ann", "expert": "lawyer", "template": "t1", "session": "s-1", "feature": "tools",
        "provider": "groq", "operation": "chat", "asked": "alias/a", "tier": "on_demand", "http": "200",
        "attempts": "2", "input": "1,000", "cached": "401", "output": "500", "reasoning": "77", "tokens": "1,500",
        "audio": "7.5 s", "characters": "88", "latency": "1.00 s", "ttft": "400 ms", "queue": "51 ms",
        "prompt": "152 ms", "generation": "603 ms", "id": "ours-1", "provider-id": "req_01abc", "status": "success",
    }  # fmt: skip
    assert expected.items() <= cells.items()


def test_what_cannot_be_followed_is_explained(ledger: None, admin: User) -> None:
    client = signed_in(admin)
    html = get(client, "?columns=expert&columns=%3Cb%3Ex&rows=37")
    assert "There is no column “&lt;b&gt;x”. Choose columns from the menu Columns." in html
    assert "A page has 25, 50, 100, 200 requests. This shows 50." in html
    assert heads(html) == ["Time", "Expert"]
    assert len(rows(html)) == 50
    assert "There is no column" not in get(client), "a mistake is not remembered"
    long = get(client, f"?columns={'y' * 3000}")
    assert f"“{'y' * 40}”" in long
    assert len(heads(long)) == 9
    client.cookies["view-requests"] = "columns=cost&columns=nonsense&rows=9%00&%%%"
    assert heads(get(client)) == ["Time", "Cost"]


def test_whoever_sees_no_cost_neither_gets_nor_sorts_by_it(ledger: None, user: User) -> None:
    client = signed_in(user)
    usual = rows(get(client))
    html = get(client, "?sort=cost&columns=cost&columns=expert")
    assert rows(html) == usual
    assert heads(html) == ["Time", "Expert"]
    assert "ost" not in re.sub("<[^>]*>", " ", html).replace("Most", "")
    assert "There is no column" not in html


# As JSON


def test_a_request_as_json_is_its_line_of_the_export(ledger: None, admin: User, user: User, colleague: User) -> None:
    record([failed(organization="acme", user="ann", at=NOW, error_message="<b>“quoted”", metadata={"a": [1]})])
    event = UsageEvent.objects.get(status="error")
    address = f"/requests/{event.organization_id}-{event.pk}.json"
    response = signed_in(admin).get(address)
    assert response["Content-Type"] == "application/json"
    stream: Any = signed_in(admin).get("/export.jsonl?range=all")
    assert response.content in b"".join(stream.streaming_content).split(b"\n")
    own = signed_in(user).get(address)
    assert not [name for name in json.loads(own.content) if "cost" in name or "price" in name]
    assert signed_in(colleague).get(address).status_code == 404
    page = signed_in(user).get(address.replace(".json", "/")).content.decode()
    assert f'href="{address}"' in page
    assert f'data-copy-from="{address}"' in page


def test_the_first_column_is_no_choice() -> None:
    assert TIME not in {column.key for column in OFFERED}
