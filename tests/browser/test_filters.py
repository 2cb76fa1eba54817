"""Filter menus, the bottom sheet and table searches in a browser: by pointer, by keyboard, without JavaScript."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from accounts.models import Organization, User
from analytics.filters.menus import OPTIONS
from ledger.recording.record import record
from tests.browser.conftest import SignedIn, accessibility_violations, choose_range
from tests.ledger.calls import call

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
MODELS = ("openai/gpt-oss-120b", "llama-3.3-70b-versatile")


@pytest.fixture
def ledger(acme: Organization, admin: User) -> None:
    """Acme has 120 people, each with one message, and one of them with two."""
    record(
        call(MODELS[n % 2], organization="acme", at=NOW - timedelta(hours=n % 40 + 1), user=f"person-{n % 120:03}")
        for n in range(121)
    )


def menu_of(page: Page, label: str) -> Locator:
    return page.locator("details.filter", has=page.locator("summary", has_text=label))


def options(menu: Locator) -> Locator:
    return menu.locator(".option")


def messages(page: Page) -> Locator:
    return page.locator("#card-messages .value")


def refresh(page: Page) -> None:
    """The live refresh, now and not in five seconds; something was recorded meanwhile."""
    record([call(MODELS[0], organization="acme", at=NOW, user="person-000")])
    with page.expect_response(lambda response: response.request.headers.get("hx-source") == "div#results"):
        page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")


def test_a_menu_is_searched_by_the_server(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    menu = menu_of(page, "User")
    menu.locator("summary").click()
    expect(options(menu)).to_have_count(OPTIONS)
    expect(menu.get_by_text(f"The {OPTIONS} most used of 120.")).to_be_visible()
    search = menu.get_by_label("Search user")
    search.press_sequentially("person-11")
    expect(options(menu)).to_have_count(10)
    menu.get_by_role("checkbox", name="person-117").check()
    page.wait_for_url("**/?user=*")
    expect(messages(page)).to_have_text("1")
    expect(options(menu)).to_have_count(10)  # the search stands, with what is chosen first
    expect(options(menu).first).to_contain_text("person-117")
    search.fill("nobody")
    expect(menu.get_by_text("Nothing else in this range matches “nobody”.")).to_be_visible()
    expect(menu.get_by_role("checkbox", name="person-117")).to_be_checked()
    search.fill("person-003")
    menu.get_by_role("checkbox", name="person-003").check()
    expect(messages(page)).to_have_text("2")
    assert "q-user" not in page.url
    refresh(page)
    expect(menu).to_have_attribute("open", "")
    expect(search).to_have_value("person-003")
    page.keyboard.press("Escape")
    expect(menu.locator("summary")).to_be_focused()
    page.get_by_label("Remove User person-117").click()
    expect(messages(page)).to_have_text("1")


def test_a_table_is_searched_where_it_stands(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    table = page.locator(".table-card", has=page.locator("#table-user-title"))
    search = table.get_by_role("searchbox")
    search.press_sequentially("person-11")
    expect(table.get_by_text("1–10 of 120")).to_have_count(0)
    page.wait_for_url("**/?find-user=person-11")
    expect(table.locator("tbody tr")).to_have_count(10)
    expect(search).to_be_focused()
    page.evaluate("document.activeElement.setSelectionRange(2, 2)")
    refresh(page)
    expect(messages(page)).to_have_text("122")
    expect(search).to_be_focused()
    assert page.evaluate("document.activeElement.selectionStart") == 2
    page.keyboard.type("x")
    refresh(page)  # what is being typed is not taken back
    expect(search).to_have_value("pexrson-11")
    expect(table.get_by_text("Nothing matches “pexrson-11” in this range.")).to_be_visible()
    expect(search).to_be_focused()
    search.fill("person-00")
    page.wait_for_url("**/?find-user=person-00")
    table.get_by_role("link", name="person-005").click()
    page.wait_for_url("**/?user=*")
    expect(page.locator(".chip")).to_have_count(1)
    page.go_back()
    expect(page.locator(".chip")).to_have_count(0)
    expect(search).to_have_value("person-00")
    choose_range(page, "Last 7 days")
    page.wait_for_url("**/?range=7d&find-user=person-00")  # the state goes along


def test_searches_work_without_javascript(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, java_script_enabled=False)
    page.get_by_label("Search the table by user").fill("person-119")
    page.keyboard.press("Enter")
    expect(page.locator(".table-card", has=page.locator("#table-user-title")).locator("tbody tr")).to_have_count(1)
    menu = menu_of(page, "User")
    menu.locator("summary").click()
    menu.get_by_label("Search user").fill("person-118")
    page.keyboard.press("Enter")
    expect(menu).to_have_attribute("open", "")
    menu.get_by_role("checkbox", name="person-118").check()
    menu.get_by_role("button", name="Apply").click()
    expect(messages(page)).to_have_text("1")
    expect(page.get_by_label("Remove User person-118")).to_be_visible()


@pytest.mark.parametrize("size", ["320", "phone"])
def test_on_a_phone_filters_are_a_sheet(ledger: None, admin: User, sign_in: SignedIn, size: str) -> None:
    page = sign_in(admin, size=size)
    opener, sheet = page.get_by_role("button", name="Filters"), page.locator("#sheet")
    opener.focus()
    page.keyboard.press("Enter")
    expect(sheet.get_by_role("heading", name="Filters")).to_be_focused()
    page.keyboard.press("Tab")
    expect(sheet.get_by_role("button", name="Done")).to_be_focused()
    page.mouse.move(100, 30)
    page.mouse.wheel(0, 400)
    assert page.evaluate("scrollY") == 0  # the page behind stays
    menu = menu_of(page, "Model")
    menu.locator("summary").focus()
    page.keyboard.press("Space")
    menu.get_by_role("checkbox", name=MODELS[1]).check()
    expect(messages(page)).to_have_text("60")
    expect(sheet).to_be_visible()  # a filter changed, the sheet is still there
    expect(menu).to_have_attribute("open", "")
    expect(menu.get_by_role("checkbox", name=MODELS[1])).to_be_focused()
    assert accessibility_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(opener).to_be_focused()
    opener.click()
    sheet.get_by_role("button", name="Done").click()
    expect(sheet).to_be_hidden()
    opener.click()
    page.set_viewport_size({"width": 1200, "height": 844})  # there is room for menus
    expect(page.locator("#sheet:popover-open")).to_have_count(0)
    expect(menu_of(page, "User").locator("summary")).to_be_visible()


def test_a_costly_menu_is_filled_when_it_is_opened(ledger: None, admin: User, sign_in: SignedIn) -> None:
    record([call(MODELS[0], organization="acme", at=NOW, template_id="t", expert_id=f"expert {n}") for n in range(3)])
    page = sign_in(admin, "/?template=t&expert=expert+1")
    menu = menu_of(page, "Expert")
    menu.locator("summary").click()
    expect(options(menu)).to_have_count(3)
    menu.get_by_role("checkbox", name="expert 2").check()
    expect(messages(page)).to_have_text("2")
    expect(options(menu)).to_have_count(3)  # it is open, so it stays filled
