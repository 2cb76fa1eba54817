"""The pages on which an Admin corrects names by merging, renaming and removing former names."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditRecord, Organization, Project, Role, User
from ledger.models import UsageEvent
from ledger.recording.record import record
from ledger.upkeep import merges
from tests.cast import make_user, signed_in
from tests.jobs import forget_jobs
from tests.ledger.calls import call
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_jobs(transactional_db: None) -> Any:
    yield
    forget_jobs()


@pytest.fixture
def boss(admin: User) -> Client:
    return signed_in(admin)


@pytest.fixture
def double(acme: Organization, user: User) -> User:
    """The second user for Ann, who exists because some calls name her by her e-mail address."""
    make_price(call().model)
    record([call(organization="acme", user="ann", project="web", session_id="s")])
    record(call(organization="acme", user="Ann@Example.com", project="shop", session_id="s") for _ in range(3))
    return User.objects.get(handle="Ann@Example.com")


def text(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


def test_the_preview_tells_what_merging_then_does(boss: Client, double: User, user: User) -> None:
    path = f"/organization/members/{double.pk}/merge/"
    assert path in text(boss, f"/organization/members/{double.pk}/")
    said = text(boss, f"{path}?into=%20ANN")
    for told in (
        "3 become those of ann",
        "of 1 days",
        "1, 1 of them joined with one of the same id",
        "Ann@Example.com find ann",
        "Ann@Example.com cannot sign in, as before",
        "ann stays User",
        "$",
    ):
        assert told in said, told
    assert not AuditRecord.objects.exists()
    response = boss.post(path, {"into": "ann"}, follow=True)
    assert response.redirect_chain == [(f"/organization/members/{user.pk}/", 302)]
    assert "is merged into ann." in response.content.decode()
    assert set(UsageEvent.objects.values_list("user", flat=True)) == {user.pk}
    assert boss.get(f"/organization/members/{double.pk}/").headers["Location"] == f"/organization/members/{user.pk}/"
    listed = text(boss, f"/organization/{user.organization_id}/members/?standing=Seen+in+calls")
    assert f"/organization/members/{double.pk}/" not in listed
    assert f"/members/{user.pk}/" in text(boss, f"/organization/{user.organization_id}/members/?q=example.COM")


def test_two_projects_are_merged_by_their_pages(boss: Client, double: User) -> None:
    web, shop = Project.objects.get(slug="web"), Project.objects.get(slug="shop")
    path = f"/organization/projects/{shop.pk}/merge/"
    assert "3 become those of web" in text(boss, f"{path}?into=web")
    assert boss.post(path, {"into": "WEB"}).headers["Location"] == f"/organization/projects/{web.pk}/"
    assert set(UsageEvent.objects.values_list("project", flat=True)) == {web.pk}
    assert AuditRecord.objects.get().action == "project.merge"
    assert "shop" in text(boss, f"/organization/projects/{web.pk}/")
    assert f"/projects/{shop.pk}/" not in text(boss, f"/organization/{web.organization_id}/projects/")


def test_a_link_from_before_the_merge_leads_to_those_who_have_the_calls(
    boss: Client, double: User, user: User, globex: Organization
) -> None:
    web, shop = Project.objects.get(slug="web"), Project.objects.get(slug="shop")
    boss.post(f"/organization/members/{double.pk}/merge/", {"into": "ann"})
    boss.post(f"/organization/projects/{shop.pk}/merge/", {"into": "web"})
    path = f"/requests/?user={double.pk}&user={user.pk}&project={shop.pk}"
    filters = boss.get(path).context["filters"]
    assert filters.selection.chosen == {"provider": ("groq",), "user_id": (user.pk,), "project_id": (web.pk,)}
    others = signed_in(make_user("kim", Role.ADMIN, globex)).get(path).context["filters"]
    assert others.selection.chosen["user_id"] == (double.pk, user.pk), "nobody learns of a merge elsewhere"


def test_the_page_says_that_much_follows_in_the_background(
    boss: Client, double: User, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merges, "AT_ONCE", 2)
    path = f"/organization/members/{double.pk}/merge/"
    assert "follow in the background" in text(boss, f"{path}?into=ann")
    said = boss.post(path, {"into": "ann"}, follow=True).content.decode()
    assert "The requests of Ann@Example.com are being moved here in the background" in said


def test_who_cannot_be_merged_is_explained(boss: Client, double: User, admin: User, outsider: User) -> None:
    chief = make_user("chief", Role.SUPER_ADMIN, admin.organization)
    path = f"/organization/members/{double.pk}/merge/"
    for name, error in (
        ("eve", "Nobody and nothing is called this here."),
        ("ann@example.com", "Please choose another one than this."),
        ("chief", "Only a Super Admin can do this."),
        ("", "This field is required."),
    ):
        assert error in boss.post(path, {"into": name}).content.decode()
    assert "yourself" in text(boss, f"/organization/members/{admin.pk}/merge/?into=ann")
    assert boss.get(f"/organization/members/{chief.pk}/merge/").status_code == 403
    assert not AuditRecord.objects.exists()


def test_who_was_merged_away_neither_comes_back_nor_changes(boss: Client, double: User, super_admin: User) -> None:
    boss.post(f"/organization/members/{double.pk}/merge/", {"into": "ann"})
    for page in ("role", "reactivate", "deactivate", "link", "merge", "alias"):
        data = {"role": "Admin", "into": "boss", "alias": "1"}
        assert boss.post(f"/organization/members/{double.pk}/{page}/", data).status_code == 403, page
    assert signed_in(super_admin).get(f"/admin/accounts/user/{double.pk}/change/").status_code == 302


def test_a_handle_is_changed_and_the_former_one_stays_and_is_taken_away(boss: Client, double: User, user: User) -> None:
    path = f"/organization/members/{user.pk}/"
    assert boss.post(path, {"handle": "Smith"}).status_code == 302
    assert AuditRecord.objects.get().changes == {"handle": ["ann", "Smith"]}
    (alias,) = user.aliases.all()
    assert alias.name == "ann"
    assert 'aria-label="Remove ann"' in text(boss, path)
    taken = boss.post(path, {"handle": "ANN@example.com"})
    assert "This is taken already." in taken.content.decode()
    for _ in range(2):  # the second time the former name is gone
        assert boss.post(f"{path}alias/", {"alias": alias.pk}).status_code == 302
    assert not user.aliases.exists()
    newest, _ = AuditRecord.objects.all()
    assert (newest.action, newest.changes) == ("member.change", {"also called": ["ann", None]})
    record([call(organization="acme", user="ann")])
    assert User.objects.filter(handle="ann").count() == 1


def test_an_alias_of_somebody_else_cannot_be_taken_away(boss: Client, double: User, user: User, outsider: User) -> None:
    outsider.handle = "evelyn"
    outsider.save()
    (alias,) = outsider.aliases.all()
    boss.post(f"/organization/members/{user.pk}/alias/", {"alias": alias.pk})
    assert outsider.aliases.exists()


def test_a_project_is_found_by_what_it_was_called(boss: Client, double: User) -> None:
    web = Project.objects.get(slug="web")
    boss.post(f"/organization/projects/{web.pk}/", {"name": "Site", "slug": "Site"})
    record([call(organization="acme", project="WEB")])
    assert UsageEvent.objects.filter(project=web).count() == 2
    alias = web.aliases.get()
    boss.post(f"/organization/projects/{web.pk}/alias/", {"alias": alias.pk})
    assert not web.aliases.exists()


def test_whoever_is_invited_by_any_spelling_keeps_the_calls(boss: Client, double: User, acme: Organization) -> None:
    data = {"email": "ann@example.com", "role": "User"}
    boss.post(f"/organization/{acme.pk}/members/invite/", data)
    double.refresh_from_db()
    assert (double.email, double.handle, double.is_active) == ("ann@example.com", "Ann@Example.com", True)
    again = boss.post(f"/organization/{acme.pk}/members/invite/", data | {"email": "x@y.com", "handle": "ANN"})
    assert "Another member is called ANN in calls already." in again.content.decode()


def test_the_django_admin_explains_a_name_that_is_taken(super_admin: User, double: User, user: User) -> None:
    client = signed_in(super_admin)
    user.handle = "Smith"
    user.save()
    data = {"organization": double.organization_id, "slug": "WEB", "name": "x"}
    assert "This is taken already." in client.post("/admin/accounts/project/add/", data).content.decode()
    person = {"username": "new", "handle": "Ann", "organization": user.organization_id, "usable_password": "false"}
    response = client.post("/admin/accounts/user/add/", person)
    assert "This is taken already." in response.content.decode()
