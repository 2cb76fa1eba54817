"""The Models page and one's own usage in a browser: comparing, what it would have cost, every screen, no JavaScript."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organization, User
from ledger.recording.record import record
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn, accessibility_violations, choose_range
from tests.ledger.calls import call, failed, usage
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
    page.get_by_label("First model").select_option(left)
    page.get_by_label("Second model").select_option(right)
    page.get_by_role("button", name="Compare").click()


def test_comparing_and_asking_what_it_would_have_cost(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/models/")
    table = page.get_by_role("region", name="By model")
    table.get_by_role("link", name="p95").click()
    expect(table.locator("th[aria-sort=descending]")).to_contain_text("p95")
    expect(table.locator("tbody .name").first).to_have_text("groq/compound")
    compare(page, SLOW, FAST)
    page.wait_for_url("**#compare")
    row = page.locator("#compare tr", has_text="Cost per priced request")
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
    choose_range(page, "Last 7 days")
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


def test_finding_a_model_and_comparing_four(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/models/")
    cards = page.locator(".model-card")
    page.get_by_text("By capability, language, status and price").click()
    page.get_by_label("Reasoning").check()
    page.wait_for_url("**can=reasoning**")
    expect(page.get_by_label("Reasoning")).to_be_checked()
    expect(page.locator(".narrower")).to_have_attribute("open", "")
    page.locator("#catalogue").get_by_label("Status").select_option("preview")
    page.wait_for_url("**state=preview**")
    expect(cards).to_have_count(2)
    page.get_by_role("searchbox", name="Search", exact=True).fill("safeguard")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(cards).to_have_count(1)
    expect(cards.first).to_contain_text("GPT-OSS Safeguard 20B")
    page.locator("#catalogue").get_by_role("link", name="Clear", exact=True).click()
    expect(cards).to_have_count(12)
    for model in (FAST, SLOW, LONG, "groq/compound"):
        page.get_by_role("link", name=f"Compare {model}", exact=True).click()
        expect(page.get_by_role("link", name=f"{model} is compared below")).to_be_visible()
    expect(page.locator("#compare thead .side")).to_have_count(4)
    page.locator(".provider").get_by_role("link", name="Groq").click()
    page.wait_for_url(re.compile(r"/\?(?!.*left)"))
    expect(page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")


def test_a_prompt_is_estimated_while_it_is_typed(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/models/")
    page.get_by_role("link", name="What would a prompt cost?").click()
    page.get_by_label("Prompt").fill("What is the National Dish of India?")
    rows = page.locator("#estimates tbody tr")
    expect(rows.filter(has_text=CHEAP)).to_contain_text("79 tokens")
    page.get_by_label("Length of the answer").fill("4000")
    expect(rows.filter(has_text=CHEAP)).to_contain_text("4,000 tokens")
    # 79 input tokens at $0.00005 and 4,000 output tokens at $0.0002 for a thousand
    expect(rows.filter(has_text=CHEAP).locator("td").first).to_have_attribute("title", "$0.00080395")
    assert page.url.endswith("/models/estimate/")
    expect(page.get_by_label("Length of the answer")).to_be_focused()
    assert accessibility_violations(page) == []


def test_a_prompt_is_estimated_without_javascript(ledger: None, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "/models/estimate/", java_script_enabled=False)
    page.get_by_label("Prompt").fill("What is the National Dish of India?")
    page.get_by_role("button", name="Show the costs").click()
    expect(page.locator("#estimates tbody tr").filter(has_text=CHEAP)).to_contain_text("79 tokens")
    expect(page.get_by_label("Prompt")).to_have_value("What is the National Dish of India?")
    assert page.url.endswith("/models/estimate/")


def test_a_super_admin_edits_the_facts_of_a_model(ledger: None, super_admin: User, sign_in: SignedIn) -> None:
    page = sign_in(super_admin, "/models/")
    page.get_by_role("link", name=f"Edit the facts of {FAST}").click()
    page.get_by_label("Made by").fill("Somebody else")
    page.get_by_label("Vision").check()
    page.get_by_role("button", name="Save").click()
    card = page.locator(".model-card")
    expect(card).to_have_count(1)
    expect(card).to_contain_text("Somebody else")
    expect(card).to_contain_text("Vision")


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
            # Charts follow the size of the window a little later.
            page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
            assert page.evaluate(CUT_OFF) == [], size
            if (theme, size) in {("light", "desktop"), ("dark", "phone")}:
                assert accessibility_violations(page) == [], (theme, size)
