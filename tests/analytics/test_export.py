"""The export as a spreadsheet and as a program read it: columns, exact values, nothing that is not for the viewer."""

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.http import StreamingHttpResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Organization, Project, Role, User
from accounts.places import Places
from analytics.export import download as downloads
from analytics.export import export
from analytics.export.export import defused
from analytics.export.streaming import StalledReaderError
from groq_client.call import RateLimit, UsagePart
from ledger.event_columns import COLUMNS, COST_COLUMNS, DOLLARS, FLAGS, JSON, TEXTS, TIMES
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.cast import make_user, signed_in
from tests.ledger.calls import call, failed, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 11, 3, 5, 6, 7, 891234, tzinfo=UTC)
RANGE = "?range=custom&from=2026-10-01&to=2026-11-30"
AS_OF_THE_FIRST_RELEASE = [
    "timestamp", "day", "hour", "organization", "project", "user", "provider", "model", "model_requested", "operation",
    "feature", "expert_id", "template_id", "session_id", "request_id", "provider_request_id", "status", "error_code",
    "error_message", "http_status", "attempts", "stream", "input_tokens", "output_tokens", "total_tokens",
    "cached_tokens", "reasoning_tokens", "tokens_estimated", "audio_seconds", "characters", "latency_ms", "ttft_ms",
    "queue_ms", "prompt_ms", "completion_ms", "service_tier", "cost_usd", "price_version", "usage_breakdown",
    "remaining_requests", "remaining_tokens", "metadata",
]  # fmt: skip


@pytest.fixture
def exporter(admin: User) -> User:
    admin.user_permissions.add(Permission.objects.get(codename="export_usageevent"))
    return admin


def download(person: User, kind: str, query: str = RANGE) -> bytes:
    response = signed_in(person).get(f"/export.{kind}{query}")
    assert response.status_code == 200, response.content
    assert isinstance(response, StreamingHttpResponse)
    return b"".join(response)  # type: ignore[arg-type]


def sheet(person: User, query: str = RANGE) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(download(person, "csv", query).decode("utf-8-sig"), newline="")))


def objects(person: User, query: str = RANGE) -> list[dict[str, Any]]:
    lines = download(person, "jsonl", query).decode().split("\n")
    assert lines.pop() == ""
    return [json.loads(line, parse_float=Decimal) for line in lines]


@pytest.fixture
def event(acme: Organization, user: User) -> UsageEvent:
    """A call with everything that can be known of one, in letters beyond ASCII."""
    User.objects.filter(pk=user.pk).update(first_name="Änne", last_name="Über")
    make_price("priced/a", input_usd_per_1k_tokens=Decimal("0.000123457"))
    made = call(
        "priced/a", organization="acme", user="ann", project="rag", session_id="–日本", feature="tools", at=AT,
        metadata={"n": [1, None], "quote": '"\\\n,\x01'}, provider_request_id="req_1", request_id="ours-1", stream=True,
        rate_limit=RateLimit(1_000, 999, 6_000, 5_432), ttft_ms=40, usage=usage(1, 0, queue_ms=0.5),
    )  # fmt: skip
    record([made])
    Project.objects.update(name="Café")
    return UsageEvent.objects.get()


def test_columns_keep_their_names_and_places(event: UsageEvent, exporter: User) -> None:
    header = list(sheet(exporter)[0])
    assert header[: len(AS_OF_THE_FIRST_RELEASE)] == AS_OF_THE_FIRST_RELEASE
    assert header == list(COLUMNS) == list(objects(exporter)[0])
    assert set(COLUMNS) >= TIMES | FLAGS | JSON | DOLLARS | TEXTS


def test_every_field_of_the_log_has_a_column() -> None:
    elsewhere = {"id": "request_id", "price": "price_version", "tool_price": "tool_price_version", "tool_uses": "tools"}
    fields = {field.name for field in UsageEvent._meta.concrete_fields}
    assert {elsewhere.get(name, name) for name in fields} <= set(COLUMNS)


def test_a_spreadsheet_reads_letters_beyond_ascii(event: UsageEvent, exporter: User) -> None:
    assert download(exporter, "csv").startswith(b"\xef\xbb\xbftimestamp,")
    (row,) = sheet(exporter)
    assert (row["user_name"], row["project_name"], row["session_id"]) == ("Änne Über", "Café", "–日本")
    assert (row["timestamp"], row["day"], row["hour"]) == ("2026-11-03T05:06:07.891234Z", "2026-11-02", "21")
    assert (row["cost_usd"], row["stream"], row["limit_tokens"]) == ("0.000000123", "true", "6000")
    assert json.loads(row["metadata"]) == {"n": [1, None], "quote": '"\\\n,\x01'}


def test_a_program_reads_kinds_and_nulls(event: UsageEvent, exporter: User) -> None:
    assert b"\xef\xbb\xbf" not in download(exporter, "jsonl")
    (line,) = objects(exporter)
    assert line["metadata"] == {"n": [1, None], "quote": '"\\\n,\x01'}
    assert line["cost_usd"] == Decimal("0.000000123")
    assert '"cost_usd":0.000000123,' in download(exporter, "jsonl").decode()
    assert (line["stream"], line["input_tokens"], line["queue_ms"]) == (True, 1, Decimal("0.5"))
    assert (line["expert_id"], line["prompt_ms"], line["usage_breakdown"], line["error_code"]) == (None,) * 4
    assert (line["timestamp"], line["day"], line["hour"]) == ("2026-11-03T05:06:07.891234Z", "2026-11-02", 21)
    received = datetime.fromisoformat(line["received_at"])
    assert abs(received - event.received_at) < timedelta(milliseconds=1)


def test_both_files_have_the_same_events(event: UsageEvent, exporter: User) -> None:
    record([failed(organization="acme", at=AT, request_id=f"more-{n}") for n in range(20)])
    # All these events have one time, so their order in a file is open.
    both = [sorted(row["request_id"] for row in file) for file in (sheet(exporter), objects(exporter))]
    assert both[0] == both[1]
    assert len(both[0]) == 21
    assert len(objects(exporter, f"{RANGE}&status=error")) == 20
    assert download(exporter, "jsonl", f"{RANGE}&model=nothing") == b""


EVIL = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠x", "'=1", "''-1")


@pytest.mark.parametrize("evil", EVIL)
def test_formulas_are_defused_for_spreadsheets_and_left_alone_for_programs(
    acme: Organization, exporter: User, evil: str
) -> None:
    texts = {"expert_id": evil, "template_id": evil, "session_id": evil, "feature": evil}
    record([call(evil, organization="acme", at=AT, provider_request_id=evil, service_tier=evil, **texts)])
    (row,), (line,) = sheet(exporter), objects(exporter)
    for name in ("model", "model_requested", "provider_request_id", "service_tier", *texts):
        assert row[name] == "'" + line[name], name
        assert line[name] in (evil, evil.strip()), name


def test_a_formula_in_any_text_column_is_defused(
    event: UsageEvent, exporter: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TEXTS:
        monkeypatch.setitem(export.COLUMNS, name, "'=1'::text")
    (row,) = sheet(exporter)
    assert {row[name] for name in TEXTS} == {"'=1"}


def test_json_is_an_object_or_a_list_whatever_callers_say_and_so_no_formula(acme: Organization, exporter: User) -> None:
    parts = (UsagePart("=priced/a", usage(1, 0)),)
    spent = usage(1, 0, parts=parts)
    record([call("groq/compound", organization="acme", at=AT, usage=spent, metadata={"=1": "=2"})])
    (row,) = sheet(exporter)
    assert [row[name][0] for name in sorted(JSON)] == ["{", "{", "["]


def is_formula(text: str) -> bool:
    return text.lstrip("'")[:1] in set("=+-@＝＋－＠\t\r\n")


HOSTILE = st.text(st.sampled_from("=+-@＝＋－＠\t\r\n'\"/09:;<>?@AZaz[~\x7f \x01é文"), max_size=4)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HOSTILE, min_size=50, max_size=100))
def test_exactly_what_begins_like_a_formula_is_defused(db: None, texts: list[str]) -> None:
    with connection.cursor() as cursor:
        sql = f"SELECT {defused('text')} FROM unnest(%s::text[]) WITH ORDINALITY AS row (text, place) ORDER BY place"
        cursor.execute(sql, [texts])
        found = [text for (text,) in cursor]
    assert found == [f"'{text}" if is_formula(text) else text for text in texts]


def test_whoever_sees_no_cost_exports_none(event: UsageEvent, user: User) -> None:
    user.user_permissions.add(Permission.objects.get(codename="export_usageevent"))
    parts = (UsagePart("priced/a", usage(1, 0)),)
    record([call("groq/compound", organization="acme", user="ann", at=AT, usage=usage(1, 0, parts=parts))])
    for rows in (sheet(user), objects(user)):
        assert len(rows) == 2
        assert set(rows[0]) == set(COLUMNS) - COST_COLUMNS
    assert "cost" not in download(user, "jsonl").decode()
    assert "price_" not in download(user, "csv").decode()


def test_only_those_who_may_export_get_either_file(event: UsageEvent, user: User) -> None:
    for kind in ("csv", "jsonl"):
        assert signed_in(user).get(f"/export.{kind}").status_code == 403


def test_requests_without_a_price_are_exported_alone_as_they_are_listed(
    event: UsageEvent, exporter: User, user: User
) -> None:
    record([call("unpriced/b", organization="acme", user="ann", at=AT, request_id="dear")])
    page = signed_in(exporter).get(f"/requests/{RANGE}&unpriced=1").content.decode()
    (link,) = re.findall(r'id="export" href="([^"]*)"', page)
    query = link.partition("?")[2].replace("&amp;", "&")
    for rows in (sheet(exporter, f"?{query}"), objects(exporter, f"?{query}")):
        assert [row["request_id"] for row in rows] == ["dear"]
    response = signed_in(exporter).get(f"/export.csv?{query}")
    response.close()
    assert response["Content-Disposition"] == 'attachment; filename="usage_2026-10-01_2026-11-30_unpriced.csv"'
    user.user_permissions.add(Permission.objects.get(codename="export_usageevent"))
    assert len(sheet(user, f"?{query}")) == 2  # to somebody who sees no cost this would tell some


def test_the_file_name_says_range_session_and_kind(event: UsageEvent, exporter: User) -> None:
    response = signed_in(exporter).get(f"/export.jsonl{RANGE}&session=Chat 7&status=success")
    response.close()
    named = 'attachment; filename="usage_2026-10-01_2026-11-30_status-success_session-chat-7.jsonl"'
    assert response["Content-Disposition"] == named
    assert response["Content-Type"] == "application/jsonl; charset=utf-8"


# Not too many at once


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    one = Places(1, 1)
    monkeypatch.setattr(downloads, "PLACES", one)
    yield one
    wait_until_free(one)


def wait_until_free(some: Places) -> None:
    deadline = time.monotonic() + 20
    while some.number_taken and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not some.number_taken


@pytest.mark.usefixtures("one_at_a_time")
def test_slow_readers_leave_connections_for_the_pages(event: UsageEvent, exporter: User) -> None:
    record([call(organization="acme", at=AT, session_id="s" * 200) for _ in range(400)])
    client = signed_in(exporter)
    slow = client.get(f"/export.csv{RANGE}")
    chunks = iter(slow)  # type: ignore[call-overload]
    next(chunks)
    refused = client.get(f"/export.jsonl{RANGE}")
    assert (refused.status_code, refused["Retry-After"]) == (503, "30")
    assert "Too many exports" in refused.content.decode()
    assert client.get("/requests/").status_code == 200
    assert b"".join(chunks)
    assert download(exporter, "jsonl")


def test_a_reader_who_goes_away_makes_room(event: UsageEvent, exporter: User, one_at_a_time: Places) -> None:
    record([call(organization="acme", at=AT, session_id="s" * 200) for _ in range(400)])
    gone = signed_in(exporter).get(f"/export.csv{RANGE}")
    gone.close()
    wait_until_free(one_at_a_time)
    assert len(sheet(exporter)) == 401


def open_transactions() -> int:
    """Of other connections of this database, such as those of exports."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND xact_start IS NOT NULL AND query LIKE '%%COPY%%'"
        )
        return int(cursor.fetchone()[0])


def test_a_reader_who_never_reads_is_given_up(
    event: UsageEvent, exporter: User, one_at_a_time: Places, settings: Any
) -> None:
    settings.EXPORT_STALL_SECONDS = 0.2
    record([call(organization="acme", at=AT, session_id="s" * 200) for _ in range(400)])
    stalled = signed_in(exporter).get(f"/export.csv{RANGE}")
    chunks = iter(stalled)  # type: ignore[call-overload]
    next(chunks)
    wait_until_free(one_at_a_time)
    assert open_transactions() == 0
    with pytest.raises(StalledReaderError):  # the file ends in the middle, and the server cuts the connection
        list(chunks)
    settings.EXPORT_STALL_SECONDS = 60
    assert len(sheet(exporter)) == 401


def test_one_person_leaves_places_to_the_others(
    event: UsageEvent, exporter: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "PLACES", Places(2, 1))
    other = make_user("other", Role.USER, acme)
    other.user_permissions.set(exporter.user_permissions.all())
    record([call(organization="acme", at=AT, session_id="s" * 200) for _ in range(400)])
    slow = signed_in(exporter).get(f"/export.csv{RANGE}")
    assert signed_in(exporter).get(f"/export.csv{RANGE}").status_code == 503
    quick = signed_in(other).get(f"/export.csv{RANGE}")
    assert quick.status_code == 200
    quick.close()  # its transaction would hold up the end of the test until the reader is given up, a minute later
    assert b"".join(slow)  # type: ignore[arg-type]


def test_an_export_that_fails_makes_room(
    event: UsageEvent, exporter: User, one_at_a_time: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(export.COLUMNS, "hour", "1 / (event.hour - event.hour)")
        assert signed_in(exporter).get(f"/export.csv{RANGE}").status_code == 503
    assert len(sheet(exporter)) == 1
