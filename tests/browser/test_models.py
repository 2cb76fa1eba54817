"""The Models page and one's own usage in a browser: comparing, what it would have cost, every screen, no JavaScript."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organization, User
from analytics.recording import record
from tests.analytics.calls import call, failed, usage
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn, accessibility_violations
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
FAST, SLOW, LONG = "llama-3.1-8b-instant", "llama-3.3-70b-versatile", "meta-llama/llama-4-maverick-17b-128e-instruct"
CHEAP = "openai/gpt-oss-20b"
ASKED = f"/models/?left={FAST}&right={SLOW}&cost_on={CHEAP}"
CUT_OFF = """[...document.querySelectorAll('.card, .value, .button, .chip, .input, .notice, .topbar > *')]
    .filter(element => element.checkVisibility() && !element.closest('.scroller'))
    .filter(element => element.getBoundingClientRect().left < 0 || element.getBoundingClientRect().right > innerWidth)
    .map(element => element.className)"""


@pytest.fixture
def ledger(acme: Organization, user: User, admin: User) -> None:
    """Forty messages of three priced models, of one without a price and of one that hears; all of them Ann's."""
    make_price(FAST, input_usd_per_1k_tokens=Decimal("0.00005"), output_usd_per_1k_tokens=Decimal("0.00008"))
    make_price(SLOW, input_usd_per_1k_tokens=Decimal("0.00059"), output_usd_per_1k_tokens=Decimal("0.00079"))
    make_price(LONG, input_usd_per_1k_tokens=Decimal("0.0002"), output_usd_per_1k_tokens=Decimal("0.0006"))
    make_price(LONG, at=NOW - timedelta(minutes=1), enabled=False)
    make_price(CHEAP, input_usd_per_1k_tokens=Decimal("0.000075"), output_usd_per_1k_tokens=Decimal("0.0003"))
    make_price(
        CHEAP, organization=acme, input_usd_per_1k_tokens=Decimal("0.00005"), output_usd_per_1k_tokens=Decimal("0.0002")
    )
    make_price(
        "whisper-large-v3",
        audio_usd_per_hour=Decimal("0.111"),
        input_usd_per_1k_tokens=None,
        output_usd_per_1k_tokens=None,
    )
    record(
        call(
            (FAST, SLOW, LONG, "groq/compound")[number % 4], organization="acme", user="ann",
            session_id=f"s{number % 7}", at=NOW - timedelta(minutes=5, hours=15 * number),
            usage=usage(40_000 + number, 2_000, cached_tokens=500),
            latency_ms=400 + 100 * (number % 4), stream=True, ttft_ms=90 + number % 4,
        )
        for number in range(40)
    )  # fmt: skip
    heard = usage(0, 0, audio_seconds=Decimal(3_600))
    record([call("whisper-large-v3", operation="transcription", organization="acme", user="ann", at=NOW, usage=heard)])
    record([failed(organization="acme", user="ann", at=NOW - timedelta(hours=2), model_requested=FAST)])


def compare(page: Page, left: str, right: str) -> None:
    page.get_by_label("This model").select_option(left)
    page.get_by_label("Against").select_option(right)
    page.get_by_role("button", name="Compare").click()


def test_comparing_and_asking_what_it_would_have_cost(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/models/")
    table = page.get_by_role("region", name="By model")
    table.get_by_role("link", name="p95").click()
    expect(table.locator("th[aria-sort=descending]")).to_contain_text("p95")
    expect(table.locator("tbody .name").first).to_have_text("groq/compound")
    compare(page, SLOW, FAST)
    page.wait_for_url("**#compare")
    row = page.locator("#compare tr", has_text="Cost per priced message")
    expect(row.locator(".change")).to_contain_text("better")
    page.get_by_label("Input $", exact=True).fill("1.5")
    page.get_by_label("Output $").fill("cheap")
    page.get_by_role("button", name="Show the difference").click()
    expect(page.get_by_text("Enter a plain number of dollars")).to_be_visible()
    expect(page.get_by_label("Output $")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Input $", exact=True)).to_have_value("1.5")
    page.get_by_label("Output $").fill("2")
    page.get_by_label("Traffic").select_option(SLOW)
    page.get_by_role("button", name="Show the difference").click()
    # 10 messages: 400,190 input and 20,000 output tokens at $1.50 and $2 for a million
    expect(page.locator(".sums dd").nth(1)).to_have_attribute("title", "$0.640285")
    page.get_by_label("Traffic").select_option("")
    for name in ("Input $", "Output $"):
        page.get_by_label(name, exact=True).fill("")
    page.get_by_label("At the price of").select_option(CHEAP)
    page.get_by_role("button", name="Show the difference").click()
    expect(page.get_by_text("whisper-large-v3 is left out: this price has no rate for audio.")).to_be_visible()
    assert f"left={SLOW}" in page.url.replace("%2F", "/")
    expect(page.locator("#compare th .side-name").first).to_have_text(SLOW)
    # another filter forgets neither
    page.get_by_role("radio", name="Last 7 days").check()
    page.wait_for_url("**range=7d**")
    expect(page.locator(".sums")).to_be_visible()
    expect(page).to_have_url(re.compile(f"right={FAST}"))
    # what is typed survives the page's own refresh
    page.get_by_label("Input $", exact=True).fill("7")
    record([call(FAST, organization="acme", at=NOW)])
    page.evaluate("document.getElementById('results').dispatchEvent(new CustomEvent('refresh'))")
    expect(page.locator("#models-title ~ .scroller tr", has_text=FAST).locator("td").last).not_to_have_text("–")
    expect(page.get_by_label("Input $", exact=True)).to_have_value("7")
    page.get_by_role("link", name="Clear", exact=True).last.click()
    expect(page.locator(".sums")).to_have_count(0)


def test_without_javascript(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/models/?range=7d", java_script_enabled=False)
    compare(page, FAST, LONG)
    expect(page.locator("#compare th .side-name").first).to_have_text(FAST)
    page.get_by_label("At the price of").select_option(CHEAP)
    page.get_by_role("button", name="Show the difference").click()
    expect(page.locator(".sums")).to_be_visible()
    expect(page).to_have_url(re.compile("range=7d"))
    expect(page).to_have_url(re.compile(f"left={FAST}"))
    page.get_by_role("region", name="By model").get_by_role("link", name="Cost").click()
    expect(page.locator(".sums")).to_be_visible()


@pytest.mark.parametrize("path", [ASKED, "/models/?cost_on=&cost_input=1,5&cost_per=1k", "/my-usage/"])
def test_every_screen_holds_it_and_everybody_can_use_it(
    ledger: None, admin: User, user: User, acme: Organization, sign_in: SignedIn, path: str
) -> None:
    acme.show_user_cost = True
    acme.save()
    page = sign_in(user, path)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, size
            assert page.evaluate(CUT_OFF) == [], size
            if (theme, size) in {("light", "desktop"), ("dark", "phone")}:
                assert accessibility_violations(page) == [], (theme, size)
