"""The head of the analytics pages: figures begin high up, and range and filters stay in view and in nobody's way."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organization, User
from ledger.recording.record import record
from tests.browser.conftest import SignedIn
from tests.ledger.calls import call

pytestmark = pytest.mark.django_db(transaction=True)

HIGHEST = 200
"""The first card begins at most this many pixels below the top of a window of 1440 × 900."""
TOP = "selector => document.querySelector(selector).getBoundingClientRect().top"
IN_THE_WAY = """() => {
    const bar = document.querySelector("#filters").getBoundingClientRect(), focused = document.activeElement;
    return focused.closest("header, #filters") ? 0 : bar.bottom - focused.getBoundingClientRect().top;
}"""
"""By how much the row covers what has the focus."""


@pytest.fixture
def ledger(acme: Organization, user: User, admin: User) -> None:
    """Each of an Admin and a User has a call of each of thirty models, of which none has a price."""
    now = datetime.now(UTC)
    record(
        call(f"model/{n}", organization="acme", user=person.username, at=now - timedelta(minutes=n))
        for n in range(30)
        for person in (user, admin)
    )


def top(page: Page, selector: str) -> float:
    return float(page.evaluate(TOP, selector))


def scrolled(page: Page, by: int = 600) -> Page:
    page.evaluate("by => scrollTo(0, by)", by)
    page.wait_for_function("scrollY > 100")
    return page


@pytest.mark.parametrize("role", ["super_admin", "admin", "user"])
def test_figures_begin_high_up_and_filters_stay(
    ledger: None, request: pytest.FixtureRequest, sign_in: SignedIn, role: str
) -> None:
    Organization.objects.filter(slug="acme").update(show_user_cost=True)
    page = sign_in(request.getfixturevalue(role), viewport={"width": 1440, "height": 900})
    assert top(page, "#results .card") <= HIGHEST
    notice = page.locator(".unpriced")
    expect(notice).to_be_visible()
    assert notice.evaluate("notice => notice.clientHeight / parseFloat(getComputedStyle(notice).lineHeight)") < 2.5
    below = top(page, "#results")
    for width in (1440, 1200, 390, 320):
        page.set_viewport_size({"width": width, "height": 900})
        scrolled(page)
        assert top(page, "#filters") == 64, width
        assert page.locator("#filters").evaluate("bar => bar.clientHeight") == 50, width
        expect(page.locator(".ranges summary")).to_be_in_viewport()
    page.set_viewport_size({"width": 844, "height": 390})
    assert top(page, "#filters") < 0, "a low window is left to the figures"
    page.set_viewport_size({"width": 1440, "height": 900})
    page.evaluate("scrollTo(0, 0)")
    page.locator("details[data-menu=model] summary").click()
    page.locator("[data-menu=model] input[value='model/3']").check()
    expect(page.locator(".chip")).to_have_count(1)
    assert page.locator("#filters").evaluate("bar => bar.clientHeight") == 50, "a choice moves nothing"
    assert below < HIGHEST
    if role != "super_admin":  # who belongs to no organization
        page.goto("/my-usage/")
        assert top(page, "#results .card") <= HIGHEST


def test_the_row_hides_nothing_that_has_the_focus(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/models/", size="phone")
    expect(page.get_by_role("link", name="requests without a price")).to_be_visible()
    page.locator("#results a").last.focus()
    page.wait_for_function("scrollY > 500")
    for _ in range(25):
        page.keyboard.press("Shift+Tab")
        assert page.evaluate(IN_THE_WAY) <= 0
    page.get_by_role("button", name="Filters").click()
    expect(page.locator("#sheet-title")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator(".ranges summary").click()
    assert page.locator(".ranges .panel").evaluate("panel => panel.getBoundingClientRect().bottom <= innerHeight")


def test_a_menu_at_the_edge_never_makes_the_page_wider(ledger: None, admin: User, sign_in: SignedIn) -> None:
    """Its panel opens to the left from its first moment, not only once it was drawn."""
    page = sign_in(admin, "/requests/")
    for width in (768, 390, 320):
        page.set_viewport_size({"width": width, "height": 900})
        wider = page.locator(".views > summary").evaluate(
            """async summary => {
                summary.click();
                await Promise.resolve();
                const wider = document.documentElement.scrollWidth - innerWidth;
                summary.click();
                return wider;
            }"""
        )
        assert wider <= 0, width
