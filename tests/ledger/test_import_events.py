"""Import of files: exports come back unchanged, other tables and Groq's batches are read, no call is counted twice, and
impossible lines are refused one by one with their reasons."""

import gzip
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from psycopg import Connection, OperationalError

from accounts.models import Organization, Role
from accounts.viewer import Viewer
from analytics.export.export import export_csv, export_jsonl
from analytics.reports import Log, Report
from analytics.reports.selection import Selection
from groq_client.call import RateLimit, ToolUse, UsagePart
from groq_client.simulator.batches import _result
from ledger.event_columns import COLUMNS
from ledger.importing import checkpoint, run, writing
from ledger.importing.formats import json_items
from ledger.importing.lines import MAX_LINE, opened
from ledger.management.commands import import_events
from ledger.models import Tail, UsageEvent
from ledger.recording.event_row import InvalidCallError
from ledger.recording.record import record
from ledger.rollups import fold
from tests.cast import connect
from tests.ledger.calls import MODEL, call, failed, usage
from tests.ledger.exact import wrong_sums
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parent.parent.parent
AT = datetime(2026, 11, 3, 5, 6, 7, 891234, tzinfo=UTC)
EVERYTHING = Viewer(Role.SUPER_ADMIN, None, None, sees_cost=True, may_export=True, may_edit_pricing=True)
YEAR = Selection(date(2026, 1, 1), date(2026, 12, 31))
HEADER = "timestamp,model,input_tokens,output_tokens"
EVIL = ("=1+1", "'=1+1", "''+1", "'plain", "-1", "@x", "\t=1", "\n=1", "＝1", 'a "quote", and\r\na line', "–日本")


def imported(*files: Path | str, **options: Any) -> str:
    """Import files, and return the output of the command."""
    out = io.StringIO()
    call_command("import_events", *map(str, files), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def imported_with_refusals(path: Path, **options: Any) -> dict[int, str]:
    """Import a file with bad lines, and return the reasons by the numbers of the refused lines."""
    with pytest.raises(CommandError, match="refused") as error:
        imported(path, **options)
    assert error.value.returncode == 1
    lines = path.with_name(f"{path.name}.errors.jsonl").read_text().splitlines()
    return {entry["line"]: entry["reason"] for entry in map(json.loads, lines)}


def facts() -> list[dict[str, Any]]:
    """All values of all events, except the times at which the ledger received them."""
    rows = UsageEvent.objects.order_by("organization_id", "request_id").values()
    return [{name: value for name, value in row.items() if name not in ("id", "received_at")} for row in rows]


def empty_the_ledger() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE ledger_usageevent, ledger_tail, ledger_rollup, ledger_session")


@pytest.fixture
def csv_file(tmp_path: Path, default_organization: Organization) -> Callable[..., Path]:
    def write(*lines: str, header: str = HEADER, name: str = "events.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join((header, *lines)) + "\n", newline="")
        return path

    return write


@pytest.fixture
def jsonl_file(tmp_path: Path, default_organization: Organization) -> Callable[..., Path]:
    def write(*lines: dict[str, Any] | str | bytes, name: str = "events.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(_json_line(line) + b"\n" for line in lines))
        return path

    return write


def _json_line(line: dict[str, Any] | str | bytes) -> bytes:
    if isinstance(line, bytes):
        return line
    return (line if isinstance(line, str) else json.dumps(line)).encode()


def event(**more: Any) -> dict[str, Any]:
    values = {"timestamp": "2026-11-03T05:06:07Z", "model": MODEL, "input_tokens": 100, "output_tokens": 20}
    return {name: value for name, value in (values | more).items() if value is not ...}


# Our own exports


@pytest.fixture
def kinds_of_calls(acme: Organization, globex: Organization) -> None:
    """Calls of every kind that an export can contain, in two organizations, before and after a change of price."""
    make_price(MODEL, input_usd_per_1k_tokens=Decimal("0.000123457"))
    rates = {"browser_open": Decimal(1), "browser_search": Decimal(5)}
    make_price(MODEL, at=AT, input_usd_per_1k_tokens=Decimal("0.000999999"), tool_rates=rates)
    make_price("whisper", audio_usd_per_hour=Decimal("0.111"))
    parts = (UsagePart(MODEL, usage(70, 10, cached_tokens=7)), UsagePart("unpriced", usage(30, 10)))
    more: dict[str, Any] = {"organization": "acme", "user": "ann", "project": "rag"}
    calls = [
        call(
            at=AT - timedelta(days=1), session_id="s", request_id="ours-1", provider_request_id="req_1", stream=True,
            metadata={"n": [1, None, 0.1], "quote": '"\\\n,\x01'}, rate_limit=RateLimit(1_000, 0, 6_000, 5_432),
            ttft_ms=0, usage=usage(1000, 333, queue_ms=0.5, prompt_ms=12.125, cached_tokens=10, reasoning_tokens=3),
            **more,
        ),
        call("groq/compound", at=AT, usage=usage(100, 20, parts=parts[:1]), **more),
        call("groq/compound", at=AT, usage=usage(100, 20, parts=parts), **more),
        call("groq/compound", at=AT, usage=usage(100, 20, parts=parts[:1], tools=(ToolUse("web_search", 2),)), **more),
        call(at=AT, usage=usage(9, 9, tools=(ToolUse("browser_open", 3), ToolUse("browser_search", 1))), **more),
        call("whisper", at=AT, operation="transcription", usage=usage(0, 0, audio_seconds=Decimal("61.125")), **more),
        call("whisper", at=AT, operation="transcription", usage=usage(0, 0), **more),
        call("unpriced", at=AT, operation="speech", usage=usage(0, 0, characters=77), attempts=0, **more),
        call(at=AT, operation="batch", usage=usage(55, 5, estimated=True), service_tier="flex", organization="globex"),
        failed(at=AT, error_message="Rate limit, “try”\r\nagain", organization="globex"),
        *(call(evil, at=AT, session_id=evil, feature=evil, expert_id=evil, organization="globex") for evil in EVIL),
    ]  # fmt: skip
    record(calls)


@pytest.mark.parametrize(("suffix", "export"), [("csv", export_csv), ("jsonl", export_jsonl)])
@pytest.mark.usefixtures("kinds_of_calls")
def test_an_export_comes_back_as_it_was(suffix: str, export: Any, tmp_path: Path) -> None:
    path = tmp_path / f"usage.{suffix}"
    path.write_bytes(b"".join(export(Log(EVERYTHING, YEAR))))
    before, totals = facts(), Report(EVERYTHING, YEAR).totals()
    assert totals.cost_usd is not None
    assert totals.cost_usd > 0
    empty_the_ledger()
    said = imported(path)
    assert f"{len(before)} read, {len(before)} added, 0 already there, 0 refused\n" in said
    assert "mean nothing" not in said
    assert facts() == before
    assert Report(EVERYTHING, YEAR).totals() == totals
    assert f"0 added, {len(before)} already there" in imported(path)
    assert Report(EVERYTHING, YEAR).totals() == totals


def test_a_cost_in_a_file_is_not_believed(jsonl_file: Callable[..., Path]) -> None:
    make_price(MODEL)
    imported(jsonl_file(event(cost_usd=99)))
    assert UsageEvent.objects.get().cost_usd == Decimal("0.14")


def test_an_organization_that_does_not_exist_is_not_guessed(
    acme: Organization, jsonl_file: Callable[..., Path]
) -> None:
    refused = imported_with_refusals(jsonl_file(event(organization="acme"), event(organization="acne")))
    assert refused == {2: "There is no organization 'acne': make it first, with its time zone."}
    assert UsageEvent.objects.get().organization == acme


def test_what_is_left_of_a_day_in_sums_alone_is_not_counted_twice(
    acme: Organization, jsonl_file: Callable[..., Path]
) -> None:
    Organization.objects.filter(pk=acme.pk).update(retained_from=date(2026, 11, 3))
    late, early = (event(organization="acme", timestamp=f"2026-11-03T0{hour}:59:00Z") for hour in (8, 7))
    reason = "2026-11-02 is before 2026-11-03, since when acme keeps detail."
    assert imported_with_refusals(jsonl_file(late, early)) == {2: reason}  # in Los Angeles


# Tables of other programs


def test_a_minimal_table_is_enough(csv_file: Callable[..., Path], default_organization: Organization) -> None:
    price = make_price(MODEL)
    said = imported(csv_file(f"2026-11-03 05:06:07,{MODEL},100,20", f"2026-11-03T05:06:07+05:30,{MODEL},1,2.0"))
    assert "2 read, 2 added" in said
    first, second = UsageEvent.objects.order_by("-timestamp")
    assert (first.timestamp, second.timestamp) == (
        datetime(2026, 11, 3, 5, 6, 7, tzinfo=UTC),
        datetime(2026, 11, 2, 23, 36, 7, tzinfo=UTC),
    )
    assert (first.organization, first.price, first.cost_usd) == (default_organization, price, Decimal("0.14"))
    assert (first.operation, first.status, first.provider, first.total_tokens) == ("chat", "success", "groq", 120)


def test_names_are_given_where_lines_have_none(acme: Organization, jsonl_file: Callable[..., Path]) -> None:
    path = jsonl_file(event(), event(project="theirs", user="eve"))
    imported(path, organization="acme", project="ours", user="ann")
    names = UsageEvent.objects.values_list("organization__slug", "project__slug", "user__handle")
    assert set(names) == {("acme", "ours", "ann"), ("acme", "theirs", "eve")}
    with pytest.raises(CommandError, match="no organization 'acne'"):
        imported(path, organization="acne")


def test_unknown_columns_are_told(jsonl_file: Callable[..., Path]) -> None:
    assert "mean nothing here: colour, input_token" in imported(jsonl_file(event(input_token=1, colour="red")))


def test_a_table_without_a_header_is_refused_whole(csv_file: Callable[..., Path]) -> None:
    for header in (f"2026-11-03,{MODEL},1,2", HEADER.replace(",", "|"), f"{HEADER},model", '"', "timestamp,,model"):
        with pytest.raises(CommandError, match="first line must name every column"):
            imported(csv_file(header=header))


TABLES = {
    "semicolons": (";", "", "\n", "utf-8"),
    "sep=": ("|", "sep=|\n", "\n", "utf-8"),
    "a mark and capitals": (",", "\ufeff", "\r\n", "utf-8"),
    "unicode text": ("\t", "\ufeff", "\r\n", "utf-16-le"),
    "unicode text, the other way round": ("\t", "\ufeff", "\n", "utf-16-be"),
    "carriage returns": (";", '\ufeff"SEP=;";;\r', "\r", "utf-8"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_what_excel_writes_is_read_and_refused_by_the_line(
    kind: str, tmp_path: Path, default_organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has empty columns and rows that were used once, and a text with a line end. The import is resumed."""
    monkeypatch.setattr(run, "BATCH", 2)
    delimiter, beginning, end, encoding = TABLES[kind]
    rows = [
        ["Timestamp", "MODEL", "Input_Tokens", "output_tokens", "error_message", "", ""],
        ["2026-11-03", "ä", "1", "1", f"ö{delimiter}\nü", "", ""],
        [""] * 7,
        ["2026-11-03", "ä", "1.000", "1", "", "", ""],
        ["2026-11-03", "ä", "2", "1", "", "", "surplus"],
        ["2026-11-03", '"', "3", "1", "", " ", ""],
        [""] * 7,
    ]
    table = end.join(delimiter.join(quoted(value, delimiter) for value in row) for row in rows)
    path = tmp_path / "events.csv"
    path.write_bytes((beginning + table + end).encode(encoding))
    first = 1 + ("sep=" in beginning.lower())
    task = run.Task(path, path.with_name("events.csv.errors.jsonl"), run.Defaults(default_organization.slug), print)
    with pytest.raises(run.StoppedError) as stop:
        run.import_file(task, StopsAfter(1))
    assert stop.value.checkpoint.number == first + 4
    with pytest.raises(CommandError, match="2 lines were refused"):
        imported(path, resume=True)
    number, values = map(json.loads, _errors_of(path))
    assert (number["line"], number["reason"][:28]) == (first + 4, "input_tokens is '1.000': wri")
    assert values["reason"] == "The line has 7 values, and the header names 5 columns."
    assert (values["line"], values["content"]) == (first + 5, delimiter.join(rows[4]))
    made = UsageEvent.objects.values_list("model", "input_tokens", "error_message")
    assert sorted(made) == [('"', 3, ""), ("ä", 1, f"ö{delimiter}\nü")]


def quoted(value: str, delimiter: str) -> str:
    doubled = value.replace('"', '""')
    return f'"{doubled}"' if {delimiter, "\n", '"'} & set(value) else value


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_json_lines_are_read_in_the_same_ways(
    encoding: str, tmp_path: Path, default_organization: Organization
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes("\r".join(json.dumps(event(model=name), ensure_ascii=False) for name in "äö").encode(encoding))
    assert "2 added" in imported(path)
    assert set(UsageEvent.objects.values_list("model", flat=True)) == {"ä", "ö"}


def test_a_long_id_is_the_same_in_a_file_and_from_the_client(jsonl_file: Callable[..., Path]) -> None:
    ids = [f"{'x' * 205}{end}" for end in "ab"]
    record([call(at=AT.replace(microsecond=0), request_id=ids[0], session_id=ids[0])])
    path = jsonl_file(*(event(request_id=one, session_id=one) for one in ids))
    assert "1 added, 1 already there" in imported(path)
    assert "0 would be added, 2 already there" in imported(path, dry_run=True)
    assert len(set(UsageEvent.objects.values_list("session_id", flat=True))) == 2


def test_lines_that_are_alike_are_events_of_their_own_each_time_the_same(
    csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "BATCH", 2)
    line, other = f"2026-11-03,{MODEL},100,20", f"2026-11-03,{MODEL},100,21"
    assert "4 read, 4 added" in imported(csv_file(line, other, line, line))
    assert "4 read, 0 added, 4 already there" in imported(csv_file(line, other, line, line))
    assert "5 read, 1 added, 4 already there" in imported(csv_file(other, line, line, line, line))
    assert UsageEvent.objects.count() == 5


def test_gzip_and_standard_input_are_read(
    jsonl_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = jsonl_file(event(), event(request_id="b")).read_bytes()
    (tmp_path / "events.gz").write_bytes(gzip.compress(content))
    assert "2 added" in imported(tmp_path / "events.gz")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(content))))
    assert "-: 2 read, 0 added, 2 already there" in imported("-")


def test_a_damaged_gzip_file_ends_with_what_was_whole(jsonl_file: Callable[..., Path], tmp_path: Path) -> None:
    content = gzip.compress(jsonl_file(*(event(request_id=os.urandom(9).hex()) for _ in range(900))).read_bytes())
    (tmp_path / "half.gz").write_bytes(content[: len(content) * 9 // 10])
    with pytest.raises(CommandError, match=r"half.gz: .*end"):
        imported(tmp_path / "half.gz")
    assert UsageEvent.objects.count() == 500


def test_somebody_who_watches_sees_a_bar(jsonl_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BATCH", 1)
    monkeypatch.setattr(import_events, "SECONDS_BETWEEN_BARS", 0)
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    call_command("import_events", str(jsonl_file(event(), event())), stdout=io.StringIO(), stderr=terminal)
    assert terminal.getvalue().split("\r")[-1] == "\x1b[K"
    assert "] 100%  2 lines, 0 refused" in terminal.getvalue()
    pipe = io.StringIO()
    call_command("import_events", str(jsonl_file(event(), event())), stdout=io.StringIO(), stderr=pipe)
    assert pipe.getvalue() == ""


def test_a_database_that_stays_away_ends_it_and_one_that_comes_back_does_not(
    jsonl_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [OperationalError("away\nfor long"), OperationalError("still"), None]
    monkeypatch.setattr(writing, "record", lambda calls: _answer(answers) or record(calls))
    monkeypatch.setattr(writing.time, "sleep", lambda seconds: None)
    assert "1 added" in imported(jsonl_file(event()))
    answers += [OperationalError("away\nfor long")] * writing.ATTEMPTS
    with pytest.raises(CommandError, match=r"the database does not take it: away. --resume goes on from there."):
        imported(jsonl_file(event(), event()))


@pytest.mark.parametrize(("asked", "whose"), [("organizations_now", "%"), ("_known", "usage-recorder")])
def test_connections_that_were_lost_are_made_again(
    asked: str, whose: str, jsonl_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(writing, asked)

    def after_a_restart(*arguments: Any) -> Any:
        with connect() as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database() AND application_name LIKE %s",
                [whose],
            )
        return original(*arguments)

    imported(jsonl_file(event()))
    monkeypatch.setattr(writing, asked, after_a_restart)
    monkeypatch.setattr(run, "organizations_now", writing.organizations_now)
    monkeypatch.setattr(writing.time, "sleep", lambda seconds: None)
    assert "1 already there" in imported(jsonl_file(event()), dry_run=asked == "_known")


def _answer(answers: list[Exception | None]) -> None:
    if answers and (error := answers.pop(0)):
        raise error


def test_memory_does_not_grow_with_the_file(jsonl_file: Callable[..., Path]) -> None:
    path = jsonl_file(*(event(metadata={"n": "x" * 1_000}) for _ in range(20_000)))
    with opened(path) as source:
        tracemalloc.start()
        assert sum(len(batch) for batch in run._batches(json_items(source.lines()))) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < path.stat().st_size / 5


def test_a_dry_run_only_looks(jsonl_file: Callable[..., Path]) -> None:
    imported(jsonl_file(event(request_id="a", project="rag")))
    path = jsonl_file(
        event(request_id="a"), event(request_id="b", project="new"), event(request_id="a", input_tokens=1)
    )
    with pytest.raises(CommandError, match="1 line was refused"):
        imported(path, dry_run=True)
    assert UsageEvent.objects.count() == 1
    assert not path.with_name("events.jsonl.import-state").exists()


# Refused lines


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"input_tokens": -1}, "input_tokens is -1; it must be between 0 and 1000000000."),
        ({"input_tokens": 2**63}, "input_tokens is 9223372036854775808; it must be between 0 and 1000000000."),
        ({"output_tokens": True}, "output_tokens must be a number, not True."),
        ({"output_tokens": "1e999999999"}, "output_tokens must be a number, not '1e999999999'."),
        ({"output_tokens": 1.5}, "output_tokens must be a whole number, not 1.5."),
        ({"input_tokens": "١"}, "input_tokens must be a number, not '١'."),
        ({"input_tokens": ...}, "input_tokens is missing."),
        (
            {"cached_tokens": 900},
            "cached_tokens is 900, more than input_tokens (100), of which it must be a part.",
        ),
        ({"reasoning_tokens": 21}, "reasoning_tokens is 21, more than output_tokens (20), of which it must be a part."),
        (
            {"usage_breakdown": [{"model": "a", "input_tokens": 5, "output_tokens": 1, "cached_tokens": 6}]},
            "usage_breakdown: cached_tokens is 6, more than input_tokens (5), of which it must be a part.",
        ),
        ({"model": None}, "model is missing."),
        ({"timestamp": None}, "timestamp is missing."),
        ({"timestamp": "yesterday"}, "timestamp must be a time such as 2026-11-03T05:06:07Z, not 'yesterday'."),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp must be a time"),
        ({"timestamp": "0001-01-01"}, "timestamp is '0001-01-01', before the year 2000."),
        ({"timestamp": "9999-12-31T23:59:59"}, "timestamp is '9999-12-31T23:59:59', more than 5 minutes ahead of now."),
        ({"timestamp": 1e300}, "timestamp must be a time"),
        ({"operation": "dream"}, "operation must be one of chat, "),
        ({"status": "odd"}, "status must be one of success, error, not 'odd'."),
        ({"stream": "maybe"}, "stream must be true or false, not 'maybe'."),
        ({"http_status": 100_000}, "http_status is 100000; it must be between 0 and 999."),
        ({"audio_seconds": "nan"}, "audio_seconds must be a number, not 'nan'."),
        ({"metadata": [1]}, "metadata must be a JSON object."),
        ({"usage_breakdown": {"models": []}}, "usage_breakdown must be a list of objects"),
        ({"tools": ["web_search"]}, "tools must be an object of names and uses"),
        ({"tools": {"web_search": -1}}, "web_search is -1; it must be between 0 and 1000000000."),
        ({"tools": {"…": 1}}, "tools has '…', which is no name of a tool."),
        ({"tools": {f"t{n}": 1 for n in range(21)}}, "tools has more than 20 names."),
        ({"session_id": {"a": 1}}, "session_id must be a text."),
        ({"request_id": "1.23E+17"}, "request_id is '1.23E+17': Excel has rounded it. Take it from the source again"),
        ({"session_id": "1,23457E+17"}, "session_id is '1,23457E+17': Excel has rounded it."),
        ({"user": "1E+17"}, "user is '1E+17': Excel has rounded it."),
        ({"input_tokens": "1.000"}, "input_tokens is '1.000': write numbers without separators of thousands"),
        ({"input_tokens": "1.234.567"}, "input_tokens is '1.234.567': write numbers without separators of thousands"),
        ({"output_tokens": "1,000"}, "output_tokens is '1,000': write numbers without separators of thousands"),
        (
            {"audio_seconds": "61,125"},
            "audio_seconds is '61,125': write numbers without separators of thousands, and d",
        ),
        ({"timestamp": "11/03/2026 05:06"}, "timestamp must be a time such as 2026-11-03T05:06:07Z, not '11/03/2026"),
        ({"timestamp": "03.11.2026"}, "timestamp must be a time such as 2026-11-03T05:06:07Z, not '03.11.2026'."),
        ({"timestamp": "46329.2125"}, "timestamp must be a time such as 2026-11-03T05:06:07Z, not '46329.2125'."),
        ({"timestamp": "2026110310506"}, "timestamp must be a time such as 2026-11-03T05:06:07Z, not '2026110310506'."),
    ],
)
def test_impossible_values_are_refused_by_name(
    changes: dict[str, Any], reason: str, jsonl_file: Callable[..., Path]
) -> None:
    refused = imported_with_refusals(jsonl_file(event(), event(**changes), event(request_id="c")))
    assert list(refused) == [2]
    assert refused[2].startswith(reason)
    assert UsageEvent.objects.count() == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"timestamp": ', "This is not JSON: Expecting value at character 14."),
        ("[1]", "The line must be a JSON object."),
        ("[" * 200_000, "The JSON is nested too deeply."),
        ('{"input_tokens": NaN}', "This is not JSON: NaN is not a number."),
        ('{"metadata": {"a": 1e999}}', "This is not JSON: 1e999 is too large."),
        ('{"input_tokens": ' + "9" * 5_000 + "}", "This is not JSON: Exceeds the limit"),
        (r'{"model": "\ud800"}', "The line holds a NUL character or half of a surrogate pair"),
        (r'{"metadata": {"a": ["\u0000"]}}', "The line holds a NUL character or half of a surrogate pair"),
        (b'{"model": "\xff"}', "This is not UTF-8: byte 12 of the line."),
        ("x" * (MAX_LINE + 10), "The line is longer than 1,048,576 bytes."),
    ],
)
def test_lines_that_are_not_objects_are_refused(
    line: str | bytes, reason: str, jsonl_file: Callable[..., Path]
) -> None:
    refused = imported_with_refusals(jsonl_file(event(), line, event(request_id="c")))
    assert list(refused) == [2]
    assert refused[2].startswith(reason)
    assert UsageEvent.objects.count() == 2


def test_a_bomb_is_cut_at_the_length_of_a_line(tmp_path: Path, default_organization: Organization) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b"[" * (64 << 20) + b"\n" + json.dumps(event()).encode()))
    assert imported_with_refusals(path, format="jsonl") == {1: "The line is longer than 1,048,576 bytes."}
    assert UsageEvent.objects.count() == 1


def test_bad_lines_of_a_table_cost_no_others(csv_file: Callable[..., Path]) -> None:
    def line(model: str, tokens: int) -> str:
        return f"2026-11-03,{model},{tokens},1"

    path = csv_file(
        line('5" tall', 1), line("a", 2), line('6" tall', 3), line("b", 4), "1,2", line('"c', 5), line("d", 6)
    )
    refused = imported_with_refusals(path)
    assert list(refused) == [6, 7]
    assert refused[6] == "The line has 2 values, and the header names 4 columns."
    assert refused[7].startswith("This is not CSV: ")
    assert set(UsageEvent.objects.values_list("model", flat=True)) >= {"a", "b", "d"}


def test_the_refused_line_is_kept_for_its_owner_alone(jsonl_file: Callable[..., Path]) -> None:
    path = jsonl_file("nothing")
    imported_with_refusals(path)
    errors = path.with_name("events.jsonl.errors.jsonl")
    assert json.loads(errors.read_text())["content"] == "nothing"
    assert errors.stat().st_mode & 0o777 == 0o600
    imported(jsonl_file(event()))
    assert not errors.exists()  # the old file of refused lines is deleted
    assert not path.with_name("events.jsonl.import-state").exists()


def test_an_import_never_writes_over_what_it_reads(jsonl_file: Callable[..., Path]) -> None:
    path = jsonl_file(event())
    for options in ({"errors": path}, {"errors": path.parent / ".." / path.parent.name / path.name}):
        with pytest.raises(CommandError, match="is another file"):
            imported(path, **options)
    with pytest.raises(CommandError, match="goes with one FILE"):
        imported(path, path, errors=path.with_name("errors"))
    assert path.exists()


def test_a_place_that_cannot_be_kept_is_said(jsonl_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    path = jsonl_file(event())
    monkeypatch.setattr(checkpoint.CheckpointKeeper, "keep", full)
    with pytest.raises(CommandError, match=r"kept in .*events.jsonl.import-state: database or disk is full"):
        imported(path)


def test_the_manual_names_every_column() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in COLUMNS if f"`{name}`" not in manual and not name.endswith("_name")] == []


def test_a_known_request_id_with_other_figures_is_refused(jsonl_file: Callable[..., Path]) -> None:
    first = event(request_id="a")
    refused = imported_with_refusals(jsonl_file(first, first, first | {"output_tokens": 21}))
    assert refused == {3: "The request id a is recorded already, with other figures: output_tokens."}
    refused = imported_with_refusals(jsonl_file(event(request_id="b"), first | {"model": "x", "input_tokens": 1}))
    assert refused == {2: "The request id a is recorded already, with other figures: model, input_tokens."}
    assert UsageEvent.objects.count() == 2


@pytest.mark.parametrize(
    ("total", "marked"), [(999, True), (7, True), (120, False), ("120.0", False), (0, False), (None, False)]
)
def test_a_total_that_is_not_the_sum_is_mended_and_marked(
    total: Any, marked: bool, jsonl_file: Callable[..., Path]
) -> None:
    imported(jsonl_file(event(total_tokens=total)))
    made = UsageEvent.objects.get()
    assert (made.input_tokens, made.output_tokens, made.total_tokens) == (100, 20, 120)
    assert made.tokens_estimated is marked


def test_what_the_writer_alone_finds_impossible_costs_no_others(
    jsonl_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(calls: Iterable[Any]) -> Any:
        calls = list(calls)
        if any(call.request_id == "b" for call in calls):
            raise InvalidCallError("b is odd.")
        return record(calls)

    monkeypatch.setattr(writing, "record", picky)
    refused = imported_with_refusals(jsonl_file(*(event(request_id=name) for name in "abcde")))
    assert refused == {2: "It cannot be recorded: b is odd."}
    assert "".join(sorted(UsageEvent.objects.values_list("request_id", flat=True))) == "acde"


# Groq's batches


def result(custom_id: str, model: str = MODEL, **changes: Any) -> dict[str, Any]:
    """A line of a batch's results, as the simulator makes it."""
    asked = {"custom_id": custom_id, "body": {"model": model, "messages": [{"role": "user", "content": "Hello"}]}}
    return _result(json.dumps(asked).encode()) | changes


def test_a_batch_costs_half(jsonl_file: Callable[..., Path]) -> None:
    make_price(MODEL)
    line = result("one")
    path = jsonl_file(line)
    assert "1 added" in imported(path)
    made, body = UsageEvent.objects.get(), line["response"]["body"]
    tokens = body["usage"]
    assert (made.operation, made.model, made.request_id) == ("batch", MODEL, line["id"])
    assert (made.input_tokens, made.output_tokens) == (tokens["prompt_tokens"], tokens["completion_tokens"])
    assert made.cost_usd == Decimal(tokens["prompt_tokens"] + 2 * tokens["completion_tokens"]) / 2000
    assert (made.timestamp.timestamp(), made.metadata) == (body["created"], {"custom_id": "one"})
    assert "1 already there" in imported(path)


def test_tools_of_a_batch_are_counted(jsonl_file: Callable[..., Path]) -> None:
    make_price(MODEL, tool_rates={"browser_search": Decimal(5), "browser_open": Decimal(1)})
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "tools": [{"type": "browser_search"}]}
    imported(jsonl_file(_result(json.dumps({"custom_id": "one", "body": asked}).encode())))
    made = UsageEvent.objects.get()
    assert made.tool_uses == {"browser_open": 1, "browser_search": 1}
    assert (made.tool_cost_usd, made.without_tool_fees) == (Decimal("0.006"), False)


def test_a_tool_has_one_name_whichever_a_file_gives(jsonl_file: Callable[..., Path]) -> None:
    imported(jsonl_file(event(tools={"browser.search": 2, "browser_search": 1, "python": "1", "visit": 0})))
    assert UsageEvent.objects.get().tool_uses == {"browser_search": 3, "code_interpreter": 1}


def test_errors_of_a_batch_are_errors_without_cost(jsonl_file: Callable[..., Path]) -> None:
    expired = {"id": "x", "custom_id": "c", "response": None, "error": {"code": "batch_expired", "message": "Secret"}}
    path = jsonl_file(result("a"), result("b", "no-such-model"), expired)
    reason = "The line tells no time: name one with --at."
    assert imported_with_refusals(path) == {2: reason, 3: reason}
    assert "2 added, 1 already there" in imported(path, at=AT)
    codes = UsageEvent.objects.filter(status="error").values_list("error_code", "http_status", "cost_usd", "timestamp")
    assert set(codes) == {("model_not_found", 404, 0, AT), ("batch_expired", None, 0, AT)}
    assert "Secret" not in str(facts())


def test_results_without_a_usage_that_can_be_are_refused(jsonl_file: Callable[..., Path]) -> None:
    path = jsonl_file(
        result("a", "sim/no-usage/openai/gpt-oss-20b"),
        result("b", "sim/usage-negative/openai/gpt-oss-20b"),
        {"custom_id": "c", "response": None},
        {"custom_id": "d", "response": {"status_code": "many"}},
        result("e", "sim/usage-zero/openai/gpt-oss-20b"),
    )
    assert imported_with_refusals(path) == {
        1: "The response has no usage.",
        2: "The usage has no prompt_tokens and completion_tokens that can be.",
        3: "The line has neither a response nor an error.",
        4: "status_code must be a number, not 'many'.",
        5: "The usage has no prompt_tokens and completion_tokens that can be.",
    }


def test_the_counts_of_a_batch_that_contradict_are_mended_and_marked(jsonl_file: Callable[..., Path]) -> None:
    then_zero = result("b", "sim/usage-then-zero/openai/gpt-oss-20b")
    imported(jsonl_file(result("a", "sim/usage-contradicts/openai/gpt-oss-20b"), then_zero))
    odd, plain = UsageEvent.objects.order_by("metadata__custom_id")
    assert (odd.input_tokens, odd.output_tokens, odd.total_tokens, odd.tokens_estimated) == (80, 7, 87, True)
    assert (odd.cached_tokens, odd.reasoning_tokens) == (80, 7)
    told = then_zero["response"]["body"]["x_groq"]["usage"]
    assert (plain.total_tokens, plain.tokens_estimated) == (told["total_tokens"], False)


def audio_result(custom_id: str, **body: Any) -> dict[str, Any]:
    """A line of a batch's results for a transcription or a translation, which has neither a model nor a time."""
    answer = {"text": "Hello", "x_groq": {"id": f"req_{custom_id}"}, **body}
    response = {"status_code": 200, "request_id": f"r_{custom_id}", "body": answer}
    return {"id": f"batch_{custom_id}", "custom_id": custom_id, "response": response, "error": None}


def test_the_audio_of_a_batch_costs_half_by_its_length(jsonl_file: Callable[..., Path]) -> None:
    make_price("whisper", audio_usd_per_hour=Decimal("0.1"))
    verbose = {"task": "translate", "language": "English", "segments": []}
    path = jsonl_file(audio_result("a", duration=7200.0, **verbose), audio_result("b", text=""))
    assert "2 added" in imported(path, at=AT, model="whisper")
    known, unknown = UsageEvent.objects.order_by("request_id")
    assert (known.operation, known.model, known.provider_request_id) == ("batch", "whisper", "req_a")
    assert (known.audio_seconds, known.cost_usd, known.tokens_estimated) == (7200, Decimal("0.1"), False)
    assert (unknown.audio_seconds, unknown.cost_usd, unknown.tokens_estimated) == (0, None, True)  # not free
    assert "2 already there" in imported(path, at=AT, model="whisper")


def test_the_audio_of_a_batch_needs_a_model_and_a_time(jsonl_file: Callable[..., Path]) -> None:
    path = jsonl_file(audio_result("a", duration=60))
    assert imported_with_refusals(path, at=AT) == {
        1: "The response is of audio and names no model: name one with --model."
    }
    assert imported_with_refusals(path, model="whisper") == {1: "The line tells no time: name one with --at."}
    assert imported_with_refusals(
        jsonl_file(result("b") | {"response": {"status_code": 200, "body": {"text": 1}}}), at=AT
    )


# Interrupted imports


@pytest.fixture
def many(jsonl_file: Callable[..., Path]) -> Path:
    """Lines with and without request ids. Some of them are equal, and some are wrong."""
    lines = [event(request_id=f"r{n}" if n % 3 else ..., input_tokens=n % 50 if n % 100 else -1) for n in range(5_000)]
    return jsonl_file(*lines)


@pytest.fixture
def uninterrupted(many: Path) -> tuple[int, list[str], Any]:
    """The events, refused lines and totals of an import without interruption. The ledger is empty again afterwards."""
    imported_with_refusals(many)
    made = UsageEvent.objects.count(), _errors_of(many), Report(EVERYTHING, YEAR).totals()
    empty_the_ledger()
    return made


def _errors_of(path: Path) -> list[str]:
    return path.with_name(f"{path.name}.errors.jsonl").read_text().splitlines()


def resumed(path: Path) -> str:
    out = io.StringIO()
    with pytest.raises(CommandError, match="refused"):
        call_command("import_events", str(path), resume=True, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_an_import_that_is_ended_in_the_middle_is_resumed_exactly(
    many: Path, uninterrupted: tuple[int, list[str], Any], signal_number: int
) -> None:
    """Another process imports the file, and is ended when the ledger has some of the lines."""
    name = connections["default"].settings_dict["NAME"]
    script = (
        "import sys, django; from django.conf import settings; settings.DATABASES['default']['NAME'] = sys.argv[1];"
        "django.setup(); from ledger.importing import run; run.BATCH = 50;"
        "from django.core.management import execute_from_command_line as go; go(sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, name, "import_events", str(many)],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "usage_dashboard.settings"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while UsageEvent.objects.count() < 500:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal_number)
    said = process.communicate()[1]
    assert 0 < UsageEvent.objects.count() < uninterrupted[0]
    if signal_number == signal.SIGTERM:
        assert process.returncode == 128 + signal.SIGTERM
        assert "Stopped after line " in said
        assert "--resume goes on from there" in said
    assert "5,000 read" in resumed(many)
    assert (UsageEvent.objects.count(), _errors_of(many), Report(EVERYTHING, YEAR).totals()) == uninterrupted
    assert not many.with_name("events.jsonl.import-state").exists()
    assert "0 added, 4,950 already there" in resumed(many)  # there is no checkpoint, so the import begins anew


class StopsAfter:
    """A watcher that ends the import after a number of batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    @property
    def wants_end(self) -> bool:
        return self.left <= 0

    def passed(self, *_: Any) -> None:
        self.left -= 1


def test_a_table_is_resumed_between_its_records(
    csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, default_organization: Organization
) -> None:
    monkeypatch.setattr(run, "BATCH", 3)
    records = [f'2026-11-03,"model\n{n}",{n},1' for n in range(10)]
    path = csv_file(*records, name="events.csv.gz")
    path.write_bytes(gzip.compress(path.read_bytes()))
    task = run.Task(path, None, run.Defaults(default_organization.slug), print)
    with pytest.raises(run.StoppedError) as stop:
        run.import_file(task, StopsAfter(2))
    assert (stop.value.checkpoint.number, UsageEvent.objects.count()) == (13, 6)
    with pytest.raises(CommandError, match="are not those of the import"):
        imported(path, resume=True, project="other")
    assert "10 read, 10 added" in imported(path, resume=True)
    assert sorted(UsageEvent.objects.values_list("input_tokens", flat=True)) == list(range(10))


def test_a_file_that_changed_is_not_resumed(jsonl_file: Callable[..., Path]) -> None:
    path = jsonl_file(event())
    keeper = checkpoint.CheckpointKeeper.new(path.with_name(f"{path.name}.import-state"), {})
    keeper.keep()
    keeper.close()
    with pytest.raises(CommandError, match="are not those of the import"):
        imported(path, resume=True)
    path.with_name(f"{path.name}.import-state").write_bytes(b"rubbish" * 1000)
    with pytest.raises(CommandError, match="is damaged"):
        imported(path, resume=True)
    assert "1 added" in imported(path)


class CountsTheTail(StopsAfter):
    """A watcher that notes the length of the tail after every batch."""

    def __init__(self) -> None:
        super().__init__(1_000)
        self.lengths: list[int] = []

    def passed(self, *_: Any) -> None:
        self.lengths.append(Tail.objects.count())


def test_an_import_folds_as_it_goes_and_at_its_end(
    jsonl_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, default_organization: Organization
) -> None:
    monkeypatch.setattr(run, "BATCH", 2)
    monkeypatch.setattr(run, "FOLD_AFTER", 6)
    watcher, path = CountsTheTail(), jsonl_file(*(event(input_tokens=n, session_id="s") for n in range(15)))
    task = run.Task(path, None, run.Defaults(default_organization.slug), print)
    assert run.import_file(task, watcher).added == 15
    assert watcher.lengths == [2, 4, 0, 2, 4, 0, 2, 3]
    assert not Tail.objects.exists()
    assert wrong_sums() == []


def test_an_import_that_cannot_fold_tries_for_a_while_and_can_be_resumed(
    jsonl_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, connection: "Connection[tuple[object, ...]]"
) -> None:
    monkeypatch.setattr(fold, "LIMITS", "SET LOCAL lock_timeout = 20")
    monkeypatch.setattr(writing, "ATTEMPTS", 2)
    path = jsonl_file(event(), event(input_tokens=7))
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [fold.LOCK])
        with pytest.raises(CommandError, match=r"the database does not take it: .*lock.*--resume goes on from there"):
            imported(path)
    assert UsageEvent.objects.count() == 2
    assert "2 read, 2 added" in imported(path, resume=True)
    assert UsageEvent.objects.count() == 2
