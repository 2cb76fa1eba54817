"""The page of scheduled exports in a browser: by form, on every screen, in light and dark."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from accounts.models import User
from analytics.models import ScheduledExport
from tests.browser.conftest import SignedIn, accessibility_violations

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 11, 2, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> None:
    settings.EXPORT_FOLDER = str(tmp_path)


@pytest.fixture
def schedule(admin: User) -> ScheduledExport:
    """An export with a finished period, a failed one, and one that is being made."""
    made = ScheduledExport.objects.create(
        organization=admin.organization, author=admin, kind="events", format="parquet", every="month",
        place="folder", prefix="a-long-path/without-any-space-in-it-that-goes-on-and-on", first_day=date(2026, 8, 1),
    )  # fmt: skip
    parts = [{"name": "x", "rows": 1, "bytes": 1_234_567, "sha256": "0"}]
    made.runs.create(first_day=date(2026, 8, 1), last_day=date(2026, 8, 31), parts=parts, finished_at=AT)
    made.runs.create(
        first_day=date(2026, 9, 1), last_day=date(2026, 9, 30), attempts=2, retry_at=AT, problem="The bucket refused."
    )
    made.runs.create(first_day=date(2026, 10, 1), last_day=date(2026, 10, 31))
    return made


def test_an_admin_schedules_one(sign_in: SignedIn, admin: User) -> None:
    page = sign_in(admin, "/organization/", java_script_enabled=False)
    page.get_by_role("link", name="Exports").click()
    page.get_by_role("link", name="Schedule an export").click()
    page.get_by_label("What").select_option(label="FOCUS, the costs for finance")
    page.get_by_label("Every").select_option(label="Every day")
    page.get_by_role("button", name="Schedule").click()
    expect(page.get_by_text("A FOCUS file is of a whole month.")).to_be_visible()
    page.get_by_label("Every").select_option(label="Every month")
    page.get_by_label("Path").fill("finance")
    page.get_by_role("button", name="Schedule").click()
    expect(page.get_by_text("acme/finance/focus-csv-month/")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No exports are scheduled.")).to_be_visible()


@pytest.mark.parametrize("size", ["320", "phone", "desktop"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_fit_and_can_be_used_by_all(
    sign_in: SignedIn, admin: User, schedule: ScheduledExport, size: str, theme: str
) -> None:
    for path in ("", "add/"):
        page = sign_in(admin, f"/organization/{admin.organization_id}/exports/{path}", size=size, theme=theme)
        assert accessibility_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
