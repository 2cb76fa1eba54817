"""Saved views: who finds, changes and shares which, what is kept of an address, and the page that one begins with."""

import pytest
from django.test import Client

from accounts.models import AuditRecord, Organization, Role, User
from analytics.models import LONGEST_QUERY, SavedView
from analytics.saved import form as of_form
from tests.cast import make_user, signed_in

pytestmark = pytest.mark.django_db

WEEK = "/views/add/requests/?range=7d&status=error"


def save(person: User, name: str = "Failures", at: str = WEEK, **more: str) -> SavedView:
    response = signed_in(person).post(at, {"name": name, **more})
    assert response.status_code == 302, response.content
    return SavedView.objects.get(name=name)


def refused(person: User, expected: str, name: str = "Failures", at: str = WEEK, **more: str) -> None:
    before = SavedView.objects.count()
    response = signed_in(person).post(at, {"name": name, **more})
    assert expected in response.content.decode()
    assert SavedView.objects.count() == before


def in_menu(person: User, name: str, at: str = "/requests/") -> bool:
    return f">{name}</a>" in signed_in(person).get(at).content.decode()


# What is kept


@pytest.mark.parametrize(
    ("at", "leads_to"),
    [
        ("analytics/?utm=1&range=30d&provider=groq", "/"),
        ("analytics/?range=month&group=project&page=model:3", "/?range=month&group=project"),
        ("requests/?status=error&range=7d&after=5&x=<b>", "/requests/?range=7d&status=error"),
        ("sessions/?sort=-cost_usd&cost_min=0.5", "/sessions/?sort=-cost_usd&cost_min=0.5"),
        ("models/?from=2026-11-01&to=2026-11-30", "/models/?range=custom&from=2026-11-01&to=2026-11-30"),
        ("my-usage/?user=7&project=3", "/my-usage/?project=3"),
    ],
)
def test_only_what_the_page_knows_is_kept(admin: User, at: str, leads_to: str) -> None:
    assert save(admin, at=f"/views/add/{at}").get_absolute_url() == leads_to


def test_a_page_that_is_none_and_filters_that_cannot_be_saved(admin: User) -> None:
    assert signed_in(admin).post("/views/add/nothing/", {"name": "x"}).status_code == 404
    refused(admin, "write the date as year-month-day", at="/views/add/requests/?range=custom&from=x")
    many = "&".join(f"model=m{number}" for number in range(LONGEST_QUERY // 8))
    refused(admin, "too many filters", at=f"/views/add/requests/?{many}")


def test_a_name_is_text_whatever_it_says(admin: User) -> None:
    evil = "<img src=x onerror=alert(1)>\"'"
    view = save(admin, evil)
    client = signed_in(admin)
    for path in ("/requests/", "/views/", f"/views/{view.pk}/"):
        page = client.get(path).content.decode()
        assert "&lt;img src=x onerror=alert(1)&gt;" in page
        assert "<img src=x" not in page
    refused(admin, "write a name that can be seen", "\u200b \u2060")
    refused(admin, "at most 80 characters", "x" * 81)
    assert client.post(WEEK, {"name": "ﷺ" * 80}).status_code == 302  # whose key is many times longer


def test_names_are_unique_for_those_who_see_them(admin: User, user: User, colleague: User) -> None:
    save(user, "Mine")
    refused(user, "a view with this name already", " MINE  ")
    save(admin, "Ours", is_shared="on")
    refused(admin, "a view with this name already", "ours", is_shared="on")
    assert signed_in(colleague).post(WEEK, {"name": "Mine"}).status_code == 302


def test_a_view_is_replaced_in_place_on_purpose(admin: User, user: User) -> None:
    mine, ours = save(admin, "Mine", is_start="on"), save(admin, "Ours", is_shared="on")
    refused(admin, "or tick “Replace the view of this name”", "mine", at="/views/add/sessions/?range=90d")
    for view, name, shared in ((mine, "MINE", {}), (ours, "ours", {"is_shared": "on"})):
        form = {"name": name, "is_replacing": "on", **shared}
        response = signed_in(admin).post("/views/add/sessions/?range=90d", form)
        view.refresh_from_db()
        assert (response.status_code, response["Location"]) == (302, "/sessions/?range=90d")
        assert (view.page, view.query, view.name) == ("sessions", "range=90d", name.capitalize())
    assert SavedView.objects.count() == 2
    assert mine.starts.filter(person=admin).exists()  # the page that one begins with stays the view of this name
    record = AuditRecord.objects.get(action="view.replace")
    assert (record.subject, record.changes["filters"]) == ("Ours", ["range=7d&status=error", "range=90d"])
    # Somebody's private view of the same name is another view.
    assert signed_in(user).post(WEEK, {"name": "Mine", "is_replacing": "on"}).status_code == 302
    assert SavedView.objects.filter(name_key="mine").count() == 2


def test_nobody_saves_without_end(admin: User, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_form, "MOST_PRIVATE", 2)
    monkeypatch.setattr(of_form, "MOST_SHARED", 1)
    save(user, "1")
    second = save(user, "2")
    refused(user, "which is the most", "3")
    save(admin, "4", is_shared="on")
    refused(admin, "which is the most", "5", is_shared="on")
    signed_in(user).post(f"/views/{second.pk}/delete/")
    save(user, "3")


# Who finds and changes what


def test_a_private_view_is_its_owners_alone(user: User, colleague: User, admin: User, super_admin: User) -> None:
    view = save(user)
    assert in_menu(user, "Failures")
    for other in (colleague, admin, super_admin):
        assert not in_menu(other, "Failures")
        client = signed_in(other)
        assert "Failures" not in client.get("/views/").content.decode()
        assert client.get(f"/views/{view.pk}/").status_code == 404
        for verb in ("", "delete/", "begin/"):
            assert client.post(f"/views/{view.pk}/{verb}", {"name": "x"}).status_code == 404
    client = signed_in(user)
    assert client.post(f"/views/{view.pk}/", {"name": "Errors"}).status_code == 302
    assert in_menu(user, "Errors")
    client.post(f"/views/{view.pk}/delete/")
    assert not SavedView.objects.exists()
    assert not AuditRecord.objects.exists()


def test_a_shared_view_is_everybodys_and_admins_change_it(
    acme: Organization, user: User, admin: User, outsider: User, super_admin: User
) -> None:
    view = save(admin, is_shared="on")
    another_admin = make_user("chief", Role.ADMIN, acme)
    assert in_menu(user, "Failures")
    assert in_menu(another_admin, "Failures")
    assert not in_menu(outsider, "Failures")
    client = signed_in(user)
    assert client.get(f"/views/{view.pk}/").status_code == 403
    assert client.post(f"/views/{view.pk}/delete/").status_code == 403
    assert signed_in(outsider).post(f"/views/{view.pk}/delete/").status_code == 404
    assert "Failures" in signed_in(super_admin).get("/views/").content.decode()
    assert signed_in(another_admin).post(f"/views/{view.pk}/", {"name": "Errors"}).status_code == 302
    view.refresh_from_db()
    assert (view.name, view.organization, view.owner) == ("Errors", acme, admin)  # Renaming unshares nothing.
    assert signed_in(super_admin).post(f"/views/{view.pk}/delete/").status_code == 302
    records = AuditRecord.objects.filter(organization=acme).order_by("pk")
    assert [(record.action, record.actor) for record in records] == [
        ("view.share", admin), ("view.rename", another_admin), ("view.delete", super_admin),
    ]  # fmt: skip


def test_users_share_nothing_and_super_admins_with_the_organization_they_look_at(
    acme: Organization, user: User, admin: User, super_admin: User
) -> None:
    assert save(user, "Tried", is_shared="on").organization is None
    assert save(super_admin, "Nobody's", is_shared="on").organization is None
    view = save(super_admin, "Yours", at=f"/views/add/analytics/?organization={acme.pk}", is_shared="on")
    assert view.organization == acme
    page = signed_in(user).get(view.get_absolute_url())  # A filter that is not for the reader counts for nothing.
    assert page.status_code == 200
    assert page.context["filters"].selection.chosen == {"provider": ("groq",)}
    signed_in(super_admin).post(f"/views/{view.pk}/", {"name": "Yours"})
    view.refresh_from_db()
    assert view.organization is None
    assert AuditRecord.objects.filter(action="view.unshare", organization=acme).exists()


# The start page


def test_somebody_begins_with_a_view(client: Client, user: User, admin: User) -> None:
    shared = save(admin, is_shared="on")
    own = save(user, "Mine", at="/views/add/my-usage/", is_start="on")
    client.force_login(user)
    typed = {"Sec-Fetch-Site": "none"}
    for path in ("/start/", "/"):
        assert client.get(path, headers=typed)["Location"] == "/my-usage/"
    for path, headers in (("/", {}), ("/", {"Sec-Fetch-Site": "same-origin"}), ("/?range=7d", typed)):
        assert client.get(path, headers=headers).status_code == 200
    client.post(f"/views/{shared.pk}/begin/")
    assert client.get("/start/")["Location"] == shared.get_absolute_url()
    own.delete()
    client.post(f"/views/{shared.pk}/begin/")  # once more: no longer
    assert client.get("/start/")["Location"] == "/"
    assert client.get("/", headers=typed).status_code == 200


def test_a_start_page_that_is_the_overview_or_is_gone(user: User, admin: User, globex: Organization) -> None:
    save(user, at="/views/add/analytics/", is_start="on")
    client = signed_in(user)
    assert client.get("/start/")["Location"] == "/"
    assert client.get("/", headers={"Sec-Fetch-Site": "none"}).status_code == 200  # and not led to itself
    shared = save(admin, "Ours", is_shared="on")
    client.post(f"/views/{shared.pk}/begin/")
    User.objects.filter(pk=user.pk).update(organization=globex)
    assert client.get("/start/")["Location"] == "/"
