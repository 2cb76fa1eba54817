"""Editing prices in a browser: for each role, by keyboard, without JavaScript, on every screen, in light and dark."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import Locator, Page, expect

from accounts.models import Organization, User
from ledger.models import UsageEvent
from ledger.recording.record import record
from pricing.models import Price
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn, accessibility_violations
from tests.ledger.calls import call, usage

pytestmark = pytest.mark.django_db(transaction=True)

CHAT, LONG, SPEECH = "openai/gpt-oss-120b", "meta-llama/llama-prompt-guard-2-86m", "whisper-large-v3"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
IN, OUT = "input_usd_per_1k_tokens", "output_usd_per_1k_tokens"


@pytest.fixture
def prices(acme: Organization, super_admin: User) -> None:
    for model in (CHAT, LONG):
        Price.objects.create(model=model, effective_from=BEGINNING, **{IN: Decimal("0.00015"), OUT: Decimal("0.0006")})
    Price.objects.create(model=SPEECH, effective_from=BEGINNING, audio_usd_per_hour=Decimal("0.111"))
    Price.objects.create(
        model=CHAT, effective_from=datetime.now(UTC) + timedelta(days=9), author=super_admin, **{IN: Decimal("0.0001")}
    )
    Price.objects.create(model=CHAT, organization=acme, effective_from=BEGINNING, **{IN: Decimal("0.0001")})


def rate(page: Page, name: str, model: str) -> Locator:
    return page.get_by_label(f"{name} $ / 1k tokens of {model}", exact=True)


def press_save(page: Page) -> None:
    page.get_by_role("button", name="Save Pricing").click()


def newest() -> Price:
    return Price.objects.latest("pk")


def test_an_edited_price_counts_for_new_calls_only(prices: None, super_admin: User, sign_in: SignedIn) -> None:
    record([call(LONG, at=datetime.now(UTC) - timedelta(minutes=1), usage=usage(1000, 1000))])
    page = sign_in(super_admin, "/pricing/")
    page.get_by_role("link", name="Edit Pricing").click()
    rate(page, "Input", LONG).fill("0.002")
    expect(page.locator("tr.changed")).to_have_count(1)
    rate(page, "Output", LONG).fill("0.003")
    page.get_by_label("Source").fill("the new contract")
    press_save(page)
    expect(page.get_by_role("heading", name="Save these prices?")).to_be_visible()
    expect(page.get_by_text("This applies to new requests only")).to_be_visible()
    expect(page.get_by_role("row", name="Output")).to_contain_text("+400.0%")
    expect(page.get_by_text("More than ten times as much")).to_have_count(1)
    assert Price.objects.filter(model=LONG).count() == 1
    press_save(page)
    expect(page.get_by_text("Saved 1 new price.")).to_be_visible()
    expect(page.get_by_role("row", name=LONG)).to_contain_text("the new contract")
    record([call(LONG, at=datetime.now(UTC), usage=usage(1000, 1000))])
    before, after = UsageEvent.objects.order_by("timestamp")
    assert (before.cost_usd, after.cost_usd) == (Decimal("0.00075"), Decimal("0.005"))
    page.get_by_role("link", name=LONG).click()
    expect(page.get_by_role("row", name="In force")).to_contain_text("$0.00015 → $0.002")
    expect(page.get_by_role("row", name="In force")).to_contain_text("by root")


def test_the_second_of_two_editors_keeps_what_was_typed(prices: None, super_admin: User, sign_in: SignedIn) -> None:
    first, second = sign_in(super_admin, "/pricing/edit/"), sign_in(super_admin, "/pricing/edit/")
    rate(second, "Output", CHAT).fill("0.0007")
    rate(first, "Input", CHAT).fill("0.0002")
    press_save(first)
    press_save(first)
    expect(first.get_by_text("Saved 1 new price.")).to_be_visible()
    press_save(second)
    expect(second.get_by_role("alert")).to_contain_text("Somebody else has changed prices meanwhile")
    expect(second.get_by_text("Meanwhile root has added a version: $0.2 / 1M input")).to_be_visible()
    expect(rate(second, "Input", CHAT)).to_have_value("0.0002")
    expect(rate(second, "Output", CHAT)).to_have_value("0.0007")
    assert accessibility_violations(second) == []
    press_save(second)
    press_save(second)
    expect(second.get_by_text("Saved 1 new price.")).to_be_visible()
    assert (newest().input_usd_per_1k_tokens, newest().output_usd_per_1k_tokens) == (
        Decimal("0.0002"),
        Decimal("0.0007"),
    )


def test_a_bad_value_is_explained_where_it_stands(prices: None, super_admin: User, sign_in: SignedIn) -> None:
    page = sign_in(super_admin, "/pricing/edit/")
    rate(page, "Input", LONG).fill("0,0002")
    rate(page, "Output", LONG).fill("0.0005")
    press_save(page)
    bad = rate(page, "Input", LONG)
    expect(bad).to_be_focused()
    expect(bad).to_have_attribute("aria-invalid", "true")
    described = page.locator(f"#{bad.get_attribute('aria-describedby')}")
    expect(described).to_contain_text("Write it with a decimal point and without commas")
    expect(rate(page, "Output", LONG)).to_have_value("0.0005")
    bad.fill("0.0002")
    press_save(page)
    page.get_by_role("button", name="Back to editing").click()
    expect(rate(page, "Input", LONG)).to_have_value("0.0002")


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_the_keyboard_is_enough(prices: None, super_admin: User, sign_in: SignedIn, java_script_enabled: bool) -> None:
    """From an unpriced model's link to its price, for one organization, with and without JavaScript."""
    page = sign_in(super_admin, "/pricing/edit/?model=new/one", java_script_enabled=java_script_enabled)
    page.get_by_label("Prices for").focus()
    page.keyboard.type("Acme")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Acme. Changed rows become new versions")).to_be_visible()
    page.get_by_role("link", name="Add a model").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    name = page.get_by_label("Model of the new model")
    if page.evaluate("document.activeElement.id") != "id_new-model":
        name.focus()
    page.keyboard.type("new/one")
    for text in ("0.1", "0.2"):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(page.get_by_text("New model")).to_be_visible()
    page.get_by_role("button", name="Save Pricing").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved 1 new price.")).to_be_visible()
    organization = newest().organization
    assert organization is not None
    assert (newest().model, organization.slug, newest().output_usd_per_1k_tokens) == ("new/one", "acme", Decimal("0.2"))


def test_typed_prices_tell_what_they_would_have_meant(prices: None, super_admin: User, sign_in: SignedIn) -> None:
    """While somebody types, and with a button without JavaScript; the opened details stay open."""
    record([call(CHAT, at=datetime.now(UTC) - timedelta(days=1), usage=usage(1_000_000, 0))])
    page = sign_in(super_admin, "/pricing/edit/")
    preview = page.get_by_role("status").filter(has_text="What this would have meant")
    expect(preview).to_contain_text("Change a price to see")
    height = page.locator("#preview").bounding_box()
    rate(page, "Input", CHAT).fill("0.0003")
    expect(preview).to_contain_text("$0.15 more (100%)")
    assert height is not None
    assert page.locator("#preview").bounding_box() == height, "the table below does not jump"
    preview.get_by_text("By model").click()
    rate(page, "Input", CHAT).fill("0.0002")
    expect(preview.get_by_role("row", name=CHAT)).to_contain_text("$0.05 more (33.3%)")
    assert accessibility_violations(page) == []
    plain = sign_in(super_admin, "/pricing/edit/", java_script_enabled=False)
    rate(plain, "Input", CHAT).fill("0.0003")
    plain.get_by_role("button", name="Preview").click()
    expect(plain.locator("#preview").get_by_role("row", name=CHAT)).to_contain_text("$0.15 more (100%)")
    expect(rate(plain, "Input", CHAT)).to_have_value("0.0003")


@pytest.mark.parametrize("java_script_enabled", [True, False])
def test_on_a_phone_models_are_folded(
    prices: None, super_admin: User, sign_in: SignedIn, java_script_enabled: bool
) -> None:
    Price.objects.create(model="gemma2-9b-it", effective_from=BEGINNING, **{IN: Decimal(1)})
    page = sign_in(super_admin, "/pricing/edit/", java_script_enabled=java_script_enabled)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(rate(page, "Input", CHAT)).to_be_hidden()
    page.locator("summary", has_text=f"Prices of {CHAT}").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(rate(page, "Input", CHAT)).to_be_focused()
    page.keyboard.type("x")
    retired = page.get_by_text("gemma2-9b-it", exact=True)
    expect(retired).to_be_hidden()
    page.get_by_text("1 retired model").click()
    expect(retired).to_be_visible()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    press_save(page)  # which is in sight, wherever the page is
    expect(page.get_by_role("alert")).to_contain_text("1 value to mend")
    expect(rate(page, "Input", CHAT)).to_be_focused()


def test_an_admin_reads_and_a_user_sees_what_costs_are_shown(
    prices: None, admin: User, user: User, acme: Organization, sign_in: SignedIn
) -> None:
    page = sign_in(admin, "/pricing/")
    expect(page.get_by_role("link", name="Edit Pricing")).to_have_count(0)
    expect(page.locator("main input:not([type=search], .all-columns *)")).to_have_count(0)
    expect(page.get_by_role("cell", name="Acme")).to_have_count(1)
    page.goto("/pricing/edit/")
    expect(page.get_by_text("This is not open to you").first).to_be_visible()
    mine = sign_in(user, "/pricing/")
    expect(mine.get_by_text("This is not open to you").first).to_be_visible()
    expect(mine.get_by_role("link", name="Pricing")).to_have_count(0)
    Organization.objects.filter(pk=acme.pk).update(show_user_cost=True)
    mine.reload()
    expect(mine.get_by_role("heading", name="Pricing")).to_be_visible()


def test_every_page_fits_and_is_accessible(prices: None, super_admin: User, sign_in: SignedIn) -> None:
    page = sign_in(super_admin, "/pricing/")
    for _ in pages(page):
        for width, height in SIZES.values():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (page.url, width)
            assert page.evaluate(CUT_OFF) == [], (page.url, width)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            assert accessibility_violations(page) == [], (page.url, theme)
            page.set_viewport_size({"width": 390, "height": 844})


def pages(page: Page) -> Iterator[None]:
    """Each page of the tab in turn, the editor with all that can be wrong."""
    yield
    page.goto(f"/pricing/history/?model={CHAT}")
    yield
    page.set_viewport_size({"width": 1280, "height": 800})  # where no model is folded
    page.goto("/pricing/edit/?model=a/very-long-model-name-that-nobody-has-heard-of-before-20260101")
    rate(page, "Input", CHAT).fill("minus one")
    page.get_by_label(f"Enabled of {LONG}").uncheck()
    rate(page, "Output", "the new model").fill("9999")
    page.get_by_label("Effective from").fill("2020-01-01T00:00")
    press_save(page)
    yield
    rate(page, "Input", CHAT).fill("0.1")
    rate(page, "Output", "the new model").fill("1")
    page.get_by_label("Effective from").fill("")
    press_save(page)
    expect(page.get_by_role("heading", name="Save these prices?")).to_be_visible()
    yield


CUT_OFF = """[...document.querySelectorAll('.card, .button, .notice, .sheet-table .input, .topbar > *')]
    .filter(element => element.checkVisibility() && (innerWidth < 768 || !element.closest('.scroller')))
    .filter(element => element.getBoundingClientRect().left < 0 || element.getBoundingClientRect().right > innerWidth)
    .map(element => element.className)"""
