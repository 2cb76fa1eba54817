"""The pages of organizations in a browser: without JavaScript, by keyboard, on every screen, in light and dark."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth.hashers import make_password
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings

from accounts.audit import record as record_change
from accounts.links import CONSOLE
from accounts.models import AuditRecord, Organization, Project, Role, User
from ledger.recording.record import record
from tests.browser.chromium import SIZES
from tests.browser.conftest import SignedIn, accessibility_violations
from tests.cast import make_user
from tests.ledger.calls import call

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a whole new battery"
ADDRESS = "dora@example.com"
USERNAME = "dora@example.com@acme"
"""The link is shown, which does not prove the address."""
LONG = "a-rather-long-name-without-any-space-in-it-that-goes-on-and-on-and-on"


@pytest.fixture(autouse=True)
def _no_mail(settings: Settings) -> None:
    settings.EMAIL_BACKEND = CONSOLE


@pytest.fixture
def busy(acme: Organization, admin: User, user: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """An organization with everything on its pages, long names among it. Somebody whom only calls have named."""
    for module in ("paging", "audit_trail"):
        monkeypatch.setattr(f"accounts.{module}.PAGE_SIZE", 5)
    unusable = make_password(None)
    User.objects.bulk_create(
        User(username=f"p{n}", handle=f"person-{n:03}", organization=acme, email=f"p{n}@example.com", password=unusable)
        for n in range(8)
    )
    Project.objects.bulk_create(Project(organization=acme, slug=f"{LONG}-{n}", name=f"{LONG} {n}") for n in range(8))
    for _ in range(8):
        record_change("role.change", LONG, by=admin, organization=acme, changes={LONG: (LONG, LONG), "role": (None, 1)})
    return User.objects.create(username=LONG, handle=LONG, organization=acme, password=unusable, is_active=False)


def choose_password(page: Page, link: str) -> None:
    """Follow a link by keyboard alone, and sign in."""
    page.goto(link)
    page.get_by_label("New password:", exact=True).focus()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Your password is set. Sign in as {USERNAME}.")).to_be_visible()
    page.get_by_label("Username").focus()
    page.keyboard.type(USERNAME)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")


def test_a_member_comes_rises_and_goes(sign_in: SignedIn, admin: User, acme: Organization) -> None:
    """The Admin works without JavaScript."""
    page = sign_in(admin, "/password/", java_script_enabled=False)
    page.locator(".account summary").click()
    page.get_by_role("link", name="Organization", exact=True).click()
    expect(page.get_by_role("heading", name="Acme")).to_be_visible()

    # Invited without mail: the link is shown, and only now.
    page.get_by_role("link", name="Invite").click()
    expect(page.locator("[name=role] option")).to_have_text(["User", "Admin"])
    page.get_by_label("E-mail address").fill(ADDRESS)
    page.get_by_label("First name").fill("Dora")
    page.get_by_role("button", name="Invite").click()
    link = page.get_by_label("Link to choose a password").input_value()
    page.get_by_role("link", name="I have copied it").click()
    expect(page.locator("main")).to_contain_text("Invited")
    assert link not in page.content()

    # She chooses a password, signs in, and is a User.
    theirs = sign_in(None, "/sign-in/")
    choose_password(theirs, link)
    expect(theirs.get_by_role("link", name="Analytics", exact=True)).to_be_visible()
    theirs.locator(".account summary").click()
    expect(theirs.get_by_role("link", name="Organization", exact=True)).to_have_count(0)
    members = f"/organization/{acme.pk}/members/"
    response = theirs.goto(members)
    assert response is not None
    assert response.status == 403

    # She becomes an Admin, and administers.
    page.get_by_label("Role").select_option("Admin")
    page.get_by_role("button", name="Change role").click()
    expect(page.get_by_text("Dora is Admin now.")).to_be_visible()
    theirs.goto(members)
    expect(theirs.get_by_role("link", name="Dora")).to_be_visible()

    # Deactivated, she is out with her next click.
    page.get_by_role("button", name="Deactivate").click()
    expect(page.get_by_text("Dora is deactivated and signed out.")).to_be_visible()
    theirs.get_by_role("link", name="Settings").click()
    expect(theirs.get_by_role("heading", name="Sign in")).to_be_visible()

    # All of it is told.
    page.get_by_role("link", name="Audit trail").last.click()
    told = page.locator("tbody td:nth-child(3)")
    actions = ["Deactivate member", "Change role", "Set password", "Show password link", "Invite member"]
    expect(told).to_contain_text(actions)


def test_the_toggle_shows_a_user_the_cost(sign_in: SignedIn, super_admin: User, user: User, acme: Organization) -> None:
    record([call(organization="acme", user="ann", at=datetime.now(UTC))])
    theirs = sign_in(user, "/?range=7d")
    expect(theirs.get_by_role("heading", name="Messages", exact=True)).to_be_visible()
    assert "cost" not in theirs.content().lower()

    page = sign_in(super_admin, "/organizations/")
    page.get_by_role("link", name="Acme").click()
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Time zone").fill("Mars/Olympus")
    page.get_by_label("Show user cost").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Mars/Olympus is not a time zone")).to_be_visible()
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    expect(page.get_by_label("Show user cost")).to_be_checked()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The settings are saved.")).to_be_visible()

    theirs.reload()
    expect(theirs.get_by_role("heading", name="Total Cost", exact=True)).to_be_visible()
    expect(theirs.get_by_role("link", name="Pricing", exact=True)).to_be_visible()


def test_a_super_admin_looks_after_all_but_themselves(
    sign_in: SignedIn, super_admin: User, admin: User, globex: Organization
) -> None:
    page = sign_in(super_admin, "/organizations/")
    page.get_by_role("link", name="Add organization").click()
    page.get_by_label("Name", exact=True).fill("Initech")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Initech is added.")).to_be_visible()
    page.get_by_role("link", name="Projects").click()
    page.get_by_role("link", name="Add project").click()
    page.get_by_label("Name", exact=True).fill("Web site")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Web site").click()
    expect(page.get_by_label("Name in calls")).to_have_value("web-site")
    page.get_by_label("Name", exact=True).fill("Shop")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Shop is saved.")).to_be_visible()

    # The last Super Admin finds nothing on the own page by which to go.
    page.goto("/organizations/people/")
    page.get_by_role("link", name="root").click()
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    expect(page.get_by_role("button", name="Change role")).to_have_count(0)
    expect(page.get_by_role("button", name="Deactivate")).to_have_count(0)

    # To the Admin of another organization this one does not exist.
    theirs = sign_in(admin)
    initech = Organization.objects.get(name="Initech")
    for path in (f"/organization/{initech.pk}/members/", f"/organization/{globex.pk}/settings/"):
        response = theirs.goto(path)
        assert response is not None
        assert response.status == 404
    assert set(AuditRecord.objects.values_list("actor__username", flat=True)) == {"root"}


def pages(acme: Organization, busy: User, user: User) -> list[str]:
    own = f"/organization/{acme.pk}"
    return [
        f"{own}/members/", f"{own}/members/?q=nobody", f"{own}/members/?standing=Seen+in+calls",
        f"{own}/members/invite/", f"{own}/projects/", f"{own}/projects/add/", f"{own}/settings/", f"{own}/audit/",
        f"/organization/members/{busy.pk}/", f"/organization/members/{user.pk}/",
        f"/organization/projects/{Project.objects.order_by('pk')[0].pk}/",
        "/organizations/", "/organizations/add/", "/organizations/people/", "/organizations/audit/",
    ]  # fmt: skip


def test_nothing_overflows_on_any_screen(
    sign_in: SignedIn, super_admin: User, busy: User, user: User, acme: Organization
) -> None:
    page = sign_in(super_admin, "/password/")
    for path in pages(acme, busy, user):
        page.goto(path)
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, size)
            assert page.evaluate(CUT_OFF) == [], (path, size)


CUT_OFF = """[...document.querySelectorAll('.card, .button, .input, .subnav a, .tag, h1, h2, dd, .topbar > *')]
    .filter(element => element.checkVisibility() && !element.closest('.scroller'))
    .filter(element => element.getBoundingClientRect().left < 0 || element.getBoundingClientRect().right > innerWidth)
    .map(element => element.outerHTML)"""


def test_everybody_can_use_it(sign_in: SignedIn, super_admin: User, busy: User, acme: Organization) -> None:
    """axe-core finds nothing on the pages with errors and links; the others are among all screens."""
    own = f"/organization/{acme.pk}"
    page = sign_in(super_admin, f"{own}/members/invite/", size="phone")
    page.get_by_label("E-mail address").fill("p1@example.com")
    page.keyboard.press("Enter")
    expect(page.get_by_text("has an account already")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("E-mail address").fill(ADDRESS)
    page.keyboard.press("Enter")
    link = page.get_by_label("Link to choose a password").input_value()
    assert violations(page) == []
    page.goto(f"/organization/members/{busy.pk}/")
    assert violations(page) == []
    assert violations(sign_in(None, link)) == []


def violations(page: Page) -> list[str]:
    """In both themes."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        found += accessibility_violations(page)
    return found


def test_an_admin_cannot_touch_a_super_admin(sign_in: SignedIn, admin: User, acme: Organization) -> None:
    chief = make_user("chief", Role.SUPER_ADMIN, acme)
    page = sign_in(admin, f"/organization/{acme.pk}/members/")
    page.get_by_role("link", name="chief").click()
    expect(page.get_by_text("Only a Super Admin can change a Super Admin.")).to_be_visible()
    expect(page.locator("main button")).to_have_count(0)
    assert User.objects.get(pk=chief.pk).role is Role.SUPER_ADMIN


def test_two_people_become_one(sign_in: SignedIn, admin: User, user: User, acme: Organization) -> None:
    """By the keyboard and without JavaScript; axe-core finds nothing on the way."""
    record([call(organization="acme", user=name) for name in ("ann", "Ann@Example.com", "Ann@Example.com")])
    double = User.objects.get(handle="Ann@Example.com")
    page = sign_in(admin, f"/organization/members/{double.pk}/", size="phone", java_script_enabled=False)
    page.get_by_role("link", name="Merge into another").click()
    page.get_by_label("Merge into").fill("ANN")
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 become those of ann")).to_be_visible()
    page.get_by_role("button", name="Merge", exact=True).press("Enter")
    expect(page.get_by_text("Ann@Example.com is merged into ann.")).to_be_visible()
    looked_at = sign_in(admin, f"/organization/members/{user.pk}/", size="phone")
    assert violations(looked_at) == []
    looked_at.goto(f"/organization/members/{user.pk}/merge/?into=boss")
    assert violations(looked_at) == []
    looked_at.goto(f"/organization/members/{user.pk}/")
    looked_at.get_by_role("button", name="Remove Ann@Example.com").click()
    expect(looked_at.get_by_text("Calls that say Ann@Example.com do not find ann any more.")).to_be_visible()
