"""A phone: tables as rows of two lines, all columns for those who ask, and an Overview that folds."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn
from tests.visibility.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)

REFRESH = "document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))"
LEADS_SIDEWAYS = "scroller => scroller.scrollWidth > scroller.clientWidth"


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def on_phone(world: World, sign_in: SignedIn) -> Callable[..., Page]:
    def open_page(path: str = "/", person: User = world.acme.admin, **more: Any) -> Page:
        return sign_in(person, path, size="phone", **more)

    return open_page


def test_all_columns_are_there_for_those_who_ask_and_stay_through_a_refresh(on_phone: Callable[..., Page]) -> None:
    page = on_phone("/requests/")
    scroller, latency = page.locator(".scroller"), page.locator("td.cell-more").first
    assert not scroller.evaluate(LEADS_SIDEWAYS)
    expect(latency).not_to_be_visible()
    page.get_by_label("All columns").press("Space")
    assert scroller.evaluate(LEADS_SIDEWAYS)
    expect(latency).to_be_visible()
    with page.expect_response(lambda response: "/requests/" in response.url):
        page.evaluate(REFRESH)
    expect(page.locator(".htmx-request")).to_have_count(0)
    expect(page.get_by_label("All columns")).to_be_checked()


def test_a_fold_loads_when_it_opens_and_stays_open(on_phone: Callable[..., Page]) -> None:
    page = on_phone("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/")
    expect(page.locator(".js-plotly-plot")).to_have_count(2)  # The others are folded.
    charts, tables = page.locator("#fold-charts"), page.locator("#fold-tables")
    assert not [url for url in asked if "/charts/" in url]
    charts.locator("summary").first.press("Enter")
    expect(charts.locator(".plot:not(.js-plotly-plot)")).to_have_count(0)
    page.wait_for_function(ALL_FIT)
    tables.locator("summary").first.press("Enter")
    tables.get_by_role("columnheader", name="Tokens").first.get_by_role("link").click()
    expect(page).to_have_url(re.compile("sort="))
    expect(tables.locator("[aria-sort] a").first).to_be_visible()

    page.reload()
    expect(charts.locator(".js-plotly-plot").last).to_be_visible()
    charts.locator("summary").first.press("Enter")
    expect(charts.locator(".plot").first).not_to_be_visible()
    width, height = SIZES["desktop"]
    page.set_viewport_size({"width": width, "height": height})
    expect(charts.locator(".plot").first).to_be_visible()
    page.wait_for_function(ALL_FIT)


ALL_FIT = """() => [...document.querySelectorAll(".js-plotly-plot")].filter(plot => plot.checkVisibility()).every(
    plot => Math.abs(plot.querySelector(".main-svg").getBoundingClientRect().width - plot.clientWidth) < 2)"""


def test_without_javascript_folds_open_and_rows_can_be_sorted(
    on_phone: Callable[..., Page], sign_in: SignedIn, world: World
) -> None:
    page = on_phone(java_script_enabled=False)
    tables = page.locator("#fold-tables")
    expect(tables.get_by_role("row").first).not_to_be_visible()
    tables.locator("summary").first.click()
    tables.get_by_role("link", name="Tokens").first.click()
    page.wait_for_url("**sort=**")
    desktop = sign_in(world.acme.admin, java_script_enabled=False)
    expect(desktop.locator("#fold-tables").get_by_role("row").first).to_be_visible()
    expect(desktop.locator("#fold-tables > summary")).not_to_be_visible()
