"""Cards that open and charts that lead on: with the mouse, by touch and with the keyboard, while the page refreshes."""

import itertools
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import OperationalError
from playwright.sync_api import Page, expect

from accounts.models import Organization, User
from analytics.reports import Report
from ledger.recording.record import record
from pricing.models import Price
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn, accessibility_violations
from tests.cast import zone_at_noon
from tests.ledger.calls import call, failed, usage

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
MODELS = ("openai/gpt-oss-120b", "llama-3.3-70b-versatile", "meta-llama/llama-4-maverick-17b-128e-instruct")
DAY_HINT = "Click to see one day alone. Drag to see some days alone"
REFRESH = "document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))"


@pytest.fixture
def acme(acme: Organization) -> Organization:
    """Where it is about noon, so that "five minutes ago" is today."""
    acme.time_zone = zone_at_noon()
    acme.save()
    return acme


@pytest.fixture
def ledger(acme: Organization, admin: User, user: User) -> None:
    """Every other day of a month a message, of three models; the last has no price."""
    for model in MODELS[:2]:
        Price.objects.create(
            model=model, input_usd_per_1k_tokens=Decimal("0.15"), output_usd_per_1k_tokens=Decimal("0.6"),
            effective_from=NOW - timedelta(days=400), source_note="a test",
        )  # fmt: skip
    record(
        call(
            MODELS[day % 3], organization="acme", at=NOW - timedelta(days=day, minutes=5), latency_ms=200 + day,
            ttft_ms=50, usage=usage(1_234_567, 300, cached_tokens=200, reasoning_tokens=100),
        )
        for day in range(0, 29, 2)
    )  # fmt: skip
    record([failed(organization="acme", at=NOW - timedelta(days=2), model_requested=MODELS[0])])


def drawn(page: Page) -> None:
    """Wait until all charts are there, those too that come after the page."""
    expect(page.locator(".plot:not(.js-plotly-plot)")).to_have_count(0)
    expect(page.locator(".plot .main-svg").first).to_be_visible()


def eventually(page: Page, expression: str) -> None:
    """Playwright's own waiting for an expression needs the ``eval`` that the page forbids."""
    for _ in range(50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"never: {expression}")


def click(page: Page, plot: str, right: float, down: float) -> None:
    """With the mouse on a point of a plot, in pixels from its middle."""
    page.locator(plot).scroll_into_view_if_needed()
    box = page.locator(plot).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2 + right, box["y"] + box["height"] / 2 + down)
    page.wait_for_timeout(200)  # Plotly looks at what is under the mouse a little later
    page.mouse.down()
    page.mouse.up()


def facts(page: Page, card: str) -> Any:
    return page.locator(f"#facts-{card}")


# Cards


def test_a_card_opens_by_mouse_keyboard_and_click_and_stays_open(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    tokens, cost = facts(page, "total-tokens"), facts(page, "total-cost")
    page.locator("#card-total-tokens").hover()
    expect(tokens).to_be_visible()
    expect(tokens).to_contain_text("18,518,505")
    tokens.hover()  # what it says can be reached
    page.wait_for_timeout(500)
    expect(tokens).to_be_visible()
    page.mouse.move(640, 5)
    expect(tokens).to_be_hidden()
    page.locator("#card-total-tokens").hover()
    expect(tokens).to_be_visible()
    page.mouse.down()
    page.mouse.up()
    page.mouse.move(640, 5)
    page.wait_for_timeout(500)
    expect(tokens).to_be_visible()  # a click keeps it
    page.mouse.click(640, 5)
    expect(tokens).to_be_hidden()

    more = page.get_by_role("button", name="What is in Total Cost")
    page.keyboard.press("Tab")
    more.focus()
    expect(cost).to_be_visible()
    page.keyboard.press("Escape")
    expect(cost).to_be_hidden()
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    expect(cost).to_be_visible()
    record([call(MODELS[2], organization="acme", at=NOW)])
    before = cost.get_by_role("link").inner_text()
    page.evaluate(REFRESH)
    expect(cost.get_by_role("link")).to_have_text(str(int(before) + 1))
    expect(cost).to_be_visible()
    expect(more).to_be_focused()
    page.keyboard.press("Tab")
    expect(cost.get_by_role("link")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests/?*unpriced=1")


def test_on_a_phone_cards_open_by_a_tap_and_nothing_is_cut_off(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, size="320", has_touch=True, is_mobile=True)
    expect(page.locator(".js-plotly-plot")).to_have_count(2)  # The others are folded, with the slower figures.
    page.locator("#card-avg-latency").tap()
    expect(page.locator("#facts-avg-latency [data-later=p95]")).to_have_text("250 ms")
    page.keyboard.press("Escape")
    for card in ("total-tokens", "total-cost", "messages", "avg-latency", "error-rate"):
        page.locator(f"#card-{card}").tap()
        expect(facts(page, card)).to_be_visible()
        box = facts(page, card).bounding_box()
        assert box is not None
        assert box["x"] >= 0, card
        assert box["x"] + box["width"] <= SIZES["320"][0], card
        assert box["y"] >= 0, card
        assert box["y"] + box["height"] <= SIZES["320"][1], card
        page.keyboard.press("Escape")
    assert page.evaluate(CUT_OFF) == []


CUT_OFF = """[...document.querySelectorAll('.figure :is(p, dt, dd, h2), .unpriced *, .chart figcaption *, .legend *')]
    .filter(element => element.checkVisibility() && !element.closest('.visually-hidden'))
    .filter(element => element.getBoundingClientRect().right >
        element.closest('.card, .notice').getBoundingClientRect().right)
    .map(element => element.textContent)"""


def test_without_javascript_cards_open_and_charts_are_sentences(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, java_script_enabled=False)
    page.get_by_role("button", name="What is in Messages").click()
    expect(facts(page, "messages")).to_be_visible()
    expect(page.locator("#chart-requests-summary")).to_be_visible()
    expect(page.get_by_role("heading", name="By weekday and hour")).to_be_hidden()


def test_open_cards_charts_and_tables_are_accessible(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    page.locator("#table-of-latency summary").click()
    page.get_by_role("button", name="What is in Avg Latency").click()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert accessibility_violations(page) == [], theme


# Charts


def test_a_bar_leads_to_its_day_and_a_slice_to_its_model(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    assert page.locator("#plot-cost").get_attribute("title") == DAY_HINT
    click(page, "#plot-requests", 0, 60)
    page.wait_for_url("**/?range=custom&from=*")
    assert re.search(r"from=([-0-9]+)&to=\1$", page.url)
    expect(page.locator("#plot-cost")).to_have_attribute("title", "")
    drawn(page)
    assert len(page.evaluate("document.getElementById('plot-requests').data[0].x")) == 24
    page.go_back()
    expect(page.locator("#card-messages .value")).to_have_text("16")
    drawn(page)
    click(page, "#plot-models", 60, -100)  # the first slice begins at the top
    page.wait_for_url("**/?model=*")
    expect(page.locator(".chip", has_text="Model")).to_have_count(1)


def test_charts_stack_by_a_choice_and_a_layer_leads_to_its_value(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    page.get_by_role("navigation", name="Group the charts over time by").get_by_role("link", name="Model").click()
    page.wait_for_url("**/?group=model")
    legend = page.locator("#legend-requests")
    expect(legend.get_by_role("listitem")).to_have_count(3)
    layers = "document.getElementById('plot-tokens').data.map(({ name, y }) => [name, y.reduce((a, b) => a + b)])"
    assert sorted(page.evaluate(layers)) == sorted([[model, 5 * 1_234_867] for model in MODELS])
    expect(page.locator("#plot-cost")).to_have_attribute("title", re.compile("Click a color to see it alone"))
    page.locator("#table-of-cost summary").click()
    table = page.get_by_role("region", name="Cost over time, as a table")
    expect(table.get_by_role("columnheader")).to_have_text(["When", *MODELS])
    marked = page.locator("#legend-cost li", has=page.locator(".at-least"))
    expect(marked.locator(".name")).to_have_text([MODELS[2]])  # It has no price.
    lacking = "document.getElementById('plot-cost').data.filter(({ customdata }) => customdata.includes('–'))"
    assert page.evaluate(f"{lacking}.map(({{ name }}) => name)") == [MODELS[2]]
    assert accessibility_violations(page) == []
    record([call(MODELS[2], organization="acme", at=NOW, usage=usage(1, 1))])
    page.evaluate(REFRESH)
    eventually(page, f"({layers}).some(([name, sum]) => name === '{MODELS[2]}' && sum === {5 * 1_234_867 + 2})")
    legend.get_by_role("link").first.click()
    page.wait_for_url(re.compile(r"\?(group=model&model=|model=.*&group=model)"))
    expect(page.locator(".chip", has_text="Model")).to_have_count(1)
    drawn(page)
    expect(page.locator("#legend-requests").get_by_role("listitem")).to_have_count(1)


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_the_percentiles_of_the_histogram_are_written_side_by_side(
    ledger: None, admin: User, sign_in: SignedIn, size: str
) -> None:
    """All latencies are between 200 and 228 ms, so the three marks are close together."""
    page = sign_in(admin, size=size)
    if size == "phone":
        page.locator("#fold-charts > summary").click()
    drawn(page)
    boxes = page.evaluate("""[...document.querySelectorAll("#plot-spread .annotation-text")].map((text) => {
        const {left, top, right, bottom} = text.getBoundingClientRect();
        return [left, top, right, bottom];
    })""")
    assert len(boxes) == 3
    for (left, top, right, bottom), other in itertools.permutations(boxes, 2):
        assert right <= other[0] or other[2] <= left or bottom <= other[1] + 1 or other[3] <= top + 1, boxes
    around = page.locator("#plot-spread").bounding_box()
    assert around
    assert all(around["x"] <= box[0] and box[2] <= around["x"] + around["width"] for box in boxes), boxes


def test_a_drag_over_a_chart_sets_the_range(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    page.locator("#plot-requests").scroll_into_view_if_needed()
    box = page.locator("#plot-requests .nsewdrag").first.bounding_box()
    assert box is not None
    down = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, down)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 3 / 4, down, steps=5)
    page.mouse.up()
    page.wait_for_url("**/?range=custom&from=*")
    first, last = map(date.fromisoformat, re.findall(r"\d{4}-\d\d-\d\d", page.url))
    assert 6 <= (last - first).days <= 9
    drawn(page)
    assert len(page.evaluate("document.getElementById('plot-requests').data[0].x")) == (last - first).days + 1


def test_the_keyboard_reaches_a_day_through_the_table(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    opener = page.locator("#table-of-latency summary")
    opener.focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("region", name="Latency and time to first token, as a table")
    expect(table.locator("tbody tr")).to_have_count(30)
    expect(table.locator("tbody tr").nth(0)).to_contain_text("200 ms")
    expect(table.locator("tbody tr").nth(1)).to_contain_text("–")  # nothing happened: no zero
    link = table.get_by_role("link").nth(2)
    link.focus()
    record([call(MODELS[0], organization="acme", at=NOW, latency_ms=250)])
    page.evaluate(REFRESH)
    expect(table.locator("tbody tr").nth(0)).to_contain_text("2")
    expect(page.locator("#card-messages .value")).to_have_text("17")
    expect(page.locator("#facts-avg-latency [data-later=p99]")).to_have_text("250 ms")
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/?range=custom&from=*")
    expect(page.locator("#card-messages .value")).to_have_text("2")


def test_slow_charts_come_once_and_again_only_after_a_change(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/charts/" in request.url else None)
    page.goto("/")
    drawn(page)
    assert len(asked) == 1
    gaps = page.evaluate("document.getElementById('plot-latency').data[0].y")
    assert gaps[-2] is None
    assert gaps[-1] == 200
    assert page.evaluate("document.getElementById('plot-requests').data[0].y.at(-2)") == 0
    with page.expect_response(lambda response: response.status == 204):
        page.evaluate(REFRESH)
    page.evaluate("window.mark = document.querySelector('#plot-heat .main-svg')")
    page.evaluate("Plotly.relayout('plot-latency', {'xaxis.range': ['2026-01-01', '2026-02-01']})")
    page.get_by_role("region", name="By model").get_by_role("link", name="Model").click()  # another order
    page.wait_for_url("**/?sort=*")
    assert len(asked) == 1
    record([call(MODELS[0], organization="acme", at=NOW, latency_ms=90_000)])
    with page.expect_response("**/charts/?**"):
        page.evaluate(REFRESH)
    eventually(page, "Math.max(...document.getElementById('plot-latency').data[2].y) === 90_000")
    assert page.evaluate("document.getElementById('plot-latency').layout.xaxis.range[1]").startswith("2026-02-01")
    assert page.evaluate("window.mark === document.querySelector('#plot-heat .main-svg')")
    assert len(asked) == 2


def test_the_heat_map_shows_what_is_chosen_and_goes_into_a_file(
    ledger: None, admin: User, sign_in: SignedIn, tmp_path: Path
) -> None:
    page = sign_in(admin)
    drawn(page)
    texts = "document.getElementById('plot-heat').data.flatMap((row) => row.customdata ?? [])"
    sums = f"{texts}.map((text) => Number(text.replaceAll(',', ''))).reduce((a, b) => a + b)"
    assert page.evaluate(sums) == 16
    heat = page.locator("#chart-heat")
    heat.get_by_role("radio", name="Tokens").check()
    assert page.evaluate(sums) == 15 * 1_234_867
    record([call(MODELS[0], organization="acme", at=NOW, usage=usage(0, 1))])
    page.evaluate(REFRESH)
    eventually(page, f"{sums} === {15 * 1_234_867 + 1}")
    today = datetime.now(ZoneInfo(zone_at_noon())).date()
    days = f"{today - timedelta(days=29)}_{today}"
    page.emulate_media(color_scheme="dark")
    for ending in ("png", "svg"):
        with page.expect_download() as download:
            heat.get_by_role("button", name=f"Save By weekday and hour as {ending.upper()}").press("Enter")
        assert download.value.suggested_filename == f"by-weekday-and-hour-tokens_{days}.{ending}"
        download.value.save_as(tmp_path / ending)
        assert (tmp_path / ending).stat().st_size > 5_000
    picture = (tmp_path / "svg").read_text()
    assert "By weekday and hour: tokens" in picture
    assert page.locator(".days").inner_text() in picture
    assert "rgb(27, 27, 35)" in picture  # the ground of the dark theme, on which its light letters can be read


def test_a_failure_of_the_slow_charts_leaves_the_page(
    ledger: None, admin: User, sign_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise OperationalError("canceling statement due to statement timeout")

    with monkeypatch.context() as patch:
        patch.setattr(Report, "latency_series", gone)
        page = sign_in(admin)
        expect(page.get_by_text("We couldn't load analytics. Please try again.")).to_be_visible()
        expect(page.locator("#plot-cost .main-svg").first).to_be_visible()
        expect(page.get_by_role("heading", name="By weekday and hour")).to_be_hidden()
    page.get_by_role("button", name="Try again").click()
    drawn(page)
    expect(page.get_by_role("heading", name="By weekday and hour")).to_be_visible()
