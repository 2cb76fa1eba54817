"""Every screen, for what looks at all of them: the sweep in tests/browser/test_every_screen.py and the screenshots."""

from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Page

Role = Literal["visitor", "super admin", "admin", "user", "user without cost"]


@dataclass(frozen=True, slots=True)
class Screen:
    """A page and how to get there: its address, then links to follow (CSS selectors)."""

    name: str
    path: str
    roles: tuple[Role, ...] = ("super admin",)
    links: tuple[str, ...] = ()
    open: str = ""
    """What to press once there: a menu, a drawer, a dialog."""

    def visit(self, page: Page) -> None:
        page.goto(self.path)
        for link in self.links:
            page.goto(str(page.locator(link).first.get_attribute("href")))
        settle(page)
        if self.open:
            page.locator(self.open).first.click()
            settle(page)


def settle(page: Page) -> None:
    """Wait for charts, and for what is loaded after the first paint."""
    page.wait_for_function(
        """() => document.readyState === "complete"
            && ![...document.querySelectorAll(".plot")].some(plot => !plot.matches(".js-plotly-plot"))
            && !document.querySelector(".htmx-request, [hx-trigger~=load]:empty")"""
    )


ANALYTICS: tuple[Role, ...] = ("super admin", "admin", "user", "user without cost")
MEMBERS = "a[href$='/members/']"

SCREENS = (
    Screen("sign-in", "/sign-in/", ("visitor",)),
    Screen("password-forgotten", "/password/forgotten/", ("visitor",)),
    Screen("password", "/password/", ("user",)),
    Screen("overview", "/", ANALYTICS),
    Screen("overview-empty", "/?model=nope", ("admin",)),
    Screen("overview-bad-range", "/?range=custom&from=x", ("admin",)),
    Screen("overview-menu", "/", ("admin",), open="details.filter:visible summary, .sheet-opener:visible"),
    Screen("requests", "/requests/", ANALYTICS),
    Screen("request-drawer", "/requests/", ("admin",), open="#results tbody a[href*='/requests/']"),
    Screen("request", "/requests/", ("admin", "user without cost"), links=("#results tbody a[href*='/requests/']",)),
    Screen("sessions", "/sessions/", ("super admin", "user without cost")),
    Screen("models", "/models/", ("super admin", "user without cost")),
    Screen("my-usage", "/my-usage/", ("user", "user without cost")),
    Screen("pricing", "/pricing/", ("super admin", "admin")),
    Screen("pricing-edit", "/pricing/edit/"),
    Screen("pricing-history", "/pricing/", links=("tbody th a",)),
    Screen("organizations", "/organizations/"),
    Screen("organization-add", "/organizations/add/"),
    Screen("members", "/organization/", ("admin",)),
    Screen("member", "/organization/", ("admin",), links=("tbody th a",)),
    Screen("member-invite", "/organization/", ("admin",), links=("a[href$='/members/invite/']",)),
    Screen("projects", "/organization/", ("admin",), links=("a[href$='/projects/']",)),
    Screen("project", "/organization/", ("admin",), links=("a[href$='/projects/']", "tbody th a")),
    Screen("project-add", "/organization/", ("admin",), links=("a[href$='/projects/']", "a[href$='/projects/add/']")),
    Screen("organization-settings", "/organization/", ("admin",), links=("a[href$='/settings/']",)),
    Screen("audit-trail", "/organization/", ("admin",), links=("a[href$='/audit/']",)),
    Screen("whole-audit-trail", "/organizations/audit/"),
    Screen("health", "/health/details/"),
    Screen("playground", "/playground/", ("admin",)),
    Screen("not-found", "/nothing/", ("user",)),
    Screen("forbidden", "/pricing/edit/", ("user",)),
)
