"""The page Connect in a browser: a newcomer makes a key, runs what the page shows, and sees the call arrive."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from playwright.sync_api import Page, expect

from accounts.api_keys import digest_of
from accounts.models import ApiKey, Organization, User
from analytics.display.figures import money
from connect.snippets import MODEL
from connect.watch import Watch
from groq_client.simulator.server import running_simulator
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.browser.conftest import SignedIn
from tests.browser.test_keys import problems
from tests.gateway.doors import wait_until_known
from tests.ledger.calls import call, failed
from tests.pricing.prices import make_price
from tests.running_demo import ROOT
from tests.served import served

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_MS = 20_000
"""A whole call, and the next look of the page."""
NO_DATABASE = "postgresql://127.0.0.1:1/none"
"""For a process that needs none."""


@pytest.fixture(scope="module")
def gateway(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """The server of production with its pages and its gateway, and the simulator as its Groq."""
    if not (django_settings.STATIC_ROOT / "staticfiles.json").exists():  # as it does after ``make pytest``
        command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": NO_DATABASE}, check=True)
    with (
        django_db_blocker.unblock(),
        running_simulator() as groq,
        served(GROQ_API_KEY="gsk_of_the_server", GROQ_BASE_URL=groq.base_url) as address,
    ):
        httpx.get(f"{address}/sign-in/", timeout=60).raise_for_status()  # It listens before it is able to answer.
        yield address


def come(user: User, **more: Any) -> None:
    record([call("one/a", at=datetime.now(UTC), user=user.username, organization="acme", **more)])


def shown(page: Page) -> str:
    """The program that is to be seen."""
    return page.locator(".snippet:visible code").inner_text()


def title(page: Page) -> Any:
    return page.locator("#call-title")


def test_a_newcomer_sees_the_first_call_arrive(
    sign_in: SignedIn, gateway: str, admin: User, tmp_path: Path, acme: Organization
) -> None:
    make_price(MODEL, at=datetime.now(UTC) - timedelta(days=1))
    page = sign_in(admin, "/", server=gateway)
    expect(title(page)).to_contain_text("Waiting for a call of Acme")
    assert "gul_…" in shown(page)
    page.get_by_role("button", name="Make a key").click()
    secret = page.get_by_label("Secret").input_value()
    assert secret in shown(page)
    assert gateway in shown(page)
    wait_until_known()

    # What the page shows is run as it is.
    program = tmp_path / "python.py"
    program.write_text(shown(page))
    answer = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip()
    expect(title(page)).to_contain_text("Your first call is here", timeout=PATIENCE_MS)
    event = UsageEvent.objects.get()
    expect(title(page)).to_contain_text(
        f"Your first call is here: {event.total_tokens} tokens, {money(event.cost_usd)}"
    )
    expect(page.locator("#call")).to_contain_text(MODEL)
    assert (event.user, event.organization) == (admin, acme)
    assert page.get_by_label("Secret").input_value() == secret, "the rest of the page stays"
    page.get_by_role("link", name="See all of it").click()
    expect(page.get_by_text(event.request_id)).to_be_visible()
    page.goto("/connect/")
    assert secret not in page.content()


def test_another_program_is_shown_at_once_and_copied(sign_in: SignedIn, admin: User) -> None:
    page = sign_in(admin, "/connect/?with=javascript", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Make a key").click()
    secret = page.get_by_label("Secret").input_value()
    assert "baseURL" in shown(page)
    page.get_by_role("link", name="curl").click()
    assert shown(page).startswith("curl ")
    assert secret in shown(page)
    expect(page.get_by_role("link", name="curl")).to_have_attribute("aria-current", "page")
    expect(page).to_have_url(re.compile("with=curl"))
    page.get_by_role("button", name="Copy curl").click()
    expect(page.locator("#copied")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == shown(page)
    page.locator(".secret").get_by_role("button", name="Copy").click()
    page.wait_for_function("secret => navigator.clipboard.readText().then(text => text === secret)", arg=secret)


def test_without_javascript_all_of_it_works(sign_in: SignedIn, admin: User) -> None:
    page = sign_in(admin, "/connect/", java_script_enabled=False)
    page.get_by_role("link", name="LangChain").click()
    assert "ChatGroq" in shown(page)
    page.get_by_role("button", name="Make a key").click()
    secret = page.get_by_label("Secret").input_value()
    assert bytes(ApiKey.objects.get().digest) == digest_of(secret)
    assert "ChatGroq" in shown(page)
    page.get_by_role("link", name="JavaScript", exact=True).click()  # This page is the only one with the secret.
    assert secret in shown(page)
    assert "baseURL" in shown(page)
    assert page.get_by_label("Secret").input_value() == secret
    come(admin)
    page.get_by_role("link", name="Look again").click()
    expect(title(page)).to_contain_text("Your first call is here: 120 tokens, no price yet")
    assert secret not in page.content()


def test_who_waits_in_vain_is_asked_whether_to_go_on(
    sign_in: SignedIn, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that fails for a while leaves the page as it is."""
    monkeypatch.setattr(Watch, "LOOKS", 1)
    page = sign_in(user, "/connect/")
    again = page.get_by_role("link", name="Look again")
    failing = {"status": 503, "headers": {"HX-Reswap": "none"}, "body": ""}
    page.route("**/connect/call/**", lambda route: route.fulfill(**failing))  # type: ignore[arg-type]
    expect(again).to_be_hidden()
    expect(again).to_be_visible(timeout=PATIENCE_MS)
    page.unroute("**/connect/call/**")
    come(user)
    again.click()
    expect(title(page)).to_contain_text("Your first call is here: 120 tokens", timeout=PATIENCE_MS)


def test_a_call_that_failed_is_told(sign_in: SignedIn, admin: User, user: User) -> None:
    page = sign_in(admin, "/connect/?with=otlp")
    page.get_by_text("It does not come?").click()
    page.get_by_role("link", name="Look for every call of Acme").click()
    long = "a-message-without-any-space-that-goes-on-and-on" * 5
    record([failed(at=datetime.now(UTC), user="ann", organization="acme", error_message=long)])
    page.reload()  # The page waits since it was opened first.
    expect(title(page)).to_contain_text("A call of Acme is here, and failed: 429 rate_limit_exceeded")
    expect(page.locator("#call")).to_contain_text("Wait a moment")
    assert "otlp" in page.url
    assert problems(page) == []
