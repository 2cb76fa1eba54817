"""The list of sessions in a browser: for each role, on every screen, in light and dark, with and without JavaScript."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import Locator, Page, expect

from accounts.models import Organization, User
from ledger.recording.record import record
from pricing.models import Price
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn, accessibility_violations
from tests.ledger.calls import call, usage

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
MODELS = ("openai/gpt-oss-120b", "llama-3.3-70b-versatile", "meta-llama/llama-4-maverick-17b-128e-instruct")
LONG = "3f2b8a60-5f0e-4f6e-9f1c-a-conversation-with-a-very-long-name-that-nobody-would-choose"


@pytest.fixture
def ledger(acme: Organization, globex: Organization, user: User, colleague: User, admin: User) -> None:
    """Thirty sessions of Ann and two of Ben, the last of them dear, and one of another organization."""
    for model in MODELS[:2]:
        Price.objects.create(
            model=model, input_usd_per_1k_tokens=Decimal("0.001"), output_usd_per_1k_tokens=Decimal("0.01"),
            effective_from=NOW - timedelta(days=400), source_note="a test",
        )  # fmt: skip
    record(
        call(
            MODELS[n % 2], organization="acme", user="ann", session_id=f"talk-{n:02}",
            at=NOW - timedelta(hours=n + 1, minutes=message), usage=usage(100 * n, 10),
        )
        for n in range(30)
        for message in range(1 + n % 4)
    )  # fmt: skip
    record(
        call(
            model, organization="acme", user="ben", session_id=LONG, at=NOW - timedelta(days=2), usage=usage(9_000, 900)
        )
        for model in (*MODELS, *MODELS)
    )
    record([call(MODELS[2], organization="acme", user="ben", session_id="unpriced", at=NOW - timedelta(days=3))])
    record([call(MODELS[0], organization="globex", user="eve", session_id="theirs", at=NOW - timedelta(days=4))])


def ids(page: Page) -> Locator:
    """To be asked by ``expect`` alone, which waits: a page that has just been asked for may have no rows yet."""
    return page.locator(".session-id")


def sort_by(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Sort by").get_by_role("link", name=name).click()
    expect(page.locator(".sessions .segments a[aria-current]")).to_have_text(name)


CUT_OFF = """[...document.querySelectorAll('.card, .cost-range, .segments, .pager, .cost, time, .session-id')]
    .filter(element => element.checkVisibility() && !element.closest('.scroller table'))
    .filter(element => element.getBoundingClientRect().left < 0 || element.getBoundingClientRect().right > innerWidth)
    .map(element => element.className)"""


def test_a_super_admin_sorts_filters_and_opens_a_session(ledger: None, super_admin: User, sign_in: SignedIn) -> None:
    page = sign_in(super_admin, "/sessions/")
    expect(ids(page).nth(0)).to_have_text("talk-00")
    expect(ids(page).nth(1)).to_have_text("talk-01")
    page.evaluate("window.sameDocument = true")
    sort_by(page, "Cost")
    expect(ids(page).first).to_have_text(LONG)
    dear = page.get_by_role("row").filter(has_text=LONG)
    dear.get_by_role("button", name="≥ $0.072").click()
    expect(dear.locator(".explanation")).to_contain_text(
        re.compile(r"Input\s*54,000.*Cached\s*0.*Output\s*5,400.*2 unpriced", re.DOTALL)
    )
    page.keyboard.press("Escape")
    page.get_by_label("From $").fill("0.01")
    page.get_by_label("From $").press("Tab")
    page.wait_for_url("**sort=cost&cost_min=0.01")
    expect(ids(page)).to_have_text([LONG, "talk-27"])
    page.get_by_label("To $").fill("0.001")
    page.get_by_label("To $").press("Tab")
    expect(page.get_by_text("less than where the range begins")).to_be_visible()
    page.get_by_label("To $").fill("")
    page.get_by_label("To $").press("Tab")
    expect(ids(page)).to_have_count(2)
    page.locator("summary", has_text="Model").click()
    page.get_by_role("checkbox", name=MODELS[2]).check()
    expect(ids(page)).to_have_text([LONG])
    expect(page).to_have_url(re.compile("cost_min=0.01"))
    assert page.evaluate("window.sameDocument")
    page.keyboard.press("Escape")
    dear.hover()
    dear.get_by_role("button", name="Copy").click()
    expect(dear.get_by_role("button", name="Copy")).to_have_text("Copied")
    listed = page.url
    page.get_by_role("link", name=LONG, exact=True).click()
    expect(page.locator("h1")).to_have_text("Session")
    expect(page.locator(".timeline tbody tr")).to_have_count(6)
    expect(page.get_by_role("region", name="What it would have cost on another model")).to_contain_text(MODELS[0])
    page.locator(".timeline tbody tr a").first.click()
    expect(page.locator("dialog.drawer")).to_be_visible()
    page.go_back()
    expect(page.locator("dialog.drawer")).not_to_be_visible()
    page.get_by_role("link", name="All sessions").click()
    expect(page).to_have_url(listed)
    page.get_by_role("link", name=LONG, exact=True).click()
    page.get_by_role("link", name="Its requests").click()
    page.wait_for_url("**/requests/?*session=*")
    expect(page.locator(".chip", has_text="Session")).to_contain_text(LONG)
    expect(page.locator("#results tbody tr")).to_have_count(6)


def test_an_admin_pages_without_javascript(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/sessions/", java_script_enabled=False)
    assert "theirs" not in page.content()
    expect(ids(page)).to_have_count(25)
    first = ids(page).all_inner_texts()
    page.get_by_role("link", name="Next").click()
    expect(ids(page)).to_have_count(7)
    assert len({*first, *ids(page).all_inner_texts()}) == 32
    page.get_by_role("link", name="First page").click()
    expect(ids(page)).to_have_text(first)
    sort_by(page, "Requests")
    expect(ids(page).first).to_have_text(LONG)
    page.get_by_label("From $").fill("0.01")
    page.get_by_label("Cost of a session in dollars").get_by_role("button", name="Apply").click()
    expect(ids(page)).to_have_text([LONG, "talk-27"])
    page.get_by_label("From $").fill("1")
    page.get_by_label("From $").press("Enter")
    expect(page.get_by_text("No usage recorded for this range.")).to_be_visible()


def test_a_user_sees_own_sessions_and_their_cost_only_by_leave(
    ledger: None, acme: Organization, user: User, sign_in: SignedIn
) -> None:
    page = sign_in(user, "/sessions/?sort=cost&cost_min=0.01", size="phone")
    expect(ids(page).first).to_have_text("talk-00")
    assert "cost" not in page.content().lower()
    expect(page.get_by_role("navigation", name="Sort by").get_by_role("link")).to_have_count(3)
    sort_by(page, "Tokens")
    expect(ids(page).first).to_have_text("talk-27")
    acme.show_user_cost = True
    acme.save()
    page.goto("/sessions/?sort=cost&cost_min=0.01")
    expect(ids(page)).to_have_text(["talk-27"])
    page.get_by_role("link", name="talk-27", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sessions/**id=talk-27**")
    expect(page.locator(".timeline tbody tr")).to_have_count(4)


def test_it_refreshes_itself(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/sessions/")
    record([call(MODELS[0], organization="acme", user="ben", session_id="just now", at=datetime.now(UTC))])
    page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")
    expect(ids(page).first).to_have_text("just now")
    page.get_by_role("link", name="just now", exact=True).click()
    expect(page.get_by_role("button", name="Live")).to_be_visible()
    record([call(MODELS[0], organization="acme", user="ben", session_id="just now", at=datetime.now(UTC))])
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".timeline tbody tr")).to_have_count(2)


def test_it_fits_every_screen_and_everybody_can_use_it(ledger: None, super_admin: User, sign_in: SignedIn) -> None:
    """axe-core finds nothing, in light and in dark, on a phone and on a desktop."""
    page = sign_in(super_admin, "/sessions/?sort=cost&cost_min=x&cost_max=-1")
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, size
        assert page.evaluate(CUT_OFF) == [], size
        if size in ("phone", "desktop"):
            assert_accessible(page)
    page.goto("/sessions/?range=custom&from=2020-01-01&to=2020-01-02")
    assert_accessible(page)


def assert_accessible(page: Page) -> None:
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert accessibility_violations(page) == [], (page.url, theme)
