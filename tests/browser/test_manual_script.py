"""The manual test script, from the first chat to what a User sees, in one browser."""

import csv
import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from playwright.sync_api import Page, expect

from accounts.models import Organization, User
from groq_client.simulator.server import SimulatorHandle, running_simulator
from ledger.models import UsageEvent
from pricing.cost import cost
from pricing.models import Price

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "openai/gpt-oss-20b"
LONG = "Write a long answer about rivers. " + "The Danube, the Volga and the Rhine. " * 100

SignedIn = Callable[..., Page]
Chat = Callable[..., None]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorHandle]:
    with running_simulator() as handle:
        yield handle


@pytest.fixture
def chat(simulator: SimulatorHandle, settings: Any, acme: Organization) -> Chat:
    settings.GROQ_BASE_URL = simulator.base_url

    def ask(prompt: str, **options: Any) -> None:
        out = io.StringIO()
        call_command("groq_chat", prompt, organization=acme.slug, **options, stdout=out, stderr=out)
        assert "Recorded" in out.getvalue()

    return ask


def card(page: Page, name: str) -> str:
    """The figure that a card shows."""
    return page.locator(".card", has=page.get_by_text(name, exact=True)).first.inner_text()


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(), newline="")))


def test_the_manual_script(
    sign_in: SignedIn, chat: Chat, super_admin: User, user: User, colleague: User, acme: Organization, tmp_path: Path
) -> None:
    Price.objects.create(
        model=MODEL, input_usd_per_1k_tokens=Decimal("0.000075"), output_usd_per_1k_tokens=Decimal("0.0003")
    )

    # Three chats: a short one, a long one, a forced error.
    chat("Hello", project="web", user=user.handle, expert="guide")
    chat(LONG, stream=True, project="docs", user=colleague.handle)
    chat("Hello", force_error=True, project="web", user=user.handle)

    # Look.
    page = sign_in(super_admin, "/?range=7d")
    expect(page.get_by_role("link", name="Analytics", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Pricing", exact=True)).to_be_visible()
    assert "3" in card(page, "Messages")
    assert "33.3%" in card(page, "Error Rate")
    total = sum(UsageEvent.objects.values_list("cost_usd", flat=True))
    assert f"{total:.6f}".rstrip("0")[:6] in card(page, "Total Cost")
    page.screenshot(path=tmp_path / "three-chats.png", full_page=True)

    # Change the price; the summary comes first.
    page.get_by_role("link", name="Pricing", exact=True).click()
    page.get_by_role("link", name="Edit Pricing").click()
    page.get_by_label(f"Input $ / 1k tokens of {MODEL}", exact=True).fill("1")
    page.get_by_label(f"Output $ / 1k tokens of {MODEL}").fill("2")
    page.get_by_role("button", name="Save Pricing").click()
    expect(page.get_by_text("This applies to new requests only")).to_be_visible()
    page.get_by_role("button", name="Save Pricing").click()
    page.wait_for_url("**/pricing/")
    old, new = Price.objects.order_by("id")
    assert (new.author, new.input_usd_per_1k_tokens) == (super_admin, Decimal(1))

    # Chat again: the new price counts for the new call only.
    chat("Hello again", project="web", user=user.handle)
    *before, after = UsageEvent.objects.order_by("timestamp")
    assert {event.price for event in before} == {old, None}
    assert (after.price, after.cost_usd) == (new, cost(after, new))

    # Filter by project: every figure follows.
    page.goto("/?range=7d")
    assert "4" in card(page, "Messages")
    page.locator("summary", has_text="Project").first.click()
    page.get_by_label("web", exact=False).first.check()
    page.wait_for_url("**project=*")
    expect(page.locator(".card", has=page.get_by_text("Messages", exact=True)).first).to_contain_text("3")

    # Export: the file holds what the page shows.
    with page.expect_download() as download:
        page.locator(".export summary").click()
        page.get_by_role("link", name="Requests as CSV").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    exported = rows_of(path)
    assert [row["project"] for row in exported] == ["web"] * 3
    web = UsageEvent.objects.filter(project__slug="web")
    assert sum(Decimal(row["cost_usd"]) for row in exported) == sum(event.cost_usd or 0 for event in web)

    # A User sees own rows and no cost; with the organization's toggle on, cost.
    mine = sign_in(user, "/?range=7d")
    assert "3" in card(mine, "Messages")
    assert "cost" not in mine.content().lower()
    expect(mine.locator("#export")).to_have_count(0)
    Organization.objects.filter(pk=acme.pk).update(show_user_cost=True)
    mine.reload()
    assert "$" in card(mine, "Total Cost")
