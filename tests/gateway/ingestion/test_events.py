"""POST /api/v1/events."""

import gzip
import json
import zlib
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from pytest_django import DjangoAssertNumQueries

from accounts.models import ApiKey, Organization, Project, User
from gateway.ingestion import doors
from gateway.ingestion.bodies import ZstdDecompressor
from gateway.ingestion.items import MAX_EVENTS
from groq_client.call import Call
from ledger.models import UsageEvent
from ledger.recording import record as recording
from tests.gateway.ingestion.conftest import NewSender
from tests.gateway.ingestion.sending import EVENTS, Sender, event
from tests.ledger.calls import call
from tests.pricing.prices import make_price

if ZstdDecompressor.__module__.startswith("backports"):
    from backports import zstd
else:
    from compression import zstd  # type: ignore[no-redef]

pytestmark = pytest.mark.django_db(transaction=True)


def ids() -> list[str]:
    return sorted(UsageEvent.objects.values_list("request_id", flat=True))


def test_one_event_is_in_the_ledger_when_the_answer_comes(sender: Sender, acme: Organization) -> None:
    make_price("openai/gpt-oss-120b", input_usd_per_1k_tokens=Decimal("0.001"), output_usd_per_1k_tokens=Decimal(0))
    answer = sender.send(event(request_id="a", user="zoe", project="rag", feature="search", cost_usd=0.5))
    assert answer.status == 200
    results = [{"index": 0, "status": "recorded", "request_id": "a"}]
    assert answer.json == {"recorded": 1, "duplicates": 0, "conflicts": 0, "errors": 0, "results": results}
    recorded = UsageEvent.objects.get()
    assert (recorded.organization, recorded.feature) == (acme, "search")
    assert (recorded.user, recorded.project) == (User.objects.get(handle="zoe"), Project.objects.get(slug="rag"))
    assert (recorded.cost_usd, recorded.reported_cost_usd) == (Decimal("0.0001"), Decimal("0.5"))


def test_a_replayed_batch_changes_nothing(sender: Sender) -> None:
    events = [event(request_id=f"r{n}", input_tokens=n) for n in range(5)]
    first, again = sender.send(*events), sender.send(*events)
    assert (first.json["recorded"], again.json["recorded"], again.json["duplicates"]) == (5, 0, 5)
    assert again.status == 200
    assert {result["status"] for result in again.json["results"]} == {"duplicate"}
    assert UsageEvent.objects.count() == 5


def test_an_event_without_an_id_is_known_by_its_content(sender: Sender) -> None:
    first = sender.send(event(user="a"), event(user="b"), event(user="a"))
    assert [result["status"] for result in first.json["results"]] == ["recorded", "recorded", "duplicate"]
    again = sender.post(EVENTS, json.dumps(dict(reversed(event(user="a").items())), indent=1).encode())
    assert again.json["results"][0]["status"] == "duplicate"


def test_each_item_has_its_own_result(sender: Sender) -> None:
    events = [
        event(request_id="a"),
        event(request_id="a", output_tokens=21),
        event(request_id="b", timestamp=None),
        event(request_id="c", input_tokens="1,000"),
        {**event(request_id="d"), "model": None},
        event(request_id="e", user={"name": "zoe"}),
        "no object",
        event(request_id="f\0"),
        event(request_id="g"),
    ]
    answer = sender.send(*events)
    assert answer.status == 207
    assert [(result["status"], result.get("field")) for result in answer.json["results"]] == [
        ("recorded", None),
        ("conflict", "request_id"),
        ("error", "timestamp"),
        ("error", "input_tokens"),
        ("error", "model"),
        ("error", "user"),
        ("error", None),
        ("error", None),
        ("recorded", None),
    ]
    told = [result["message"] for result in answer.json["results"] if "message" in result]
    assert told[0] == "The request id a is recorded already, with other figures: output_tokens."
    assert (
        told[2] == "input_tokens is '1,000': write numbers without separators of thousands, and decimals with a point."
    )
    assert ids() == ["a", "g"]


def test_if_no_event_is_recorded_the_status_says_so(sender: Sender) -> None:
    assert sender.send(event(model="")).status == 422


def test_an_impossible_event_costs_no_other(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only the database or the writer notices is found by halves."""
    write = recording.event_row

    def row(one: Call, *more: Any) -> Any:
        if one.request_id == "bad":
            raise recording_error("It is too odd.")
        return write(one, *more)

    from ledger.recording.event_row import InvalidCallError as recording_error  # noqa: N813

    monkeypatch.setattr(recording, "event_row", row)
    answer = sender.send(*[event(request_id=name) for name in ("a", "b", "bad", "c", "d")])
    assert [result["status"] for result in answer.json["results"]] == ["recorded"] * 2 + ["error"] + ["recorded"] * 2
    assert answer.json["results"][2]["message"] == "It cannot be recorded: It is too odd."


ARRAY = json.dumps([event(request_id="a"), event(request_id="b")]).encode()
LINES = b"\n".join(json.dumps(event(request_id=name)).encode() for name in "ab")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (ARRAY, "application/json"),
        (b"\xef\xbb\xbf \n" + ARRAY, "application/json; charset=utf-8"),
        (ARRAY, "application/x-www-form-urlencoded"),  # as curl says if nobody tells it
        (LINES, "application/x-ndjson"),
        (b"\r\n" + LINES.replace(b"\n", b"\r\n\r\n") + b"\r\n", "application/jsonl"),
        (LINES, "application/json"),
        (LINES, "text/plain"),
    ],
)
def test_several_events_come_as_an_array_or_as_lines(sender: Sender, body: bytes, content_type: str) -> None:
    assert sender.post(EVENTS, body, content_type).json["recorded"] == 2
    assert ids() == ["a", "b"]


def test_an_object_may_have_several_lines(sender: Sender) -> None:
    assert sender.post(EVENTS, json.dumps(event(), indent=2).encode()).json["recorded"] == 1


def test_a_bad_line_costs_no_other(sender: Sender) -> None:
    body = b"\n".join([json.dumps(event()).encode(), b'{"half', b"\xff", b"[1]"])
    answer = sender.post(EVENTS, body, "application/x-ndjson")
    assert (answer.status, answer.json["recorded"], answer.json["errors"]) == (207, 1, 3)


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        ("gzip", gzip.compress(ARRAY)),
        ("gzip", gzip.compress(ARRAY[:50]) + gzip.compress(ARRAY[50:])),
        ("GZIP", gzip.compress(ARRAY)),
        ("zstd", zstd.compress(ARRAY)),
        ("deflate", zlib.compress(ARRAY)),
        ("identity", ARRAY),
    ],
)
def test_a_body_may_be_compressed(sender: Sender, encoding: str, compressed: bytes) -> None:
    assert sender.post(EVENTS, compressed, Content_Encoding=encoding).json["recorded"] == 2


@pytest.mark.parametrize(
    ("body", "encoding", "status", "words"),
    [
        (b"", "", 400, "The body is empty"),
        (b"{", "", 400, "This is not JSON"),
        (b"[" * 100_000, "", 400, "nested too deeply"),
        (b'[{"a": NaN}]', "", 400, "NaN is not a number"),
        (b"[\xff]", "", 400, "not UTF-8"),
        (gzip.compress(ARRAY)[:-9], "gzip", 400, "not complete and valid gzip"),
        (ARRAY, "gzip", 400, "not complete and valid gzip"),
        (ARRAY, "zstd", 400, "not complete and valid zstd"),
        (zstd.compress(ARRAY)[:-3], "zstd", 400, "not complete and valid zstd"),
        (ARRAY, "br", 415, "gzip, zstd or deflate"),
        (json.dumps([event()] * (MAX_EVENTS + 1)).encode(), "", 413, "at most 1,000"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_as_a_whole(
    sender: Sender, body: bytes, encoding: str, status: int, words: str
) -> None:
    answer = sender.post(EVENTS, body, Content_Encoding=encoding)
    assert answer.status == status
    assert words in answer.json["detail"]
    assert not UsageEvent.objects.exists()


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_compressed_bomb_is_refused_before_it_is_large(sender: Sender, compress: Any) -> None:
    import tracemalloc

    bomb = compress(b" " * (512 << 20))
    encoding = "gzip" if compress is gzip.compress else "zstd"
    tracemalloc.start()
    try:
        answer = sender.post(EVENTS, bomb, Content_Encoding=encoding)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 413
    assert peak < (3 * settings.INGEST_MAX_MB << 20) + 3 * len(bomb)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer gul_wrong", "Basic {}", "Bearer {}x", "Bearer \xff"])
def test_without_a_key_nothing_is_recorded(sender: Sender, authorization: str) -> None:
    answer = Sender("").send(event(), Authorization=authorization.format(sender.secret))
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "gul_wrong" not in answer.body.decode()
    assert not UsageEvent.objects.exists()


def test_a_key_of_another_scope_may_not_send_events(acme: Organization, new_sender: NewSender) -> None:
    answer = new_sender(acme, may_ingest=False, may_read=True).send(event())
    assert answer.status == 403
    assert "scope 'ingest'" in answer.json["detail"]


def test_a_key_books_on_its_own_organization_only(sender: Sender, globex: Organization) -> None:
    answer = sender.send(event(organization="globex"), event(organization="acme"))
    assert [result["status"] for result in answer.json["results"]] == ["error", "recorded"]
    assert answer.json["results"][0]["field"] == "organization"
    assert UsageEvent.objects.get().organization.slug == "acme"


def test_a_bound_key_books_on_nobody_else(acme: Organization, user: User, new_sender: NewSender) -> None:
    sender = new_sender(acme, user=user, project=Project.objects.create(organization=acme, slug="rag", name="RAG"))
    answer = sender.send(
        event(), event(user=" ANN", project="RAG", input_tokens=1), event(user="ben"), event(project="other")
    )
    assert [result.get("field", "") for result in answer.json["results"]] == ["", "", "user", "project"]
    assert {(one.user.handle, one.project.slug) for one in UsageEvent.objects.all()} == {("ann", "rag")}  # type: ignore[union-attr]


def test_any_provider_is_taken_and_priced_where_there_is_a_price(sender: Sender) -> None:
    make_price(
        "gpt-5", provider="openai", input_usd_per_1k_tokens=Decimal("0.001"), output_usd_per_1k_tokens=Decimal(0)
    )
    sender.send(
        event(provider="openai", model="gpt-5", request_id="a"),
        event(provider="anthropic", model="claude", request_id="b"),
    )
    costs = dict(UsageEvent.objects.values_list("provider", "cost_usd"))
    assert costs == {"openai": Decimal("0.0001"), "anthropic": None}


def test_what_the_import_has_refused_of_old_days_is_refused_here(sender: Sender, acme: Organization) -> None:
    Organization.objects.filter(pk=acme.pk).update(retained_from="2026-11-03")
    answer = sender.send(event())
    assert (answer.status, answer.json["results"][0]["field"]) == (422, "timestamp")


def test_a_thousand_events_take_three_statements(
    sender: Sender, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """None is on Django's connection."""
    with django_assert_num_queries(0):
        answer = sender.send(*[event(request_id=str(n)) for n in range(MAX_EVENTS)])
    assert answer.json["recorded"] == MAX_EVENTS


def test_while_all_places_are_taken_the_sender_is_told_to_wait(sender: Sender) -> None:
    key = ApiKey.objects.get().pk
    with doors.PLACES.taken(key), doors.PLACES.taken(key):
        answer = sender.send(event())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert sender.send(event()).status == 200


def test_other_methods_do_not_come_in_by_this_key(sender: Sender) -> None:
    """They belong to the API, which wants a key that may read."""
    from django.test import Client

    for method in ("GET", "PUT", "DELETE"):
        answer = Client().generic(method, EVENTS, headers={"Authorization": f"Bearer {sender.secret}"})
        assert answer.status_code == 403


def test_an_event_of_our_own_client_and_the_same_through_this_door_are_one(sender: Sender) -> None:
    own = call(organization="acme", request_id="a")
    recording.record([own])
    assert sender.send(event(request_id="a")).json["duplicates"] == 1
