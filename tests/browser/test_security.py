"""Second factors and sessions in a browser: passkeys with a virtual authenticator, codes, and single sign-on."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import CDPSession, Page, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import Organization, Role, User
from accounts.single_sign_on import provider as of_provider
from tests.accounts.apps import code, give_app
from tests.accounts.identity_provider import IdentityProvider, identity_provider
from tests.browser.conftest import SignedIn, accessibility_violations
from tests.browser.test_keys import problems
from tests.cast import PASSWORD, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def with_authenticator(page: Page) -> CDPSession:
    """A device that makes passkeys and has its owner's finger on it."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return devtools


def fill_in_password(page: Page) -> None:
    page.goto("/sign-in/")
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.goto("/security/")
    page.locator("summary[aria-label^='Account of']").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_passkey_is_made_and_signs_in(sign_in: SignedIn, user: User) -> None:
    page = sign_in(user, "/")
    with_authenticator(page)
    page.locator("summary[aria-label^='Account of']").click()
    page.get_by_role("link", name="Security").click()
    page.get_by_role("link", name="Add a passkey").click()
    assert problems(page) == []
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert problems(page) == []
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Passkey Laptop")).to_be_visible()
    assert problems(page) == []

    sign_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("summary[aria-label^='Account of']")).to_be_visible()

    sign_out(page)
    fill_in_password(page)
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    assert problems(page) == []
    page.get_by_role("button", name="Use your passkey").click()
    expect(page.locator("summary[aria-label^='Account of']")).to_be_visible()

    page.goto("/security/")
    page.get_by_role("button", name="Remove the passkey Laptop").click()
    expect(page.get_by_text("does not count any more")).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("The passkey was not accepted.")).to_be_visible()


def test_a_passkey_of_somebody_else_is_no_second_step(sign_in: SignedIn, user: User, colleague: User) -> None:
    page = sign_in(colleague, "/security/passkey/")
    with_authenticator(page)
    page.get_by_label("Name").fill("Ben's")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    sign_out(page)
    give_app(user)
    fill_in_password(page)
    expect(page.get_by_role("button", name="Use your passkey")).to_have_count(0)
    shown = page.evaluate(
        """async () => {
            const { publicKey } = await (await fetch("/sign-in/passkey/")).json();
            const plain = (text) => text.replace(/-/g, "+").replace(/_/g, "/");
            const bytes = (text) => Uint8Array.from(atob(plain(text)), (letter) => letter.charCodeAt(0));
            const text = (part) => btoa(String.fromCharCode(...new Uint8Array(part)));
            const asked = { ...publicKey, challenge: bytes(publicKey.challenge) };
            const made = await navigator.credentials.get({ publicKey: asked });
            const url = (part) => text(part).replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=/g, "");
            const { clientDataJSON, authenticatorData, signature, userHandle } = made.response;
            const response = { clientDataJSON: url(clientDataJSON), authenticatorData: url(authenticatorData),
                signature: url(signature), userHandle: url(userHandle) };
            const form = document.querySelector("main form");
            form.insertAdjacentHTML("beforeend", "<input type='hidden' name='credential'>");
            form.elements.code.remove();
            form.elements.credential.value = JSON.stringify(
                { id: made.id, rawId: url(made.rawId), type: made.type, response, clientExtensionResults: {} });
            form.submit();
            return form.elements.credential.value;
        }"""
    )
    assert "signature" in shown
    expect(page.get_by_text("The passkey was not accepted.")).to_be_visible()


def test_an_app_is_set_up_and_asked_for_without_javascript(sign_in: SignedIn, user: User) -> None:
    page = sign_in(user, "/security/", java_script_enabled=False)
    page.get_by_role("link", name="Set up an app").click()
    expect(page.get_by_alt_text("The key below, as a picture")).to_be_visible()
    secret = page.locator(".secret-key").inner_text().replace(" ", "")
    page.get_by_label("Code").fill(code(secret))
    page.keyboard.press("Enter")
    (first, *_) = page.locator("#codes").inner_text().split()
    page.get_by_role("link", name="I have kept them").click()
    sign_out(page)
    fill_in_password(page)
    page.get_by_label("Code").fill("12")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This code is not right")).to_be_visible()
    page.get_by_label("Code").fill(first)
    page.keyboard.press("Enter")
    expect(page.locator("summary[aria-label^='Account of']")).to_be_visible()
    page.goto("/security/")
    expect(page.get_by_text("9 recovery codes left")).to_be_visible()


def test_the_pages_are_whole_and_accessible(
    sign_in: SignedIn, user: User, settings: Settings, acme: Organization
) -> None:
    settings.SECOND_FACTOR_FOR = "admins"
    page = sign_in(make_user("chief", Role.ADMIN, acme), "/")
    expect(page.get_by_text("you need a second factor")).to_be_visible()
    assert problems(page) == []
    for path in ("/security/app/", "/security/confirm/"):
        page.goto(path)
        assert problems(page) == [], path


@pytest.fixture
def company(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityProvider]:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    of_provider._known.clear()
    with identity_provider() as server:
        settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = server.url, "ledger", "secret"
        settings.OIDC_NAME, settings.OIDC_ORGANIZATION = "Acme SSO", "acme"
        yield server


def test_a_browser_goes_to_the_company_and_comes_back(
    sign_in: SignedIn, live_server: LiveServer, company: IdentityProvider, acme: Organization
) -> None:
    """Past the Content-Security-Policy, which a redirect of the form itself would not pass."""
    company.knows("d-1", email="dora@acme.example", email_verified=True, name="Dora Day")
    page = sign_in(None, "/sign-in/?next=/tokens/")
    assert accessibility_violations(page) == []
    page.get_by_role("button", name="Sign in with Acme SSO").click()
    page.wait_for_url(f"{company.url}/**")
    page.locator("input[name=sub]").fill("d-1")
    page.locator("button[type=submit]:not([name=action])").first.click()
    page.wait_for_url("**/tokens/")
    expect(page.locator("summary[aria-label='Account of Dora Day']")).to_be_visible()
