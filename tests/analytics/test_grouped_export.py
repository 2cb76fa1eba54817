"""The grouped table as files: its sums are plain sums over the events, and a spreadsheet reads numbers and dates."""

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from django.contrib.auth.models import Group, Permission

from accounts.models import Organization, Role, User
from accounts.places import Places
from accounts.viewer import Viewer
from analytics.export import download as downloads
from analytics.export.table import COSTS, SUMS
from analytics.reports import GroupedTable, TooManyRowsError, grouped_table
from analytics.reports.selection import Dimension, Selection
from ledger.models import UsageEvent
from ledger.recording.record import record
from ledger.upkeep.retention import delete_expired
from tests.analytics.test_reports import DIMENSIONS, EVERYTHING, START, ledger, matches, prices, value_of
from tests.cast import signed_in
from tests.ledger.calls import call, outcome

__all__ = ["ledger", "prices"]
pytestmark = pytest.mark.django_db(transaction=True)

MONTHS = Selection(date(2026, 10, 24), date(2026, 11, 4))
RANGE = "range=custom&from=2026-10-01&to=2026-11-30&provider=all"
GROUPS: list[tuple[Dimension, ...]] = [*((one,) for one in DIMENSIONS), *itertools.combinations(DIMENSIONS, 2)]
Sums = dict[str, int | Decimal]


@pytest.fixture
def exporting_user(user: User) -> User:
    user.user_permissions.add(Permission.objects.get(codename="export_usageevent"))
    return user


def download(person: User, query: str) -> bytes:
    response = signed_in(person).get(f"/export/?{RANGE}&{query}")
    assert response.status_code == 200
    return b"".join(response)  # type: ignore[arg-type]


def lines(person: User, query: str) -> list[dict[str, str]]:
    text = download(person, f"{query}&format=csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def sheet(person: User, query: str) -> Any:
    return openpyxl.load_workbook(io.BytesIO(download(person, f"{query}&format=xlsx")))["Usage"]


def sums_of(events: Iterable[UsageEvent], *, sees_cost: bool) -> Sums:
    events = list(events)
    names = ["input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "total_tokens", "audio_seconds"]
    sums: Sums = {name: sum(getattr(event, name) for event in events) for name in names}
    sums |= {"requests": len(events), "errors": sum(event.status == "error" for event in events)}
    sums |= {"timeouts": sum(outcome(event) == "timeout" for event in events)}
    if sees_cost:
        sums["cost_usd"] = sum((event.cost_usd for event in events if event.cost_usd is not None), Decimal(0))
        sums["unpriced_requests"] = sum(event.cost_usd is None or event.without_tool_fees for event in events)
    return sums


def plainly(table: GroupedTable, events: list[UsageEvent]) -> dict[tuple[Any, ...], Sums]:
    """The table, as sums over the events one by one."""
    groups = defaultdict(list)
    for event in events:
        if matches(event, table.selection, table.viewer):
            day = event.day if table.period == "day" else event.day.replace(day=1)
            groups[day, *(value_of(event, dimension) for dimension in table.dimensions)].append(event)
    return {key: sums_of(those, sees_cost=table.viewer.sees_cost) for key, those in groups.items()}


def found(table: GroupedTable) -> dict[tuple[Any, ...], Sums]:
    sums = SUMS | COSTS if table.viewer.sees_cost else SUMS
    return {
        (row.day, *row.values): {name: of_totals(row.totals) or 0 for name, of_totals in sums.items()}
        for row in table.rows()
    }


@pytest.mark.parametrize("who", ["super admin", "admin", "user", "user with cost"])
def test_a_table_is_the_plain_sum_of_the_events(
    who: str, acme: Organization, globex: Organization, admin: User, user: User, ledger: list[UsageEvent]
) -> None:
    assert acme.time_zone != globex.time_zone
    Organization.objects.filter(pk=acme.pk).update(show_user_cost=who == "user with cost")
    viewer = (
        EVERYTHING if who == "super admin" else Viewer.of(User.objects.get(pk=(admin if who == "admin" else user).pk))
    )
    assert viewer.sees_cost is (who != "user")
    narrowed = Selection(
        MONTHS.first_day, MONTHS.last_day, {"model": ("priced/a", "unpriced/c"), "user_id": (0, user.pk)}
    )
    for number, group in enumerate(GROUPS):
        for selection in (MONTHS, narrowed):
            table = GroupedTable(viewer, selection, "month" if number % 2 else "day", group)
            assert found(table) == plainly(table, ledger), group


def test_the_files_have_every_sum(ledger: list[UsageEvent], admin: User) -> None:
    table = GroupedTable(
        Viewer.of(admin), Selection(date(2026, 10, 1), date(2026, 11, 30)), "month", ("model", "user_id")
    )
    expected = {
        (f"{day:%Y-%m}", model, str(user or "")): sums for (day, model, user), sums in plainly(table, ledger).items()
    }
    rows = lines(admin, "per=month&by=model&then=user")
    assert len(rows) == len(expected)  # Nor is there a line of totals.
    assert list(rows[0]) == ["month", "model", "user", "user_id", *SUMS, *COSTS]
    for row in rows:
        sums = expected[row["month"], row["model"], row["user_id"]]
        assert {name: Decimal(row[name]) for name in sums} == sums
    header, *cells = sheet(admin, "per=month&by=model&then=user").iter_rows(values_only=True)
    assert list(header) == list(rows[0])
    assert len(cells) == len(rows)
    for cell, row in zip(cells, rows, strict=True):
        of_sheet = dict(zip(header, cell, strict=True))
        assert f"{of_sheet['month']:%Y-%m}" == row["month"]
        assert of_sheet["user"] == row["user"]
        assert {name: Decimal(str(of_sheet[name])) for name in (*SUMS, *COSTS)} == {
            name: Decimal(row[name]) for name in (*SUMS, *COSTS)
        }


def test_a_spreadsheet_finds_numbers_and_dates_below_a_frozen_head(ledger: list[UsageEvent], admin: User) -> None:
    found = sheet(admin, "per=day&by=project")
    assert found.freeze_panes == "A2"
    assert found.column_dimensions["A"].width >= 10
    head = [cell.value for cell in found[1]]
    kinds = {name: {row[place].data_type for row in found.iter_rows(min_row=2)} for place, name in enumerate(head)}
    assert kinds.pop("day") == {"d"}
    assert kinds.pop("project") == {"s"}
    assert set(kinds) == {"project_id", *SUMS, *COSTS}
    assert all(kind == {"n"} for kind in kinds.values())
    assert found["A2"].number_format == "yyyy-mm-dd"


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "'=1", "{=1}", "https://example.com"])
def test_no_text_is_a_formula_or_a_link(acme: Organization, admin: User, evil: str) -> None:
    record([call(evil, organization="acme", feature=evil, at=START)])
    (row,) = lines(admin, "per=day&by=model&then=feature")
    expected = evil if evil[0] in "{h" else f"'{evil}"
    assert (row["model"], row["feature"]) == (expected, expected)
    cell = sheet(admin, "per=day&by=model")["B2"]
    assert (cell.value, cell.data_type, cell.hyperlink) == (evil, "s", None)


def test_a_hidden_cost_is_in_neither_file(exporting_user: User, ledger: list[UsageEvent]) -> None:
    rows = lines(exporting_user, "per=month&by=model")
    assert rows
    assert list(rows[0]) == ["month", "model", *SUMS]
    assert [cell.value for cell in sheet(exporting_user, "per=month&by=model")[1]] == list(rows[0])


def test_a_dimension_that_is_not_for_the_viewer_is_refused(exporting_user: User, ledger: list[UsageEvent]) -> None:
    for name in ("user", "organization", "session", "nothing"):
        response = signed_in(exporting_user).get(f"/export/?per=day&by={name}&format=csv")
        assert response.status_code == 400
        assert "not one of the available choices" in response.content.decode()
    response = signed_in(exporting_user).get("/export/?per=day&by=model&then=model&format=csv")
    assert "Choose two different dimensions." in response.content.decode()


def test_sums_of_deleted_requests_stay_in_the_table(
    ledger: list[UsageEvent], acme: Organization, globex: Organization
) -> None:
    for organization in (acme, globex):
        delete_expired(organization.pk, date(2026, 11, 1))
    table = GroupedTable(EVERYTHING, MONTHS, "day", ("user_id", "model"))
    assert not table.leaves_out
    assert found(table) == plainly(table, ledger)
    of_session = Selection(MONTHS.first_day, MONTHS.last_day, {"session_id": ("s1",)})
    assert GroupedTable(EVERYTHING, of_session, "day", ("model",)).leaves_out


def test_more_rows_than_the_limit_are_refused_with_advice(
    ledger: list[UsageEvent], admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = GroupedTable(Viewer.of(admin), MONTHS, "day", ("model",))
    monkeypatch.setattr(grouped_table, "MAX_ROWS", len(table.rows()))
    table.rows()
    monkeypatch.setattr(grouped_table, "MAX_ROWS", 3)
    with pytest.raises(TooManyRowsError):
        table.rows()
    for file in ("csv", "xlsx"):
        response = signed_in(admin).get(f"/export/?{RANGE}&per=day&by=model&format={file}")
        assert response.status_code == 400
        assert "Choose months rather than days" in response.content.decode()


def test_admins_may_export_until_it_is_taken_away(acme: Organization, admin: User, user: User) -> None:
    client = signed_in(admin)
    assert 'id="export-table"' in client.get("/requests/").content.decode()
    assert client.get("/export/").status_code == 200
    Group.objects.get(name=Role.ADMIN).permissions.clear()
    assert 'id="export-table"' not in client.get("/requests/").content.decode()
    for person in (admin, user):
        assert signed_in(person).get("/export/").status_code == 403
        assert signed_in(person).get("/export/?per=day&by=model&format=csv").status_code == 403


def test_the_form_keeps_the_filters_of_the_page(ledger: list[UsageEvent], admin: User) -> None:
    page = signed_in(admin).get(f"/export/?{RANGE}&model=priced/a").content.decode()
    assert '<input type="hidden" name="model" value="priced/a">' in page
    assert '<input type="hidden" name="from" value="2026-10-01">' in page
    assert {row["model"] for row in lines(admin, "model=priced/a&per=month&by=model")} == {"priced/a"}
    response = signed_in(admin).get(f"/export/?{RANGE}&model=priced/a&per=day&by=user&format=xlsx")
    response.close()
    named = "grouped_day_user_usage_2026-10-01_2026-11-30_provider_model-priced-a.xlsx"
    assert response["Content-Disposition"] == f'attachment; filename="{named}"'


def test_a_table_takes_a_place_among_the_exports(
    ledger: list[UsageEvent], admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "PLACES", Places(0, 0))
    response = signed_in(admin).get(f"/export/?{RANGE}&per=day&by=model&format=csv")
    assert (response.status_code, response["Retry-After"]) == (503, "30")
