"""The page Keys in a browser: without JavaScript, with the copy button, on every screen, in light and dark."""

import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings

from accounts.api_keys import add_secret, create, digest_of, revoke
from accounts.models import ApiKey, Organization, Project, User
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn, accessibility_violations
from tests.browser.test_every_screen import STICKING_OUT

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "a-rather-long-name-without-any-space-in-it-that-goes-on-and-on-and-on"


@pytest.fixture(autouse=True)
def _encrypts(settings: Settings) -> None:
    settings.PROVIDER_KEY_SECRETS = [Fernet.generate_key().decode()]


def problems(page: Page) -> list[str]:
    """What sticks out at any size, and what axe-core finds, in both themes."""
    found = []
    for width, height in SIZES.values():
        page.set_viewport_size({"width": width, "height": height})
        found += page.evaluate(STICKING_OUT)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        found += accessibility_violations(page)
    return found


def test_a_key_lives_without_javascript(sign_in: SignedIn, admin: User, user: User, acme: Organization) -> None:
    """It is made, renamed, rotated and revoked, by keyboard where there is something to type."""
    page = sign_in(admin, f"/organization/{acme.pk}/members/", java_script_enabled=False)
    page.get_by_role("link", name="Keys").click()
    expect(page.get_by_text("No keys found.")).to_be_visible()
    page.get_by_role("link", name="New key").click()
    page.get_by_label("Name", exact=True).fill("Nightly")
    page.get_by_label("Person").fill("nobody at all")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nobody is called this in calls.")).to_be_visible()
    page.get_by_label("Person").fill("ANN")
    page.get_by_label("Read", exact=True).check()
    page.get_by_label("Requests a minute").fill("60")
    page.get_by_label("Last day").fill("2099-12-31")
    page.keyboard.press("Enter")
    first = page.get_by_label("Secret").input_value()
    expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    page.get_by_role("link", name="I have copied it").click()
    assert first not in page.content()
    assert bytes(ApiKey.objects.get().digest) == digest_of(first)
    expect(page.get_by_label("Last day")).to_have_value("2099-12-31")

    page.get_by_label("Name", exact=True).fill("Daily")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Daily is saved.")).to_be_visible()
    page.get_by_role("button", name="Make a second secret").click()
    second = page.get_by_label("Secret").input_value()
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("button", name="Drop the first secret").click()
    expect(page.get_by_text("Only the second one works now.")).to_be_visible()
    assert bytes(ApiKey.objects.get().digest) == digest_of(second)
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Daily is revoked.")).to_be_visible()
    expect(page.locator("main button")).to_have_count(0)
    page.get_by_role("link", name="Audit trail").last.click()
    told = page.locator("tbody td:nth-child(3)")
    expect(told).to_contain_text(["Revoke key", "Drop secret key", "Rotate key", "Change key", "Create key"])
    assert first not in page.content()
    assert second not in page.content()


def test_a_secret_is_copied_by_a_button(sign_in: SignedIn, admin: User, acme: Organization) -> None:
    page = sign_in(admin, f"/organization/{acme.pk}/keys/add/", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_label("Name", exact=True).fill("Nightly")
    page.get_by_role("button", name="Make key").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert digest_of(copied) == bytes(ApiKey.objects.get().digest)
    assert problems(page) == []


def test_without_permission_the_secret_is_selected(sign_in: SignedIn, admin: User, acme: Organization) -> None:
    page = sign_in(admin, f"/organization/{acme.pk}/keys/add/")
    page.get_by_label("Name", exact=True).fill("Nightly")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Secret")).to_be_visible()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_label("Secret")).to_be_focused()
    assert page.evaluate("getSelection().toString()") == page.get_by_label("Secret").input_value()


def test_a_provider_key_is_entered_and_never_shown(sign_in: SignedIn, admin: User, acme: Organization) -> None:
    page = sign_in(admin, f"/organization/{acme.pk}/keys/")
    page.get_by_role("link", name="Use its own key").click()
    page.get_by_label("Key for Groq").fill("gsk_canary é")
    page.keyboard.press("Enter")
    expect(page.get_by_text("without blanks")).to_be_visible()
    expect(page.get_by_label("Key for Groq")).to_have_value("")
    assert problems(page) == []
    page.get_by_label("Key for Groq").fill("gsk_canary4711")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Acme calls Groq with its own key now.")).to_be_visible()
    assert "canary" not in page.content()
    page.get_by_role("link", name="Replace or remove").click()
    assert "canary" not in page.content()
    assert problems(page) == []
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Acme calls Groq with the server's key now.")).to_be_visible()


def test_every_page_is_whole_and_accessible(
    sign_in: SignedIn, admin: User, user: User, acme: Organization, super_admin: User
) -> None:
    project = Project.objects.create(organization=acme, slug=LONG, name=LONG)
    keys = [ApiKey(organization=acme, name=f"{LONG} {n}", project=project, user=user) for n in range(3)]
    for key in keys:
        create(key, by=super_admin)
    add_secret(keys[1], by=admin)
    revoke(keys[2], by=admin)
    page = sign_in(admin, f"/organization/{acme.pk}/keys/")
    assert problems(page) == []
    for path in [f"{acme.pk}/keys/add/", f"{acme.pk}/keys/?q=nothing", *(f"keys/{key.pk}/" for key in keys)]:
        page.goto(f"/organization/{path}")
        assert problems(page) == [], path
    User.objects.filter(pk=user.pk).update(is_active=False)
    page.goto(f"/organization/keys/{keys[0].pk}/")
    expect(page.get_by_text("ann is deactivated.")).to_be_visible()
    assert problems(page) == []
