"""A real browser on a real server. Uses the Chromium that the system has; never downloads one."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.browser.chromium import ARGUMENTS, INSTALL, SIZES, chromium
from tests.cast import signed_in

SignedIn = Callable[..., Page]
AXE = Axe().axe_script
PATIENCE_MS = 30_000
"""A busy machine is slow and may not fail a test. Playwright itself waits 5 seconds for what is expected."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for a module and no longer: this thread has an event loop meanwhile, and asynchronous tests need theirs.

    Tests do not share a window: ``sign_in`` opens each page in a new context, with cookies and a storage of its own.
    """
    path = chromium()
    if path is None:
        if os.environ.get("FORBID_SKIP") == "1":
            pytest.fail(INSTALL)
        pytest.skip(INSTALL)
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Django would refuse to work in a thread with an event loop
        expect.set_options(timeout=PATIENCE_MS)
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def sign_in(browser: Browser, live_server: LiveServer) -> Iterator[SignedIn]:
    """``sign_in(person, path="/", size="desktop", theme="light", …)`` opens a page as somebody (None: a visitor).

    What the browser complains about on its console fails the test.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(
        person: User | None,
        path: str = "/",
        size: str = "desktop",
        theme: str = "light",
        server: str = live_server.url,
        **more: Any,
    ) -> Page:
        width, height = SIZES[size]
        viewport: Any = {"width": width, "height": height}
        scheme: Any = theme
        more = {"viewport": viewport, "color_scheme": scheme, "reduced_motion": "reduce"} | more  # colours do not fade
        context = browser.new_context(base_url=server, **more)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        if person is not None:
            session = signed_in(person).cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": server}])
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    expected = ("Failed to load resource", "htmx: htmx:error")  # what a test does to the network
    assert [text for text in complaints if not text.startswith(expected)] == []


def choose_range(page: Page, name: str) -> None:
    """Choose one of the ranges in the menu, which closes again."""
    page.locator(".ranges > summary").click()
    page.locator(".ranges").get_by_role("radio", name=name).check()


def accessibility_violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page, a line each."""
    if not page.evaluate("'axe' in window"):  # Half a megabyte: once for a document, however often it is looked at.
        page.evaluate(AXE)
    # Half-way through a transition a colour is neither the old one nor the new one.
    page.evaluate("document.getAnimations().forEach(animation => animation.cancel())")
    # Files are only fetched again for what axe-core asks a person to look at, and for a rule that is not in use.
    options = "{resultTypes: ['violations'], preload: false}"
    violations = page.evaluate(f"axe.run({options}).then(results => results.violations)")
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in violations
        for node in violation["nodes"]
    ]
