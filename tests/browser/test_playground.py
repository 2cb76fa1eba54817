"""The playground in a browser: a person asks, breaks something on purpose, and finds all of it in the ledger."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Organization, Project, User
from groq_client.simulator.server import SimulatorHandle, running_simulator
from ledger.models import UsageEvent
from pricing.models import Price
from tests.browser.conftest import SignedIn, accessibility_violations

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume"),  # the live server is no ASGI server
]

MODEL = "openai/gpt-oss-20b"
PATIENCE_MS = 20_000
"""A whole call, the first one with all that it loads."""


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


@pytest.fixture(autouse=True)
def groq(simulator: SimulatorHandle, settings: Any, acme: Organization) -> None:
    settings.GROQ_BASE_URL = simulator.base_url
    for model in (MODEL, "openai/gpt-oss-120b"):
        Price.objects.create(
            model=model, input_usd_per_1k_tokens=Decimal("0.000075"), output_usd_per_1k_tokens=Decimal("0.0003")
        )
    Project.objects.create(organization=acme, slug="web", name="Website")


def overflow(page: Page) -> list[str]:
    """What sticks out of the page to the right."""
    return page.evaluate(
        """() => [...document.querySelectorAll("main *, header *")]
            .filter((element) => element.checkVisibility() && !element.closest(".visually-hidden, [popover]"))
            .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
            .map((element) => element.outerHTML.slice(0, 120))"""
    )


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def last_answer(page: Page) -> Any:
    return page.locator(".turn.assistant").last


def test_a_person_asks_and_sees_what_is_recorded(
    sign_in: SignedIn, user: User, acme: Organization, simulator: SimulatorHandle
) -> None:
    page = sign_in(user, "/")
    page.locator(".account summary").click()
    page.get_by_role("banner").get_by_role("link", name="Playground").click()
    message = page.get_by_label("Message", exact=True)
    expect(message).to_be_focused()

    # The keyboard is enough: Shift+Enter begins a line, Enter sends.
    page.get_by_label("Project").select_option("web")
    page.get_by_label("Template").fill("greeting")
    message.focus()
    page.keyboard.type("What is <i>this</i>?")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Answer briefly.")
    page.keyboard.press("Enter")
    expect(page.locator(".turn.user .said")).to_have_text("What is <i>this</i>?\nAnswer briefly.", use_inner_text=True)
    expect(last_answer(page).locator(".figures")).to_contain_text(MODEL, timeout=PATIENCE_MS)
    event = UsageEvent.objects.get()
    assert (event.user, event.template_id, event.project and event.project.slug) == (user, "greeting", "web")
    assert len(last_answer(page).locator(".said").inner_text()) > 20
    expect(last_answer(page)).to_contain_text(f"{event.output_tokens:,}")
    expect(message).to_be_focused()
    expect(message).to_have_value("")
    assert "cost" not in page.content().lower()
    assert "$" not in page.locator("main").inner_text()

    # A deliberate error leaves alone what is being written.
    message.fill("Not sent yet")
    page.get_by_role("button", name="Send a deliberate error").click()
    expect(last_answer(page).get_by_text("does not know this model")).to_be_visible()
    expect(last_answer(page).locator(".figures")).to_contain_text("model_not_found")
    assert UsageEvent.objects.filter(status="error", error_code="model_not_found", user=user).count() == 1
    expect(message).to_have_value("Not sent yet")

    # With the organization's toggle on: the badge, and how it comes about.
    Organization.objects.filter(pk=acme.pk).update(show_user_cost=True)
    say(page, "And what does it cost?")
    badge = last_answer(page).locator(".cost.low")
    expect(badge).to_contain_text("$")
    badge.click()
    expect(last_answer(page).locator(".explanation")).to_contain_text("Total")
    page.keyboard.press("Escape")
    said = [message["role"] for message in simulator.requests[-1].body["messages"]]
    assert said == ["user", "assistant", "user"], "the conversation goes along, without the error"

    # What was recorded is a click away, in a tab of its own, because the conversation lives in this one.
    with page.context.expect_page() as detail:
        last_answer(page).get_by_role("link", name="Details").click()
    expect(detail.value.locator("main")).to_contain_text(UsageEvent.objects.latest("timestamp").request_id)
    with page.context.expect_page() as requests:
        page.get_by_role("link", name="This conversation under Requests").click()
    requests.value.wait_for_url(f"**/requests/?session={event.session_id}")
    assert UsageEvent.objects.filter(session_id=event.session_id).count() == 3
    page.goto("/?range=7d")
    expect(page.locator(".card", has=page.get_by_text("Messages", exact=True)).first).to_contain_text("3")


def test_it_fits_every_screen_and_is_accessible(sign_in: SignedIn, super_admin: User) -> None:
    """With a conversation; how it looks before is among all screens."""
    for size, theme in (("320", "light"), ("desktop", "dark")):
        page = sign_in(super_admin, "/playground/?organization=acme", size=size, theme=theme)
        say(page, "Write a long, detailed report. " + "W" * 200)
        expect(last_answer(page).locator(".figures")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("button", name="Send a deliberate error").click()
        expect(last_answer(page).locator(".figures")).to_be_visible(timeout=PATIENCE_MS)
        assert overflow(page) == [], size
        assert accessibility_violations(page) == [], size
        page.close()


def test_settings_are_in_a_sheet_on_a_phone(sign_in: SignedIn, user: User) -> None:
    page = sign_in(user, "/playground/", size="phone")
    expect(page.get_by_label("Template")).to_be_hidden()
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Model", exact=True).select_option("openai/gpt-oss-120b")
    page.get_by_label("Stream the answer").uncheck()
    assert accessibility_violations(page) == []
    page.get_by_role("button", name="Done").click()
    say(page, "Hello")
    expect(last_answer(page).locator(".figures")).to_contain_text("openai/gpt-oss-120b", timeout=PATIENCE_MS)
    assert not UsageEvent.objects.get().stream


def test_signed_out_meanwhile_or_cut_off_is_said(sign_in: SignedIn, user: User) -> None:
    page = sign_in(user, "/playground/")
    page.route("**/answers/**", lambda route: route.abort())
    say(page, "Anybody there?")
    expect(last_answer(page)).to_contain_text("connection to this server was lost")
    expect(page.get_by_label("Message", exact=True)).to_have_value("Anybody there?")
    page.unroute("**/answers/**")
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("Enter")
    expect(last_answer(page)).to_contain_text("You have been signed out.")


def test_without_javascript_a_form_does_it(sign_in: SignedIn, admin: User) -> None:
    page = sign_in(admin, "/playground/", size="phone", java_script_enabled=False)
    message = page.get_by_label("Message", exact=True)
    message.fill("Hello <b>you</b>")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(last_answer(page).locator(".cost.low")).to_contain_text("$")
    expect(page.locator(".turn.user .said")).to_have_text("Hello <b>you</b>")
    message.fill("And again")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".turn")).to_have_count(4)
    page.get_by_role("button", name="Send a deliberate error").click()
    expect(last_answer(page)).to_contain_text("model_not_found")
    assert overflow(page) == []
    assert UsageEvent.objects.values("session_id").distinct().count() == 1
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".turn")).to_have_count(0)
