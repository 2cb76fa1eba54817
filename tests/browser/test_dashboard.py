"""The Analytics and Pricing tabs in a browser: with and without JavaScript, on every screen, in light and dark."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import brotli  # type: ignore[import-untyped]
import pytest
from django.db import OperationalError
from playwright.sync_api import Locator, Page, Response, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import Organization, User
from analytics.reports import report
from analytics.reports.planner import Planner
from ledger.recording.record import record
from pricing.models import Price
from tests.browser.conftest import SignedIn, accessibility_violations, choose_range
from tests.cast import zone_at_noon
from tests.ledger.calls import call, failed, usage

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
MODELS = ("openai/gpt-oss-120b", "llama-3.3-70b-versatile", "meta-llama/llama-4-maverick-17b-128e-instruct")


@pytest.fixture
def acme(acme: Organization) -> Organization:
    acme.time_zone = zone_at_noon()
    acme.save()
    return acme


@pytest.fixture
def ledger(acme: Organization, user: User, admin: User, super_admin: User) -> None:
    """A message on each of sixty days of Acme's calendar, of three models, and two errors; the last has no price."""
    zone = ZoneInfo(acme.time_zone)
    midnight = NOW.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for model in MODELS[:2]:
        Price.objects.create(
            model=model, input_usd_per_1k_tokens=Decimal("0.15"), output_usd_per_1k_tokens=Decimal("0.6"),
            effective_from=NOW - timedelta(days=400), source_note="a test",
        )  # fmt: skip
    record(
        call(
            MODELS[day % 3], organization="acme", at=midnight - timedelta(days=day), user=f"person-{day % 14}",
            project="a project with quite a long name", expert_id="lawyer", template_id="t1",
            usage=usage(1000 + day, 300, cached_tokens=200),
        )
        for day in range(60)
    )  # fmt: skip
    record(failed(organization="acme", at=midnight - timedelta(days=day), model_requested=MODELS[0]) for day in (1, 2))


def messages(page: Page) -> Locator:
    return page.locator("#card-messages .value")


def drawn(page: Page) -> None:
    """Wait until all charts are there that no fold hides."""
    expect(page.locator(".plot .main-svg").first).to_be_visible()
    expect(page.locator(".plot:not(.js-plotly-plot):visible")).to_have_count(0)


# The whole of it


def test_everybody_can_use_it(ledger: None, super_admin: User, stranger: User, sign_in: SignedIn) -> None:
    """axe-core finds nothing, in light and in dark: the sheet and a stranger; the others are among all screens."""
    page = sign_in(super_admin, size="phone")
    drawn(page)
    page.get_by_role("button", name="Filters").click()
    assert_accessible(page)
    assert_accessible(sign_in(stranger))


def assert_accessible(page: Page) -> None:
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert accessibility_violations(page) == [], (page.url, theme)


def test_it_is_light_on_the_wire(ledger: None, admin: User, sign_in: SignedIn, live_server: LiveServer) -> None:
    """Counts what a browser gets: headers, files as Brotli, as collectstatic leaves them, and answers as they come. The
    test's server has no compressed files.
    """
    page = sign_in(admin, "about:blank")
    loaded: list[Response] = []
    page.on("response", lambda response: loaded.append(response))
    page.goto("/")
    drawn(page)
    sizes = {response.url: _on_the_wire(response) for response in loaded}
    assert any(url.endswith(".woff2") for url in sizes)
    assert sum(sizes.values()) <= 400_000, sizes
    loaded.clear()
    choose_range(page, "Last 7 days")
    page.wait_for_url("**range=7d")
    assert sum(map(_on_the_wire, loaded)) <= 60_000
    assert all(response.url.startswith(live_server.url) for response in loaded)


def _on_the_wire(response: Response) -> int:
    sizes, path = response.request.sizes(), urlsplit(response.url).path
    if path.startswith("/static/") and not path.endswith(".woff2"):
        return sizes["responseHeadersSize"] + len(brotli.compress(response.body()))
    return sizes["responseHeadersSize"] + sizes["responseBodySize"]


COMES_IN_TWO_PIECES = """async ([address, cut]) => {
  const html = await (await fetch(address)).text(), end = html.indexOf(cut);
  document.open();
  document.write(html.slice(0, end));
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  while (!document.querySelector("#results, .sheet") || !document.styleSheets[2]) await painted();
  window.moved = [];
  const tell = ({ value, sources }) => moved.push(`${value.toFixed(4)} ${sources.map(({ node }) => node?.id)}`);
  new PerformanceObserver((list) => list.getEntries().forEach(tell)).observe({ type: "layout-shift" });
  await painted(); await painted();
  document.write(html.slice(end));
  document.close();
}"""


@pytest.mark.parametrize(
    "cut",
    [
        '<details class="menu filter" name="filter" data-menu="feature"',
        '<article class="card figure" id="card-avg-latency"',
    ],
)
def test_nothing_moves_while_the_page_comes_in_pieces(cut: str, ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/health/live/")
    page.evaluate(COMES_IN_TWO_PIECES, ["/", cut])
    drawn(page)
    assert page.evaluate("moved") == []


# Filters


def test_a_filter_changes_the_page_in_its_place(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    page.evaluate("window.sameDocument = true")
    model = page.locator("details.filter", has=page.locator("summary", has_text="Model"))
    model.locator("summary").click()
    model.get_by_role("checkbox", name=MODELS[1]).check()
    page.wait_for_url("**/?model=llama-3.3-70b-versatile")
    model.get_by_role("checkbox", name=MODELS[0]).check()
    expect(page.locator(".chip")).to_have_count(2)
    expect(model).to_have_attribute("open", "")  # the menu stays open for more
    expect(messages(page)).to_have_text("22")
    page.keyboard.press("Escape")
    expect(model).not_to_have_attribute("open", "")
    page.get_by_label(f"Remove Model {MODELS[0]}").click()
    expect(page.locator(".chip")).to_have_count(1)
    expect(messages(page)).to_have_text("10")
    expect(model.locator(f"input[value='{MODELS[0]}']")).not_to_be_checked()
    page.go_back()
    expect(page.locator(".chip")).to_have_count(2)
    drawn(page)
    assert page.evaluate("window.sameDocument")


def test_more_filters_than_an_address_can_hold_are_explained(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/?range=all")
    page.evaluate("""() => {
        const form = document.getElementById("filters");
        for (let number = 0; number < 500; number++) {
            const value = Object.assign(document.createElement("input"), {type: "hidden", name: "model"});
            value.value = `a-model-of-many-${number}`;
            form.append(value);
        }
        form.requestSubmit();
    }""")
    expect(page.locator("h1")).to_have_text("This address is too long")
    page.go_back()
    expect(messages(page)).to_be_visible()


def test_a_menu_can_be_searched(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    menu = page.locator("details.filter", has=page.locator("summary", has_text="User"))
    menu.locator("summary").click()
    menu.get_by_label("Search user").fill("person-13")
    expect(menu.locator(".option:visible")).to_have_count(1)


def test_a_custom_range_and_what_is_wrong_with_it(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    choose_range(page, "Custom")
    page.get_by_label("To", exact=True).fill("2020-01-01")
    expect(page.get_by_text("The range ends before it begins")).to_be_visible()
    page.get_by_label("From").fill("2019-12-01")
    expect(page.get_by_text("No usage recorded for this range.")).to_be_visible()
    expect(page).to_have_url(re.compile("from=2019-12-01"))


def test_a_table_sorts_where_it_stands(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    table = page.get_by_role("region", name="By user")
    table.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    table.get_by_role("link", name="User").click()
    expect(table.locator("th[aria-sort=ascending]")).to_have_text("User")
    expect(table.locator("tbody th .name").first).to_have_text("(none)")
    assert abs(page.evaluate("scrollY") - before) < 5
    page.get_by_label("Pages of users").get_by_role("link", name="Next").click()
    expect(table.locator("tbody tr")).to_have_count(5)


def test_without_javascript_filters_are_a_form_and_links(ledger: None, super_admin: User, sign_in: SignedIn) -> None:
    page = sign_in(super_admin, java_script_enabled=False)
    page.locator("[data-menu=model] > summary").click()
    page.get_by_role("checkbox", name=MODELS[1]).check()
    page.locator("details[open]").get_by_role("button", name="Apply").click()
    expect(messages(page)).to_have_text("10")
    page.get_by_label("Remove Model").click()
    expect(messages(page)).to_have_text("32")
    page.get_by_role("region", name="By model").get_by_role("link", name=MODELS[1]).click()
    expect(messages(page)).to_have_text("10")
    choose_range(page, "All time")
    page.locator(".ranges").get_by_role("button", name="Apply").click()
    expect(messages(page)).to_have_text("20")
    phone = sign_in(super_admin, size="phone", java_script_enabled=False)
    phone.get_by_role("button", name="Filters").click()
    expect(phone.get_by_role("heading", name="Filters")).to_be_visible()


def test_the_keyboard_is_enough(ledger: None, super_admin: User, sign_in: SignedIn) -> None:
    page = sign_in(super_admin)
    drawn(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.locator("summary", has_text="Status").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.wait_for_url("**/?status=success")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent.trim()").startswith("Status")
    expect(messages(page)).to_have_text("30")


# Live


def test_the_page_follows_what_happens(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    page.evaluate("Plotly.relayout('plot-tokens', {'xaxis.range': ['2026-01-01', '2026-02-01']})")
    menu = page.locator("details.filter", has=page.locator("summary", has_text="User"))
    menu.locator("summary").click()
    menu.get_by_label("Search user").fill("person")
    record([call(MODELS[0], organization="acme", at=NOW)])
    page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")  # not in 5 seconds
    expect(messages(page)).to_have_text("33")
    assert page.evaluate("document.getElementById('plot-tokens').layout.xaxis.range[1]").startswith("2026-02-01")
    expect(menu).to_have_attribute("open", "")
    expect(menu.get_by_label("Search user")).to_be_focused()
    outcomes = "document.getElementById('plot-requests').data.slice(0, 3)"  # success, error, time-out
    assert page.evaluate(f"{outcomes}.flatMap(({{ y }}) => y).reduce((a, b) => a + b)") == 33


def test_a_pause_is_a_pause(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    page.clock.install()
    page.reload()
    drawn(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(5_100)
    page.wait_for_timeout(300)
    assert len(asked) == 1
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")
    page.clock.run_for(20_000)
    page.wait_for_timeout(300)
    assert len(asked) == 1


def test_a_failure_is_said_and_passes(
    ledger: None, admin: User, sign_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = sign_in(admin)
    drawn(page)

    def gone(*_: object) -> None:
        raise OperationalError("canceling statement due to statement timeout")

    with monkeypatch.context() as patch:
        patch.setattr(Planner, "grouped", gone)
        choose_range(page, "Last 7 days")
        expect(page.get_by_text("We couldn't load analytics. Please try again.")).to_be_visible()
        expect(page.get_by_role("heading", name="Analytics")).to_be_visible()
    page.get_by_role("link", name="Try again").click()
    drawn(page)
    expect(page).to_have_url(re.compile("range=7d"))


# Look


def test_the_theme_is_remembered_and_charts_follow(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin)
    drawn(page)
    light = page.evaluate("document.getElementById('plot-cost').data[0].marker.color")
    page.get_by_label("Account of").click()
    page.get_by_role("radio", name="Dark").check()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 24)"
    assert page.evaluate("document.getElementById('plot-cost').data[0].marker.color") != light
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 24)"


def test_a_name_is_no_markup_to_the_charts(ledger: None, admin: User, sign_in: SignedIn) -> None:
    record([call("<b>x</b> & y", organization="acme", at=NOW - timedelta(minutes=5))])
    page = sign_in(admin, "/?model=%3Cb%3Ex%3C/b%3E+%26+y")
    drawn(page)
    expect(page.locator("#legend-models .name")).to_have_text("<b>x</b> & y")
    labels = page.locator(".plot[data-chart=models]").evaluate("plot => plot.data[0].labels")
    assert labels == ["&lt;b&gt;x&lt;/b&gt; &amp; y"]


def test_the_export_is_a_file(ledger: None, super_admin: User, sign_in: SignedIn, tmp_path: Path) -> None:
    page = sign_in(super_admin, "/?range=all&model=llama-3.3-70b-versatile")
    with page.expect_download() as download:
        page.locator(".export summary").click()
        page.get_by_role("link", name="Requests as CSV").click()
    assert download.value.suggested_filename.endswith("_model-llama-3.3-70b-versatile.csv")
    download.value.save_as(tmp_path / "usage.csv")
    assert len((tmp_path / "usage.csv").read_text().splitlines()) == 21


def test_a_user_sees_no_cost(ledger: None, user: User, sign_in: SignedIn) -> None:
    record([call(MODELS[0], organization="acme", user="ann", at=NOW - timedelta(hours=1))])
    page = sign_in(user)
    drawn(page)
    assert "cost" not in page.content().lower()
    assert page.locator(".tabs a").all_inner_texts() == ["Analytics", "Connect"]


def test_slow_tables_are_loaded_after_the_page(
    ledger: None, super_admin: User, sign_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A click on a header sorts them where they stand."""
    monkeypatch.setattr(report, "FEW_ORGANIZATIONS", 0)
    page = sign_in(super_admin)
    drawn(page)
    table = page.get_by_role("region", name="By user")
    expect(table.locator("tbody tr")).to_have_count(10)
    expect(page.get_by_role("link", name="Show the tables")).to_have_count(0)
    table.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    table.get_by_role("link", name="User").click()
    expect(table.locator("th[aria-sort=ascending]")).to_have_text("User")
    assert abs(page.evaluate("scrollY") - before) < 5
