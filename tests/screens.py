"""A list of all screens, for the sweep in tests/browser/test_every_screen.py and for the screenshots."""

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
    """Wait for charts, and for parts of the page that are loaded after the first paint."""
    page.wait_for_function(
        """() => document.readyState === "complete"
            && ![...document.querySelectorAll(".plot:not(.js-plotly-plot)")].some(plot => plot.checkVisibility())
            && !document.querySelector(".htmx-request, [hx-trigger~=load]:empty")"""
    )


ANALYTICS: tuple[Role, ...] = ("super admin", "admin", "user", "user without cost")
MEMBERS = "a[href$='/members/']"
KEYS = "a[href$='/keys/']"

SCREENS = (
    Screen("sign-in", "/sign-in/", ("visitor",)),
    Screen("password-forgotten", "/password/forgotten/", ("visitor",)),
    Screen("tokens", "/tokens/", ("user",)),
    Screen("password", "/password/", ("user",)),
    Screen("security", "/security/", ("user", "admin")),
    Screen("security-app", "/security/app/", ("user",)),
    Screen("security-passkey", "/security/passkey/", ("user",)),
    Screen("security-confirm", "/security/confirm/", ("user",)),
    Screen(
        "privacy", "/privacy/", ("super admin", "admin", "user without cost"), open="details:not([data-menu]) summary"
    ),
    Screen("member-privacy", "/organization/", ("admin",), links=("tbody th a", "a[href$='/privacy/']")),
    Screen("member-anonymise", "/organization/", ("admin",), links=("tbody th a", "a[href$='/anonymise/']")),
    Screen("overview", "/", ANALYTICS),
    Screen("overview-grouped", "/?group=model", ("admin",)),
    Screen("overview-changes", "/?range=7d&change=1", ("admin",)),
    Screen("overview-empty", "/?model=nope", ("admin",)),
    Screen("overview-bad-range", "/?range=custom&from=x", ("admin",)),
    Screen("overview-menu", "/", ("admin",), open="details.filter:visible summary, .sheet-opener:visible"),
    Screen("requests", "/requests/", ANALYTICS),
    Screen(
        "requests-columns",
        "/requests/?sort=cost&columns=id&columns=x",
        ("admin",),
        open="details[data-menu=columns] summary",
    ),
    Screen("request-drawer", "/requests/", ("admin",), open="#results tbody a[href*='/requests/']"),
    Screen("request", "/requests/", ("admin", "user without cost"), links=("#results tbody a[href*='/requests/']",)),
    Screen("sessions", "/sessions/", ("super admin", "user without cost")),
    Screen("session", "/sessions/?sort=requests", ("admin", "user without cost"), links=("#results tbody th a",)),
    Screen("models", "/models/", ("super admin", "admin", "user without cost")),
    Screen("models-estimate", "/models/estimate/", ("super admin", "user")),
    Screen("model-facts", "/pricing/facts/?model=openai/gpt-oss-120b"),
    Screen("grouped-export", "/export/?model=openai/gpt-oss-120b&model=x", ("super admin", "admin")),
    Screen("grouped-export-refused", "/export/?per=day&by=model&then=model&format=csv", ("admin",)),
    Screen("views", "/views/", ("super admin", "admin", "user without cost")),
    Screen("view-add", "/views/add/requests/?range=7d&model=x", ("admin", "user")),
    Screen("view-change", "/views/", ("admin",), links=("tbody a[href^='/views/']",)),
    Screen("views-menu", "/requests/", ("admin",), open=".views summary"),
    Screen("month-report", "/report/", ("super admin", "admin", "user without cost")),
    Screen("month-report-refused", "/report/?month=2999-01", ("admin",)),
    Screen("my-usage", "/my-usage/", ("admin", "user", "user without cost")),
    Screen("pricing", "/pricing/", ("super admin", "admin")),
    Screen("pricing-edit", "/pricing/edit/"),
    Screen("pricing-history", "/pricing/", links=("tbody th a",)),
    Screen("pricing-aliases", "/pricing/aliases/"),
    Screen("organizations", "/organizations/"),
    Screen("organization-add", "/organizations/add/"),
    Screen("members", "/organization/", ("admin",)),
    Screen("member", "/organization/", ("admin",), links=("tbody th a",)),
    Screen("member-invite", "/organization/", ("admin",), links=("a[href$='/members/invite/']",)),
    Screen("projects", "/organization/", ("admin",), links=("a[href$='/projects/']",)),
    Screen("project", "/organization/", ("admin",), links=("a[href$='/projects/']", "tbody th a")),
    Screen("member-merge", "/organization/", ("admin",), links=("tbody th a", "a[href$='/merge/']")),
    Screen("project-add", "/organization/", ("admin",), links=("a[href$='/projects/']", "a[href$='/projects/add/']")),
    Screen("keys", "/organization/", ("admin",), links=(KEYS,)),
    Screen("key", "/organization/", ("admin",), links=(KEYS, "tbody th a")),
    Screen("key-add", "/organization/", ("admin",), links=(KEYS, "a[href$='/keys/add/']")),
    Screen("provider-key", "/organization/", ("admin",), links=(KEYS, "a[href$='/keys/groq/']")),
    Screen("exports", "/organization/", ("admin",), links=("a[href$='/exports/']",)),
    Screen("organization-settings", "/organization/", ("admin",), links=("a[href$='/settings/']",)),
    Screen("audit-trail", "/organization/", ("admin",), links=("a[href$='/audit/']",)),
    Screen("all-keys", "/organizations/keys/"),
    Screen("whole-audit-trail", "/organizations/audit/"),
    Screen("health", "/health/details/"),
    Screen("playground", "/playground/", ("admin",)),
    Screen("connect", "/connect/", ("super admin", "user without cost")),
    Screen("connect-key", "/connect/?with=curl", ("admin",), open="#make-key button"),
    Screen("connect-call", "/connect/?since=0&whose=all", ("admin",)),
    Screen("not-found", "/nothing/", ("user",)),
    Screen("forbidden", "/pricing/edit/", ("user",)),
)
