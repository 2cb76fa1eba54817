"""Requests of a page that fail: the page says so where it happened, and offers to try again."""

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, Route, expect

from accounts.models import Organization, User
from ledger.recording.record import record
from tests.browser.conftest import SignedIn, accessibility_violations, choose_range
from tests.ledger.calls import call

pytestmark = pytest.mark.django_db(transaction=True)

UNREACHABLE = "The server could not be reached."


@pytest.fixture
def ledger(acme: Organization, admin: User) -> None:
    record(call(organization="acme", at=datetime.now(UTC), project=f"p{n}") for n in range(12))


def cut(page: Page, pattern: str) -> None:
    page.route(re.compile(pattern), lambda route: route.abort())


def mend(page: Page) -> None:
    page.unroute_all()


def test_a_filter_whose_request_fails_says_so_and_is_tried_again(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/requests/")
    cut(page, "range=7d")
    choose_range(page, "Last 7 days")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(UNREACHABLE)
    expect(page.locator("table.log")).to_be_visible()
    assert accessibility_violations(page) == []
    record([call(organization="acme", at=datetime.now(UTC), project="new")])
    page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")
    expect(page.locator("table.log tbody tr")).to_have_count(13)  # a refresh in between does not undo the choice
    mend(page)
    alert.get_by_role("button", name="Try again").click()
    expect(page).to_have_url(re.compile("range=7d"))
    expect(alert).to_have_count(0)


def test_an_answer_that_is_not_ours_does_not_replace_the_page(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/sessions/")

    def bad_gateway(route: Route) -> None:
        route.fulfill(status=502, content_type="text/html", body="<html><h1>nginx</h1></html>")

    page.route(re.compile("sort=tokens"), bad_gateway)
    page.get_by_role("link", name="Tokens").click()
    expect(page.get_by_role("alert")).to_contain_text("The server answered with an error (502).")
    expect(page.get_by_text("nginx")).to_have_count(0)
    expect(page.locator("#filters")).to_be_visible()
    mend(page)
    page.get_by_role("button", name="Try again").click()
    expect(page).to_have_url(re.compile("sort=tokens"))
    expect(page.get_by_role("alert")).to_have_count(0)


def test_charts_and_menus_and_refreshes_that_fail(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/my-usage/")
    cut(page, "/charts/")
    page.goto("/")
    expect(page.locator("#slow").get_by_role("alert")).to_contain_text(UNREACHABLE)
    expect(page.locator("#chart-latency")).to_be_hidden()
    mend(page)
    page.locator("#slow").get_by_role("button", name="Try again").click()
    expect(page.locator("#plot-latency .main-svg").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)

    page.goto("/requests/")
    cut(page, "/choices/")
    page.locator("details[data-menu=project] summary").click()
    expect(page.locator("details[data-menu=project]").get_by_role("alert")).to_contain_text(UNREACHABLE)
    mend(page)
    page.locator("details[data-menu=project]").get_by_role("button", name="Try again").click()
    expect(page.get_by_role("checkbox", name="p11")).to_be_visible()
    page.keyboard.press("Escape")

    cut(page, "/requests/")
    page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")
    expect(page.get_by_role("alert")).to_contain_text(UNREACHABLE)
    mend(page)
    page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")
    expect(page.get_by_role("alert")).to_have_count(0)
