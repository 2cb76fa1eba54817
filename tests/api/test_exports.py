"""The export over the API: every format tells the same rows and sums, for each caller those that the caller may see."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow.parquet
import pytest

from accounts.models import Organization, Project, User
from accounts.places import Places
from accounts.viewer import Viewer
from analytics.export import download, parquet
from analytics.export.parquet import export_parquet
from analytics.reports import Log
from analytics.reports.selection import Selection
from ledger.event_columns import COLUMNS, COST_COLUMNS, DOLLARS
from ledger.models import UsageEvent
from tests.api.asking import Asker, key, person

pytestmark = pytest.mark.django_db(transaction=True)

ALL = {"from_": "2026-10-01", "to": "2026-11-30", "provider": "all"}
Rows = list[dict[str, Any]]


def read(asker: Asker, kind: str, **query: Any) -> Rows:
    response = asker.response("export", format=kind, **(ALL | query))
    assert response.status_code == 200, response.content
    assert f'.{kind}"' in response["Content-Disposition"]
    return READERS[kind](b"".join(response.streaming_content))


READERS: dict[str, Callable[[bytes], Rows]] = {
    "csv": lambda data: list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))),
    "jsonl": lambda data: [json.loads(line, parse_float=Decimal) for line in data.decode().splitlines()],
    "parquet": lambda data: pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist(),
}


def test_all_formats_tell_the_same(ledger: list[UsageEvent], admin: User, acme: Organization) -> None:
    asker = person(admin)
    found = {kind: read(asker, kind) for kind in READERS}
    hits = [event for event in ledger if event.organization_id == acme.pk]
    total = sum(event.cost_usd or 0 for event in hits)
    for rows in found.values():
        assert list(rows[0]) == list(COLUMNS)
        assert [row["request_id"] for row in rows] == [e.request_id for e in sorted(hits, key=lambda e: e.timestamp)]
        assert sum(Decimal(row["cost_usd"] or 0) for row in rows) == total
    for as_json, as_parquet in zip(found["jsonl"], found["parquet"], strict=True):
        for name in COLUMNS:
            assert plain(name, as_parquet[name]) == plain(name, as_json[name]), name
    assert Decimal(asker.ask("usage", **ALL)["cost_usd"]) == total


def plain(name: str, value: Any) -> Any:
    """A value of either file as text, or None."""
    if value is None or name in ("metadata", "tools", "usage_breakdown"):
        return value if value is None or isinstance(value, dict | list) else json.loads(value)
    if name in ("timestamp", "received_at"):
        return value if isinstance(value, str) else value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return Decimal(str(value)) if is_number else str(value)


def test_a_parquet_file_of_many_row_groups(
    ledger: list[UsageEvent], admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "GROUP_BYTES", 50_000)
    days = Selection(min(e.day for e in ledger), max(e.day for e in ledger))
    pieces = list(export_parquet(Log(Viewer.of(admin), days)))
    file = pyarrow.parquet.ParquetFile(io.BytesIO(b"".join(pieces)))
    assert file.num_row_groups > 1
    assert len(pieces) > 2
    assert file.metadata.num_rows == sum(e.organization_id == admin.organization_id for e in ledger)
    kinds = {field.name: str(field.type) for field in file.schema_arrow}
    assert {kinds[name] for name in DOLLARS} == {"decimal128(19, 9)"}
    assert (kinds["timestamp"], kinds["day"]) == ("timestamp[us, tz=UTC]", "date32[day]")
    empty = b"".join(export_parquet(Log(Viewer.nobody(), days)))
    assert pyarrow.parquet.read_table(io.BytesIO(empty)).num_rows == 0


def test_a_key_exports_what_it_sees(ledger: list[UsageEvent], acme: Organization) -> None:
    project = Project.objects.get(organization=acme, slug="rag")
    rows = read(key(acme, project=project), "parquet")
    assert {row["request_id"] for row in rows} == {e.request_id for e in ledger if e.project_id == project.pk}
    found = list(export_parquet(Log(hidden(acme), Selection(ledger[0].day, ledger[0].day))))
    assert not COST_COLUMNS & set(pyarrow.parquet.read_schema(io.BytesIO(b"".join(found))).names)


def hidden(acme: Organization) -> Viewer:
    return Viewer(None, frozenset({acme.pk}), None, sees_cost=False, may_export=True, may_edit_pricing=False)


def test_few_export_at_once_and_not_everybody(admin: User, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    person(user).ask("export", 403)
    monkeypatch.setattr(download, "PLACES", Places(0, 0))
    response = person(admin).response("export")
    assert (response.status_code, response["Retry-After"]) == (503, "30")
