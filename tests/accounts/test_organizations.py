"""Organizations, their settings, their projects."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.changes import save_recorded
from accounts.day_changes import CHANGE_DAYS, SETTLE_SECONDS
from accounts.forms import RenameForm, SettingsForm
from accounts.models import AuditRecord, Organization, Project, User
from tests.accounts.test_members import placeholder
from tests.cast import signed_in
from tests.jobs import jobs


@pytest.fixture
def root(super_admin: User) -> Client:
    return signed_in(super_admin)


# The list


def test_the_list_counts_members_and_projects(
    root: Client, user: User, colleague: User, acme: Organization, globex: Organization
) -> None:
    placeholder("bot", acme)
    for slug in ("a", "b", "c"):
        Project.objects.create(organization=acme, slug=slug, name=slug)
    page = root.get("/organizations/").context["page"]
    counts = {row.slug: (row.members, row.seen_in_calls, row.project_count) for row in page}
    assert (counts["acme"], counts["globex"]) == ((2, 1, 3), (0, 0, 0))


def test_the_list_is_searched(root: Client, acme: Organization, globex: Organization) -> None:
    assert [row.slug for row in root.get("/organizations/", {"q": "GLO"}).context["page"]] == ["globex"]


def test_many_organizations_cost_no_more_queries(
    root: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Organization.objects.bulk_create(Organization(name=f"o{n}", slug=f"o{n}") for n in range(60))
    with django_assert_num_queries(4):  # session, person, count, rows
        response = root.get("/organizations/", {"page": "1"})
    assert response.content.count(b"<tr ") == 1 + 50


def test_people_without_an_organization_are_found(root: Client, stranger: User, user: User) -> None:
    assert [person.username for person in root.get("/organizations/people/").context["page"]] == ["root", "sam"]


def test_an_organization_is_added(root: Client, super_admin: User) -> None:
    data = {"name": "Initech Ltd.", "time_zone": "Europe/London", "show_user_cost": "on"}
    made = root.post("/organizations/add/", data)
    initech = Organization.objects.get(name="Initech Ltd.")
    assert made["Location"] == f"/organization/{initech.pk}/members/"
    assert (initech.slug, initech.time_zone, initech.show_user_cost) == ("initech-ltd", "Europe/London", True)
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.organization) == ("organization.add", super_admin, initech)
    assert record.changes["slug"] == [None, "initech-ltd"]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"slug": "acme"}, "slug"),
        ({"slug": "no spaces"}, "slug"),
        ({"name": "東京"}, "slug"),
        ({"name": " "}, "name"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"name": "a\0"}, "name"),
    ],
)
def test_a_bad_organization_is_explained(root: Client, acme: Organization, data: dict[str, str], field: str) -> None:
    before = Organization.objects.count()
    response = root.post("/organizations/add/", {"name": "Initech", "time_zone": "UTC"} | data)
    assert response.status_code == 200
    assert field in response.context["form"].errors
    assert Organization.objects.count() == before
    assert not AuditRecord.objects.exists()


# Settings


def settings_of(acme: Organization, **changes: Any) -> dict[str, Any]:
    data = {"name": acme.name, "time_zone": acme.time_zone, "show_user_cost": "on" if acme.show_user_cost else ""}
    return {name: value for name, value in (data | changes).items() if value}


def test_an_admin_changes_the_settings(admin: User, acme: Organization) -> None:
    path = f"/organization/{acme.pk}/settings/"
    data = settings_of(acme, name="Acme Inc.", time_zone="Asia/Tokyo", slug="stolen")
    assert signed_in(admin).post(path, data)["Location"] == path
    acme.refresh_from_db()
    assert (acme.name, acme.time_zone, acme.slug, acme.show_user_cost) == ("Acme Inc.", "Asia/Tokyo", "acme", False)
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.organization) == ("organization.change", admin, acme)
    assert record.changes == {"name": ["Acme", "Acme Inc."], "time_zone": ["America/Los_Angeles", "Asia/Tokyo"]}


def test_the_toggle_shows_users_their_cost(admin: User, user: User, acme: Organization) -> None:
    theirs = signed_in(user)
    assert theirs.get("/pricing/").status_code == 403
    signed_in(admin).post(f"/organization/{acme.pk}/settings/", settings_of(acme, show_user_cost="on"))
    assert theirs.get("/pricing/").status_code == 200
    assert AuditRecord.objects.get().changes == {"show_user_cost": ["False", "True"]}


def test_a_form_without_a_change_is_not_recorded(admin: User, acme: Organization) -> None:
    signed_in(admin).post(f"/organization/{acme.pk}/settings/", settings_of(acme))
    assert not AuditRecord.objects.exists()


def test_what_a_change_of_zone_means_is_said(admin: User, acme: Organization) -> None:
    page = signed_in(admin).get(f"/organization/{acme.pk}/settings/").content
    assert b"rebuilt in the background" in page
    assert b'<option value="Europe/Berlin">' in page


def test_a_change_of_zone_is_told_until_it_is_done(admin: User, acme: Organization) -> None:
    client, path = signed_in(admin), f"/organization/{acme.pk}/settings/"
    assert b"are being rebuilt" not in client.get(path).content
    client.post(path, settings_of(acme, time_zone="Asia/Tokyo"))
    at_once, once_more = jobs(task_name=CHANGE_DAYS, status="todo", args__organization_id=acme.pk)
    assert at_once.lock == once_more.lock == f"change_days:{acme.pk}"
    assert once_more.scheduled_at - at_once.scheduled_at >= timedelta(seconds=SETTLE_SECONDS - 1)
    assert b"are being rebuilt" in client.get(path).content


def test_the_django_admin_has_days_rebuilt_too(root: Client, acme: Organization) -> None:
    data = settings_of(acme, time_zone="Asia/Tokyo", retention_days="30")
    assert root.post(f"/admin/accounts/organization/{acme.pk}/change/", data).status_code == 302
    assert jobs(task_name=CHANGE_DAYS, args__organization_id=acme.pk)
    assert AuditRecord.objects.get().changes["retention_days"] == [None, "30"]


def test_an_admin_says_how_long_requests_are_kept(admin: User, acme: Organization) -> None:
    client, path = signed_in(admin), f"/organization/{acme.pk}/settings/"
    assert b"deleted for good" in client.get(path).content
    said = client.post(path, settings_of(acme, retention_days="90"), follow=True).content
    assert b"more than 90 days old are deleted for good" in said
    acme.refresh_from_db()
    assert acme.retention_days == 90
    assert AuditRecord.objects.get().changes == {"retention_days": [None, "90"]}
    client.post(path, settings_of(acme))
    acme.refresh_from_db()
    assert acme.retention_days is None


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "36501", "99999999999999999999", "x"])
def test_days_that_are_none_are_explained(admin: User, acme: Organization, days: str) -> None:
    response = signed_in(admin).post(f"/organization/{acme.pk}/settings/", settings_of(acme, retention_days=days))
    assert "retention_days" in response.context["form"].errors


def test_a_user_does_not_say_how_long_requests_are_kept(user: User, outsider: User, acme: Organization) -> None:
    for person in (user, outsider):
        path = f"/organization/{acme.pk}/settings/"
        assert signed_in(person).post(path, settings_of(acme, retention_days="1")).status_code in (403, 404)
    acme.refresh_from_db()
    assert acme.retention_days is None


# Projects


def test_a_project_is_added_and_renamed(admin: User, acme: Organization) -> None:
    client = signed_in(admin)
    client.post(f"/organization/{acme.pk}/projects/add/", {"name": "Web site", "organization": "0"})
    web = Project.objects.get()
    assert (web.name, web.slug, web.organization) == ("Web site", "web-site", acme)
    client.post(f"/organization/projects/{web.pk}/", {"name": "The shop", "slug": "shop"})
    web.refresh_from_db()
    assert (web.name, web.slug) == ("The shop", "shop")
    assert [alias.name for alias in web.aliases.all()] == ["web-site"]
    renamed, added = AuditRecord.objects.all()
    assert (added.action, added.organization) == ("project.add", acme)
    assert added.changes == {"name": [None, "Web site"], "slug": [None, "web-site"]}
    assert (renamed.action, renamed.changes) == (
        "project.rename",
        {"name": ["Web site", "The shop"], "slug": ["web-site", "shop"]},
    )


def test_a_taken_slug_is_explained(admin: User, acme: Organization, globex: Organization) -> None:
    Project.objects.create(organization=acme, slug="web", name="Web")
    Project.objects.create(organization=globex, slug="shop", name="Shop")
    path = f"/organization/{acme.pk}/projects/add/"
    response = signed_in(admin).post(path, {"name": "Web"})
    assert response.context["form"].errors["slug"] == ["This is taken already. Please choose another."]
    assert signed_in(admin).post(path, {"name": "Shop"}).status_code == 302
    assert AuditRecord.objects.count() == 1


def test_the_projects_are_the_organizations_own_and_searched(
    admin: User, acme: Organization, globex: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Project.objects.bulk_create(Project(organization=acme, slug=f"p{n:03}", name=f"P {n:03}") for n in range(120))
    Project.objects.create(organization=globex, slug="p000", name="Theirs")
    client = signed_in(admin)
    # Session, person, organization, count, rows.
    with django_assert_num_queries(5):
        response = client.get(f"/organization/{acme.pk}/projects/", {"page": "3"})
    assert [project.slug for project in response.context["page"]] == [f"p{n}" for n in range(100, 120)]
    found = client.get(f"/organization/{acme.pk}/projects/", {"q": "P 05"}).context["page"]
    assert {project.organization_id for project in found} == {acme.pk}
    assert len(found) == sum("05" in f"{n:03}" for n in range(120))


def test_saving_a_form_undoes_nothing_that_was_changed_meanwhile(acme: Organization, admin: User) -> None:
    """The job that deletes old requests, and a merge, change rows that somebody looks at in a form."""
    kept = Project.objects.create(organization=acme, slug="kept", name="Kept")
    project = Project.objects.create(organization=acme, slug="rag", name="RAG")
    settings = SettingsForm({"name": "Acme Corp", "time_zone": "UTC"}, instance=Organization.objects.get(pk=acme.pk))
    rename = RenameForm({"name": "Search", "slug": "search"}, instance=Project.objects.get(pk=project.pk))
    Organization.objects.filter(pk=acme.pk).update(retained_from="2026-11-01")
    Project.objects.filter(pk=project.pk).update(merged_into=kept)
    for form, action in ((settings, "organization.change"), (rename, "project.rename")):
        assert form.is_valid()
        assert save_recorded(form, action, by=admin)
    acme.refresh_from_db()
    project.refresh_from_db()
    assert (acme.name, str(acme.retained_from)) == ("Acme Corp", "2026-11-01")
    assert (project.name, project.slug, project.merged_into) == ("Search", "search", kept)
