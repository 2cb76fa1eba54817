"""The ranges of days in a browser, and what a page of days that are over does not do."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Request, expect

from accounts.models import Organization, User
from ledger.recording.record import record
from tests.browser.conftest import SignedIn, choose_range
from tests.cast import zone_at_noon
from tests.ledger.calls import call

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
REFRESH = "document.dispatchEvent(new Event('visibilitychange'))"
"""What a reader does who comes back to the page: it refreshes itself at once, if it does."""


@pytest.fixture
def ledger(acme: Organization, admin: User) -> None:
    acme.time_zone = zone_at_noon()
    acme.save()
    record(call(organization="acme", at=NOW - timedelta(days=day)) for day in (0, 1, 100))


def test_ranges_are_in_a_menu_that_closes_on_a_click(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/")
    menu = page.locator(".ranges")
    choose_range(page, "Yesterday")
    expect(page).to_have_url(re.compile(r"range=yesterday$"))
    expect(menu.locator("summary")).to_have_text("Days: Yesterday")
    expect(menu).not_to_have_attribute("open", "")
    expect(menu.locator("summary")).to_be_focused()
    expect(page.locator("table.log tbody tr")).to_have_count(1)
    page.keyboard.press("Enter")  # By keyboard, ranges are gone through one by one, and the menu stays.
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    expect(page).to_have_url(re.compile(r"range=today$"))
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    page.locator("details[data-menu=status] summary").click()
    page.get_by_role("checkbox", name="success").check()
    expect(page).to_have_url(re.compile(r"range=today&status=success$"))


def test_without_javascript_a_range_is_chosen_and_applied(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/", java_script_enabled=False)
    choose_range(page, "This year")
    page.locator(".ranges").get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile("range=year"))


def test_a_page_of_days_that_are_over_asks_for_nothing(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/?range=yesterday")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/static/" not in request.url else None)
    expect(page.get_by_text("Closed range")).to_be_visible()
    page.evaluate(REFRESH)
    page.wait_for_timeout(300)
    assert asked == []
    choose_range(page, "Last 7 days")
    expect(page.get_by_role("button", name="Live")).to_be_visible()
    with page.expect_request(lambda request: request.headers.get("hx-source") == "div#results"):
        page.evaluate(REFRESH)


def test_the_charts_say_nothing_on_the_console(ledger: None, super_admin: User, sign_in: SignedIn) -> None:
    page = sign_in(super_admin, "/my-usage/")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto("/?range=all&provider=all")
    expect(page.locator(".plot:not(.js-plotly-plot)")).to_have_count(0)
    page.locator("#chart-heat .segments label", has_text="Cost").click()
    page.locator("#plot-heat .nsewdrag").hover()
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)
    assert said == []


def test_marks_of_the_axes_are_round(acme: Organization, admin: User, sign_in: SignedIn) -> None:
    """The rate of errors is 1 of 6, so marks at a fifth of it would be rounded; and no mark is at half a request."""
    record(call(organization="acme", at=NOW, status="error" if n == 0 else "success") for n in range(6))
    page = sign_in(admin, "/?range=7d")
    expect(page.locator(".plot:not(.js-plotly-plot)")).to_have_count(0)
    assert page.locator("#plot-requests .y2tick").all_text_contents() == ["0%", "5%", "10%", "15%", "20%"]
    page.goto("/?range=7d&status=error")
    expect(page.locator(".plot:not(.js-plotly-plot)")).to_have_count(0)
    assert page.locator("#plot-requests .ytick").all_text_contents() == ["0", "1"]
    assert page.locator("#plot-requests .y2tick").all_text_contents() == ["0%", "20%", "40%", "60%", "80%", "100%"]


def test_the_way_back_from_another_tab_keeps_the_filters(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/?range=all&status=success")
    page.get_by_role("link", name="Pricing").click()
    expect(page).to_have_url(re.compile("/pricing/"))
    page.get_by_role("link", name="Analytics", exact=True).click()
    expect(page).to_have_url(re.compile(r"/requests/\?range=all&status=success$"))
    page.get_by_role("link", name="Analytics", exact=True).click()
    expect(page).to_have_url(re.compile(r"localhost:\d+/$"))


def test_tables_keep_within_the_corners_of_their_card(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/?range=all")
    cards = page.locator(".table-card").evaluate_all("cards => cards.map(card => getComputedStyle(card).overflowX)")
    assert set(cards) == {"clip"}
