"""The page that describes the API: it works without a network, and its texts can be read in either theme."""

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.browser.conftest import SignedIn, accessibility_violations

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_read_and_tried_without_a_network(theme: str, admin: User, sign_in: SignedIn) -> None:
    page = sign_in(admin, "about:blank", theme=theme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/api/v1/docs/")
    expect(page.locator(".opblock")).to_have_count(24)
    page.locator("[id$=post_estimate_cost] button").first.click()
    tried = page.locator("[id$=get_me]")
    tried.locator("button").first.click()
    tried.get_by_role("button", name="Try it out").click()
    tried.get_by_role("button", name="Execute").click()
    expect(tried.locator(".live-responses-table tbody .response-col_status")).to_contain_text("200")
    assert not [url for url in asked if not url.startswith(page.url.partition("/api/")[0])]
    assert pale_texts(page) == []


def pale_texts(page: Page) -> list[str]:
    """What axe-core finds of colours. What else it finds is how Swagger UI is built: buttons in buttons, two mains."""
    return [found for found in accessibility_violations(page) if found.startswith("color")]
