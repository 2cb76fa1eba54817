"""Saving a view, opening it and beginning with it, as somebody does it; and the month report on paper."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from accounts.models import Organization, User
from ledger.recording.record import record
from tests.browser.conftest import SignedIn, choose_range
from tests.cast import PASSWORD
from tests.ledger.calls import call

pytestmark = pytest.mark.django_db(transaction=True)

WEEK = re.compile(r"//[^/]+/requests/\?range=7d$")


def test_a_view_is_saved_opened_and_begun_with(acme: Organization, user: User, sign_in: SignedIn) -> None:
    record([call(organization="acme", user="ann", at=datetime.now(UTC))])
    page = sign_in(user, "/requests/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose_range(page, "Last 7 days")
    page.wait_for_url(WEEK)
    menu = page.locator(".views > summary")
    menu.click()
    copied = page.get_by_role("button", name="Copy link")
    copied.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.get_by_role("link", name="Save this view…").click()
    page.get_by_label("Name", exact=True).fill("My week")
    page.get_by_label("Begin here").check()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(WEEK)
    expect(page.get_by_text("The view My week is saved.")).to_be_visible()

    page.get_by_role("navigation", name="Analytics pages").get_by_role("link", name="Overview").click()
    page.wait_for_url("**/?range=7d")
    menu.click()
    page.get_by_role("link", name="My week").click()
    page.wait_for_url(WEEK)

    page.goto("/")  # as somebody types it
    page.wait_for_url(WEEK)
    page.get_by_role("link", name="Groq usage, start page").click()
    page.wait_for_url(WEEK)
    theirs = sign_in(None, "/")
    theirs.get_by_label("Username").fill(user.username)
    theirs.get_by_label("Password").fill(PASSWORD)
    theirs.get_by_role("button", name="Sign in").click()
    theirs.wait_for_url(WEEK)


def test_a_month_prints_on_pages_of_a4_in_light_colors(
    acme: Organization, admin: User, sign_in: SignedIn, tmp_path: Path
) -> None:
    record([call(organization="acme", at=datetime.now(UTC))])
    page = sign_in(admin, "/report/", theme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.querySelector('.sheet-of-paper h2')).color") == "rgb(27, 26, 34)"
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    paper = page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    sizes = {tuple(map(float, size)) for size in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper)}
    assert {(round(width / 72 * 25.4), round(height / 72 * 25.4)) for width, height in sizes} == {(210, 297)}
