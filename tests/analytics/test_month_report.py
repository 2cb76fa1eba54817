"""The month report: it says what the Overview says of the same days, its tables add up, and nothing hidden is in it."""

import re
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.filters.month import Month
from analytics.pages.month_report import tables as of_tables
from analytics.pages.month_report.comparison import compared_with_the_month_before, lines
from analytics.reports import Report, Summary
from analytics.reports.selection import Selection
from ledger.models import UsageEvent
from ledger.recording.record import record
from ledger.upkeep.retention import delete_expired
from tests.analytics.test_reports import EVERYTHING, ledger, prices
from tests.cast import signed_in
from tests.ledger.calls import call, usage

__all__ = ["ledger", "prices"]
pytestmark = pytest.mark.django_db(transaction=True)

OCTOBER, NOVEMBER = Month(date(2026, 10, 1)), Month(date(2026, 11, 1))
COSTS = re.compile(r"\$\s?\d|cost|pric|usd", re.IGNORECASE)


def opened(person: User, query: str = "month=2026-10") -> Any:
    response = signed_in(person).get(f"/report/?{query}")
    assert response.status_code == 200
    return response


def report_of(month: Month, viewer: Viewer = EVERYTHING, **chosen: Any) -> Report:
    return Report(viewer, Selection(month.first_day, month.last_day, chosen))


@pytest.fixture
def people(admin: User, user: User, super_admin: User, ledger: list[UsageEvent]) -> dict[str, User]:
    Organization.objects.filter(slug="acme").update(show_user_cost=True)
    return {"admin": admin, "user": user, "super admin": super_admin}


def test_it_says_what_the_overview_says_of_the_same_days(people: dict[str, User]) -> None:
    for query in ("", "&model=priced/a&model=unpriced/c", "&feature=tools"):
        for who, person in people.items():
            of_page = opened(person, f"month=2026-10&provider=all{query}").context
            overview = (
                signed_in(person).get(f"/?range=custom&from=2026-10-01&to=2026-10-31&provider=all{query}").context
            )
            assert of_page["totals"] == overview["totals"], (who, query)
            assert of_page["unpriced"] == overview["unpriced"]
            by_name = {table.label: table for table in of_page["tables"]}
            assert set(by_name) >= {"Model", "Project", "Feature"}
            assert ("User" in by_name, "Organization" in by_name) == (who != "user", who == "super admin")
            for table in overview["tables"]:
                if table.label in by_name and table.total <= of_tables.ROWS:
                    found = {row.label: row.totals for row in by_name[table.label].rows}
                    assert found == {row.label or "(none)": row.sums.now for row in table.rows}


def test_tables_add_up_to_the_total(ledger: list[UsageEvent], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_tables, "ROWS", 1)
    for table in of_tables.tables(report_of(OCTOBER)):
        if len(table.rows) > 1:
            assert re.fullmatch(r"1 other|\d+ others", table.rows[-1].label)
        for field in fields(Summary):
            assert sum(getattr(row.totals, field.name) for row in table.rows) == getattr(table.total, field.name)
        assert sum(row.share for row in table.rows) == pytest.approx(1)


def test_deleted_requests_have_a_line_of_their_own(ledger: list[UsageEvent], acme: Organization) -> None:
    """The total still has them; a filter that only requests can answer leaves them out of both, and says so."""
    delete_expired(acme.pk, date(2026, 11, 1))
    for table in of_tables.tables(report_of(OCTOBER)):
        assert sum(row.totals.requests for row in table.rows) == table.total.requests


def test_a_hidden_cost_is_nowhere_in_it(user: User, ledger: list[UsageEvent]) -> None:
    page = opened(user).content.decode()
    assert "Tokens per day" in page
    assert COSTS.findall(page.replace("priced/", "")) == []  # which are names of models


def test_whole_months_are_compared_only_where_both_have_data(ledger: list[UsageEvent]) -> None:
    """The data begins in October: it has nothing to be compared with, nor has November with a part of a month."""
    for month in (OCTOBER, NOVEMBER):
        compared, why = compared_with_the_month_before(report_of(month), month, date(2027, 1, 1))
        assert compared is None
        assert re.search(r"because the data begins on \d\d Oct 2026\.$", why)
    record([call("priced/a", organization="acme", at=datetime(2026, 10, 1, 12, tzinfo=UTC))])
    compared, _ = compared_with_the_month_before(report_of(NOVEMBER), NOVEMBER, date(2026, 12, 1))
    assert compared
    assert (compared.now, compared.before) == (report_of(NOVEMBER).totals(), report_of(OCTOBER).totals())
    assert (compared.now_name, compared.before_name) == ("November 2026", "October 2026")
    first = next(lines(compared.now, compared, sees_cost=True))
    assert (first.name, first.change is not None) == ("Cost", True)


def test_of_a_month_that_goes_on_finished_days_are_compared_with_the_same_days(acme: Organization) -> None:
    at = [datetime(2026, 10, 1, 20, tzinfo=UTC), datetime(2026, 10, 3, 20, tzinfo=UTC)]
    at += [datetime(2026, 11, day, 20, tzinfo=UTC) for day in (1, 2, 3)]
    record([call(organization="acme", at=moment, usage=usage(1, 1)) for moment in at])
    compared, _ = compared_with_the_month_before(report_of(NOVEMBER), NOVEMBER, date(2026, 11, 3))
    assert compared
    assert (compared.now.requests, compared.before.requests) == (2, 1)
    assert (compared.now_name, compared.before_name) == ("1 – 2 Nov 2026", "1 – 2 Oct 2026")
    compared, why = compared_with_the_month_before(report_of(NOVEMBER), NOVEMBER, NOVEMBER.first_day)
    assert compared is None
    assert "no day of this month is over" in why
    march = Month(date(2027, 3, 1))  # whose 31 days February does not have
    compared, _ = compared_with_the_month_before(report_of(march), march, march.last_day)
    assert compared
    assert (compared.now_name, compared.before_name) == ("1 – 28 Mar 2027", "February 2027")


def test_the_present_month_says_that_it_is_not_over(admin: User) -> None:
    page = opened(admin, "").content.decode()
    assert "This month is not over." in page
    assert "No usage recorded in" in page
    past = opened(admin, "month=2020-02").content.decode()
    assert "This month is not over." not in past
    assert "No usage recorded in February 2020." in past


@pytest.mark.parametrize("month", ["x", "2026-13", "2026-1", "1999-12", "9999-01", "٢٠٢٦-١١", "2026-11-01", "<b>"])
def test_a_month_that_is_none_is_refused_with_advice(admin: User, month: str) -> None:
    response = signed_in(admin).get("/report/", {"month": month})
    assert response.status_code == 400
    page = response.content.decode()
    assert "Write the month as year-month" in page or "has not begun" in page
    assert "<b>" not in page


def test_it_says_whose_it_is_who_made_it_and_in_which_zone(people: dict[str, User]) -> None:
    expected = {
        "admin": ("Acme", "America/Los_Angeles"), "user": ("ann, Acme", "America/Los_Angeles"),
        "super admin": ("All organizations", "each organization"),
    }  # fmt: skip
    for who, (whose, zone) in expected.items():
        page = opened(people[who]).content.decode()
        assert f'<p class="whose">{whose}</p>' in page
        assert f"Made by {people[who].display_name} on" in page
        assert zone in page


def test_amounts_in_the_chart(acme: Organization, admin: User, prices: None) -> None:
    record([call("priced/a", organization="acme", at=datetime(2026, 10, 20, 20, tzinfo=UTC), usage=usage(1_000, 0))])
    bars = opened(admin).context["chart"].bars
    assert len(bars) == 31
    assert [bar.day for bar in bars if float(bar.height)] == [20]
    assert bars[19].title == f"20 Oct 2026: ${Decimal('0.00015')}"
    assert bars[19].is_finished
