"""The event log in a browser: drawer, paging, badges, live refresh, keyboard, without JavaScript, on every screen."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organization, User
from groq_client.call import UsagePart
from ledger.recording.record import record
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn, choose_range
from tests.ledger.calls import call, failed, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
MODELS = ("openai/gpt-oss-120b", "meta-llama/llama-4-maverick-17b-128e-instruct", "unpriced/model")
ROWS = "table.log tbody tr"


@pytest.fixture
def ledger(acme: Organization, admin: User, user: User) -> None:
    """120 messages, an hour apart, the newest of them a compound one; some failed, some have no price."""
    for model in MODELS[:2]:
        make_price(model, input_usd_per_1k_tokens=Decimal("0.00015"), cached_input_usd_per_1k_tokens=Decimal("0.00007"))
    more = {"organization": "acme", "user": "ann", "project": "a project with quite a long name"}
    parts = tuple(UsagePart(model, usage(1000, 100, cached_tokens=64)) for model in MODELS[:2])
    record([call("groq/compound", **more, at=NOW - timedelta(minutes=1), usage=usage(2000, 200, parts=parts))])
    record(
        failed(**more, at=NOW - timedelta(hours=n), error_message="Rate limit reached for model")
        if n % 10 == 4
        else call(
            MODELS[n % 3], **more, at=NOW - timedelta(hours=n), provider_request_id=f"req_{n:026}", ttft_ms=90,
            session_id="s-1", metadata={"ticket": n}, usage=usage(1000, 100 * n, queue_ms=9.0, completion_ms=150.0),
        )
        for n in range(1, 120)
    )  # fmt: skip


def overflows(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def test_nothing_overflows_on_any_screen(ledger: None, admin: User, sign_in: SignedIn) -> None:
    """The list, what a badge explains, the drawer, and the page of a request."""
    page = sign_in(admin, "/requests/")
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        assert not overflows(page), size
        page.locator("button.explained").first.click()
        tip = page.locator(".explanation:popover-open").bounding_box()
        assert tip
        assert tip["x"] >= 0, size
        assert tip["x"] + tip["width"] <= width, size
        page.keyboard.press("Escape")
        page.locator(ROWS).first.locator("a").click()
        expect(page.locator("dialog.drawer")).to_be_visible()
        assert page.evaluate("document.querySelector('.drawer').scrollWidth <= innerWidth"), size
        page.keyboard.press("Escape")
    page.goto(str(page.locator(ROWS).first.locator("a").get_attribute("href")))
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        assert not overflows(page), size


def test_the_drawer_by_keyboard_stays_open_while_the_list_lives(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/")
    link = page.locator(ROWS).nth(2).locator("a")
    address = link.get_attribute("href")
    link.focus()
    page.keyboard.press("Enter")
    drawer = page.locator("dialog.drawer")
    expect(drawer.get_by_role("heading", name="Request", exact=False).first).to_be_visible()
    expect(drawer).to_contain_text("Groq's request id")
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    record([call(MODELS[0], organization="acme", at=NOW, request_id="brand-new")])
    page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")
    expect(page.locator(ROWS).nth(3).locator("a")).to_have_attribute("href", str(address))
    expect(drawer).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).not_to_be_visible()
    assert page.evaluate("document.activeElement.getAttribute('href')") == address
    page.locator(ROWS).nth(5).locator("td.status").click()  # anywhere in a row
    expect(drawer).to_be_visible()
    page.mouse.click(20, 400)  # beside the drawer
    expect(drawer).not_to_be_visible()


def test_the_drawer_has_its_own_address(ledger: None, admin: User, sign_in: SignedIn) -> None:
    """Also after htmx has taken steps of its own in the history, which it goes back by loading."""
    page = sign_in(admin, "/requests/")
    choose_range(page, "Last 7 days")
    expect(page).to_have_url(re.compile("range=7d$"))
    page.evaluate("window.sameDocument = true")
    addresses = [str(page.locator(ROWS).nth(n).locator("a").get_attribute("href")) for n in range(4)]
    drawer, heading = page.locator("dialog.drawer"), page.locator("#drawer-title")
    page.locator(ROWS).nth(1).locator("a").click()
    expect(page).to_have_url(re.compile(f"{addresses[1]}$"))
    first = heading.inner_text()

    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(f"{addresses[2]}$"))
    expect(heading).not_to_have_text(first)
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(f"{addresses[3]}$"))
    drawer.get_by_role("button", name="Previous").click()
    expect(page).to_have_url(re.compile(f"{addresses[2]}$"))
    page.keyboard.press("k")
    expect(heading).to_have_text(first)
    page.keyboard.press("k")
    expect(page).to_have_url(re.compile(f"{addresses[0]}$"))
    expect(drawer.get_by_role("button", name="Previous")).to_be_disabled()

    page.go_back()
    expect(drawer).not_to_be_visible()
    expect(page).to_have_url(re.compile("range=7d$"))
    page.go_forward()
    expect(drawer).to_be_visible()
    expect(page).to_have_url(re.compile(f"{addresses[0]}$"))
    page.keyboard.press("Escape")
    expect(drawer).not_to_be_visible()
    expect(page).to_have_url(re.compile("range=7d$"))
    assert page.evaluate("window.sameDocument"), "nothing was loaded but the requests"
    page.go_back()
    expect(page).to_have_url(re.compile("/requests/$"))
    expect(page.locator(".ranges label:has(:checked)")).to_have_text("Last 30 days")
    page.goto(addresses[1])
    expect(page.locator("h1")).to_have_text("Request")


def test_an_id_is_copied_or_at_least_selected(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/", permissions=["clipboard-read", "clipboard-write"])
    page.locator(ROWS).nth(2).locator("a").click()
    code = page.locator("dialog .id code").last.inner_text()
    assert code.startswith("req_")
    button = page.get_by_role("button", name="Copy Groq's request id")
    button.click()
    expect(button).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == code
    whole = page.locator("dialog [data-copy-from]")
    expect(whole).to_have_text("Copy as JSON")
    whole.click()
    expect(whole).to_have_text("Copied")
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["provider_request_id"] == code
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.locator("dialog [data-copy]").first.click()
    assert page.evaluate("getSelection().toString()") == page.locator("dialog .id code").first.inner_text()


def test_columns_are_chosen_in_a_menu_with_and_without_a_script(ledger: None, admin: User, sign_in: SignedIn) -> None:
    """The menu keeps what is being chosen when the list refreshes itself, and the filters when it is sent."""
    for has_script in (True, False):
        page = sign_in(admin, "/requests/?range=7d&columns=time&columns=cost", java_script_enabled=has_script)
        menu = page.locator("details[data-menu=columns]")
        menu.locator("summary").click()
        menu.get_by_label("Session").check()
        if has_script:
            record([call(MODELS[2], organization="acme", at=NOW, request_id="brand-new")])
            page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")
            expect(page.locator(ROWS).first).to_contain_text("Unpriced")
        menu.locator("input[name=rows][value='25']").check()
        menu.get_by_role("button", name="Show").click()
        expect(page.locator("table.log thead th")).to_have_text(["Time", "Session", "Cost"])
        expect(page.locator(ROWS)).to_have_count(25)
        expect(page).to_have_url(re.compile("range=7d.*columns=session"))


def test_new_rows_come_without_a_jump_and_deep_pages_stay(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/")
    newest = page.get_by_label("Other pages of requests").get_by_role("link", name="Newest")
    watched = page.locator(f"#{page.locator(ROWS).nth(30).get_attribute('id')}")
    watched.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    before = watched.bounding_box()
    record([call(MODELS[2], organization="acme", at=NOW, request_id=f"brand-new-{n}") for n in range(3)])
    expect(page.locator(ROWS).nth(33)).to_have_id(str(watched.get_attribute("id")), timeout=15_000)
    after = watched.bounding_box()
    assert before
    assert after
    assert abs(after["y"] - before["y"]) < 2
    page.get_by_role("link", name="Older").click()
    expect(newest).to_be_visible()
    expect(page).to_have_url(re.compile("before="))
    assert page.locator(ROWS).first.bounding_box()["y"] < 800  # type: ignore[index]
    first = page.locator(ROWS).first.get_attribute("id")
    record([call(MODELS[2], organization="acme", at=NOW, request_id="and-another")])
    page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")
    page.wait_for_timeout(800)
    assert page.locator(ROWS).first.get_attribute("id") == first
    page.get_by_role("link", name="Newer").click()
    expect(page).to_have_url(re.compile("after="))
    newest.click()
    expect(newest).to_have_count(0)
    page.get_by_role("link", name="Older").click()
    expect(newest).to_be_visible()
    page.get_by_role("link", name="Older").click()
    expect(page.locator(ROWS)).to_have_count(24)
    page.go_back()
    expect(page.locator(ROWS)).to_have_count(50)


def test_search_and_unpriced_and_filters(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/?unpriced=1")
    expect(page.get_by_text("Only unpriced")).to_be_visible()
    expect(page.locator(f"{ROWS} .tag.warning")).to_have_count(36)
    choose_range(page, "Last 7 days")
    expect(page).to_have_url(re.compile("range=7d.*unpriced=1"))
    page.get_by_label("Remove only unpriced").click()
    expect(page.get_by_text("Only unpriced")).to_have_count(0)
    page.get_by_role("searchbox", name="Request id").fill(f"req_{7:026}")
    page.get_by_role("button", name="Find").click()
    expect(page.locator(ROWS)).to_have_count(1)
    expect(page.get_by_text("dates and filters do not apply")).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator(ROWS)).to_have_count(50)


def test_without_javascript(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/", java_script_enabled=False)
    page.get_by_role("link", name="Older").click()
    expect(page.locator(ROWS)).to_have_count(50)
    page.locator(ROWS).nth(1).locator("a").click()
    expect(page.locator("h1")).to_have_text("Request")
    expect(page.locator(".arithmetic")).to_be_visible()
    page.get_by_role("link", name="s-1", exact=True).click()
    expect(page).to_have_url(re.compile(r"/sessions/.*id=s-1"))
    page.get_by_role("link", name="Its requests").click()
    expect(page).to_have_url(re.compile("session=s-1"))
    page.locator("#id-search").fill("nothing like this")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("No request has the id")).to_be_visible()


def test_a_request_that_is_gone_or_a_session_that_ended_lead_to_pages(
    ledger: None, admin: User, sign_in: SignedIn
) -> None:
    page = sign_in(admin, "/requests/")
    page.evaluate("document.querySelector('a[data-drawer]').setAttribute('href', '/requests/1-999999999/')")
    page.locator(ROWS).first.locator("a").click()
    page.wait_for_url("**/requests/1-999999999/")
    page.goto("/requests/")
    page.context.clear_cookies()
    page.locator(ROWS).first.locator("a").click()
    page.wait_for_url("**/sign-in/?next=/requests/**")
