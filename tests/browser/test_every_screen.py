"""All screens, each for those who may open it: nothing sticks out at any width, and axe-core finds nothing wrong."""

import pytest
from playwright.sync_api import Page

from accounts.models import Organization, User
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn, accessibility_violations
from tests.screens import SCREENS, Role, Screen, settle
from tests.visibility.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)

STICKING_OUT = """[...document.querySelectorAll("main *, header *, dialog[open] *")]
    .filter(element => element.checkVisibility()
        && !element.closest(".scroller, .subnav, .stacks, .visually-hidden, svg"))
    .map(element => [element, element.getBoundingClientRect()])
    .filter(([, box]) => box.width > 0 && (box.left < -1 || box.right > innerWidth + 1))
    .map(([element, box]) => `${element.tagName} ${element.className} from ${box.left} to ${box.right}`)"""

CUT_OFF = """[...document.querySelectorAll(".two-line")]
    .filter(table => table.checkVisibility() && table.parentElement.scrollWidth > table.parentElement.clientWidth + 1)
    .map(table => `a table of ${table.parentElement.scrollWidth} pixels is cut off`)"""
"""On a phone all that a table shows is in sight."""

OPEN_FOLDS = "for (const fold of document.querySelectorAll('.fold')) fold.open = true"

PLOTS_FIT = """() => [...document.querySelectorAll(".plot")].every(plot => {
    const drawn = plot.querySelector(".main-svg");
    return !drawn || Math.abs(drawn.getBoundingClientRect().width - plot.getBoundingClientRect().width) < 2;
})"""
"""Plotly follows the size of the window a little later."""

ROLES: tuple[Role, ...] = ("visitor", "super admin", "admin", "user", "user without cost")


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def person(world: World, role: Role) -> User | None:
    people: dict[Role, User | None] = {
        "visitor": None, "super admin": world.super_admin, "admin": world.acme.admin, "user": world.acme.user,
        "user without cost": world.globex.user,
    }  # fmt: skip
    return people[role]


@pytest.mark.parametrize("role", ROLES)
def test_every_screen_is_whole_and_accessible(world: World, sign_in: SignedIn, role: Role) -> None:
    Organization.objects.filter(pk=world.acme.organization.pk).update(show_user_cost=True)
    page = sign_in(person(world, role), "/password/forgotten/")
    problems: list[str] = []
    for screen in SCREENS:
        if role in screen.roles:
            problems += [f"{screen.name}, {problem}" for problem in problems_of(page, screen)]
    assert problems == []


def problems_of(page: Page, screen: Screen) -> list[str]:
    problems = []
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        if size == next(iter(SIZES)) or screen.open:
            screen.visit(page)
            page.evaluate(OPEN_FOLDS)
            settle(page)
        elif page.locator(".plot").count():
            page.wait_for_function(PLOTS_FIT)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            problems.append(f"{size}: the page scrolls sideways")
        problems += [f"{size}: {element}" for element in page.evaluate(STICKING_OUT)]
        if size in ("320", "phone"):
            problems += [f"{size}: {table}" for table in page.evaluate(CUT_OFF)]
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        problems += [f"{theme}: {violation}" for violation in accessibility_violations(page)]
    page.emulate_media(color_scheme="light")
    return problems


def test_the_first_run_is_whole_and_accessible(sign_in: SignedIn, super_admin: User, admin: User, user: User) -> None:
    """What each role sees on the Overview before anything is recorded."""
    problems: list[str] = []
    for person in (super_admin, admin, user):
        page = sign_in(person, "/")
        problems += [f"{person}, {problem}" for problem in problems_of(page, Screen("first-run", "/"))]
    assert problems == []
