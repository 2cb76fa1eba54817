"""Whom the pages of organizations are open to."""

import pytest
from django.test import Client

from accounts.models import AuditRecord, Organization, Project, Role, User
from accounts.viewer import Viewer
from tests.cast import make_user, signed_in

PAGES = ("members", "members/invite", "projects", "projects/add", "settings", "audit")
ALL = ("/organizations/", "/organizations/add/", "/organizations/people/", "/organizations/audit/")
CHANGES = ("role", "deactivate", "reactivate", "link")
HUGE = 10**30


@pytest.fixture
def web(acme: Organization) -> Project:
    return Project.objects.create(organization=acme, slug="web", name="Web")


def pages_of(organization: Organization, person: User, project: Project) -> list[str]:
    return [
        *(f"/organization/{organization.pk}/{page}/" for page in PAGES),
        f"/organization/members/{person.pk}/",
        f"/organization/projects/{project.pk}/",
    ]


def posts_of(organization: Organization, person: User, project: Project) -> list[str]:
    changing = [f"/organization/members/{person.pk}/{change}/" for change in CHANGES]
    return [path for path in pages_of(organization, person, project) if path.endswith(("d/", "e/"))] + changing


def statuses(client: Client, paths: list[str], method: str = "get") -> set[int]:
    return {getattr(client, method)(path).status_code for path in paths}


def test_an_admin_opens_the_own_organization(admin: User, user: User, acme: Organization, web: Project) -> None:
    assert statuses(signed_in(admin), pages_of(acme, user, web)) == {200}
    assert signed_in(admin).get("/organization/")["Location"] == f"/organization/{acme.pk}/members/"


def test_a_super_admin_opens_every_organization(
    super_admin: User, user: User, outsider: User, acme: Organization, globex: Organization, web: Project
) -> None:
    client = signed_in(super_admin)
    assert statuses(client, [*pages_of(acme, user, web), *pages_of(globex, outsider, web), *ALL]) == {200}
    assert client.get("/organization/")["Location"] == "/organizations/"
    assert client.get(f"/organization/members/{super_admin.pk}/").status_code == 200


def test_another_organization_is_missing_like_one_that_does_not_exist(
    admin: User, outsider: User, globex: Organization, super_admin: User
) -> None:
    client = signed_in(admin)
    theirs = Project.objects.create(organization=globex, slug="web", name="Web")
    paths = [*pages_of(globex, outsider, theirs), f"/organization/members/{super_admin.pk}/"]
    missing = pages_of(Organization(pk=HUGE), User(pk=HUGE), Project(pk=HUGE))
    assert statuses(client, paths + missing) == {404}
    assert client.get(paths[0]).content == client.get(missing[0]).content
    writes = posts_of(globex, outsider, theirs) + posts_of(Organization(pk=HUGE), User(pk=HUGE), Project(pk=HUGE))
    assert statuses(client, writes, "post") == {404}
    assert not AuditRecord.objects.exists()


def test_what_concerns_all_organizations_is_for_super_admins(admin: User) -> None:
    assert statuses(signed_in(admin), [*ALL]) == {403}
    assert signed_in(admin).post("/organizations/add/", {"name": "Mine"}).status_code == 403
    assert not Organization.objects.filter(name="Mine").exists()


def test_users_get_nowhere(user: User, colleague: User, acme: Organization, web: Project) -> None:
    client = signed_in(user)
    assert statuses(client, [*pages_of(acme, user, web), *ALL, "/organization/"]) == {403}
    assert statuses(client, pages_of(Organization(pk=HUGE), User(pk=HUGE), Project(pk=HUGE))) == {403}
    assert statuses(client, posts_of(acme, colleague, web), "post") == {403}
    assert not AuditRecord.objects.exists()


def test_visitors_are_asked_to_sign_in(client: Client, user: User, acme: Organization, web: Project) -> None:
    for path in (*pages_of(acme, user, web), *ALL):
        assert client.get(path)["Location"] == f"/sign-in/?next={path}"
    assert statuses(client, posts_of(acme, user, web), "post") == {302}
    assert not AuditRecord.objects.exists()


def test_nothing_is_changed_by_looking(admin: User, user: User) -> None:
    paths = [f"/organization/members/{user.pk}/{change}/" for change in CHANGES]
    assert statuses(signed_in(admin), paths) == {405}


def test_every_form_needs_its_token(admin: User, user: User, acme: Organization, web: Project) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    assert statuses(client, posts_of(acme, user, web), "post") == {403}


def test_the_account_menu_leads_there(admin: User, super_admin: User, user: User, acme: Organization) -> None:
    def links(person: User) -> list[str]:
        page = signed_in(person).get("/password/").content.decode()
        found = [f"/organization/{acme.pk}/members/", f"/organization/{acme.pk}/audit/", "/organizations/", ALL[3]]
        return [path for path in found if f'href="{path}"' in page]

    assert links(admin) == [f"/organization/{acme.pk}/members/", f"/organization/{acme.pk}/audit/"]
    assert links(super_admin) == ["/organizations/", "/organizations/audit/"]
    assert links(user) == []


def test_who_administers_what(
    super_admin: User, admin: User, user: User, stranger: User, acme: Organization, globex: Organization
) -> None:
    def administered(person: User) -> list[bool]:
        return [Viewer.of(person).may_administer(pk) for pk in (acme.pk, globex.pk, None)]

    assert administered(super_admin) == [True, True, True]
    assert administered(admin) == [True, False, False]
    assert administered(user) == administered(stranger) == administered(make_user("lost", Role.ADMIN)) == [False] * 3
