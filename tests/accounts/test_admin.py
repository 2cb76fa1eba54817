"""The Django admin: whom it exists for, and how people's roles are guarded there."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.models import AuditRecord, Organization, Project, Role, User
from tests.cast import make_user, signed_in

PAGES = (
    "/admin/",
    "/admin/accounts/user/",
    "/admin/accounts/user/add/",
    "/admin/accounts/organization/",
    "/admin/accounts/organization/add/",
    "/admin/accounts/project/",
    "/admin/accounts/auditrecord/",
    "/admin/auth/group/",
    "/admin/pricing/price/",
    "/admin/pricing/price/add/",
    "/admin/ledger/usageevent/",
    "/admin/password_change/",
)


@pytest.fixture
def root(super_admin: User) -> Client:
    return signed_in(super_admin)


def person_data(person: User, **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "username": person.username,
        "handle": person.handle,
        "first_name": "",
        "last_name": "",
        "email": "",
        "organization": person.organization_id or "",
        "groups": list(person.groups.values_list("pk", flat=True)),
        "is_active": "on" if person.is_active else "",
    }
    return {name: value for name, value in (data | changes).items() if value != ""}


def change(client: Client, person: User, **changes: Any) -> Any:
    return client.post(f"/admin/accounts/user/{person.pk}/change/", person_data(person, **changes))


def group(role: Role) -> int:
    return Group.objects.get(name=role).pk


def test_super_admins_get_in(root: Client) -> None:
    assert {page: root.get(page).status_code for page in PAGES} == dict.fromkeys(PAGES, 200)


@pytest.mark.parametrize("who", ["admin", "user", "stranger"])
def test_for_other_people_it_does_not_exist(request: pytest.FixtureRequest, who: str) -> None:
    client = signed_in(request.getfixturevalue(who))
    pages = (*PAGES, "/admin/nonsense/", "/admin/login/")
    assert {page: client.get(page, follow=True).status_code for page in pages} == dict.fromkeys(pages, 404)


def test_staff_is_not_enough(user: User) -> None:
    user.is_staff = True
    user.save()
    assert signed_in(user).get("/admin/").status_code == 404


@pytest.mark.parametrize(("who", "shown"), [("super_admin", True), ("admin", False), ("user", False)])
@pytest.mark.parametrize("is_staff", [True, False])
def test_who_gets_in_finds_a_link(request: pytest.FixtureRequest, who: str, shown: bool, is_staff: bool) -> None:
    person: User = request.getfixturevalue(who)
    person.is_staff = is_staff
    person.save()
    assert ('href="/admin/"' in signed_in(person).get("/").content.decode()) is shown


def test_visitors_are_asked_to_sign_in(client: Client, db: None) -> None:
    response = client.get("/admin/pricing/price/", follow=True)
    assert response.redirect_chain[-1][0] == "/sign-in/?next=/admin/pricing/price/"


def test_nothing_that_the_ledger_points_at_can_be_deleted(root: Client, user: User, acme: Organization) -> None:
    project = Project.objects.create(organization=acme, slug="web", name="web")
    for path in (f"user/{user.pk}", f"organization/{acme.pk}", f"project/{project.pk}"):
        assert root.post(f"/admin/accounts/{path}/delete/", {"post": "yes"}).status_code == 403


def test_a_super_admin_adds_a_person_with_a_role(root: Client, acme: Organization) -> None:
    data = {
        "username": "dora",
        "usable_password": "true",
        "password1": "correct horse battery",
        "password2": "correct horse battery",
        "organization": acme.pk,
        "groups": [group(Role.ADMIN)],
    }
    root.post("/admin/accounts/user/add/", data)
    dora = User.objects.get(username="dora")
    assert (dora.handle, dora.organization, dora.role) == ("dora", acme, Role.ADMIN)


def test_a_taken_handle_is_an_error_of_the_form(root: Client, user: User, acme: Organization) -> None:
    user.username = "ann.smith"
    user.save()
    data = {"username": "ann", "usable_password": "false", "organization": acme.pk}
    response = root.post("/admin/accounts/user/add/", data)
    assert response.status_code == 200
    assert not User.objects.filter(username="ann").exists()


def test_a_change_of_role_is_made_and_logged(root: Client, super_admin: User, user: User) -> None:
    assert change(root, user, groups=[group(Role.ADMIN)]).status_code == 302
    assert User.objects.get(pk=user.pk).role is Role.ADMIN
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (super_admin, str(user.pk))


@pytest.mark.parametrize("changes", [{"groups": []}, {"is_active": ""}])
def test_nobody_takes_away_the_own_role(root: Client, super_admin: User, changes: dict[str, Any]) -> None:
    make_user("second", Role.SUPER_ADMIN)
    response = change(root, super_admin, **changes)
    assert b"You cannot change your own role" in response.content
    assert User.objects.get(pk=super_admin.pk).role is Role.SUPER_ADMIN


def test_own_particulars_can_be_changed(root: Client, super_admin: User) -> None:
    assert change(root, super_admin, email="root@example.com").status_code == 302
    assert User.objects.get(pk=super_admin.pk).email == "root@example.com"


def test_flags_that_are_not_in_the_form_cannot_be_smuggled_in(root: Client, user: User) -> None:
    change(root, user, is_superuser="on", is_staff="on")
    user.refresh_from_db()
    assert not user.is_superuser
    assert not user.is_staff


def test_a_password_can_be_set_but_not_taken_away(root: Client, super_admin: User) -> None:
    path = f"/admin/accounts/user/{super_admin.pk}/password/"
    root.post(path, {"usable_password": "false", "unset-password": "Disable", "password1": "", "password2": ""})
    assert User.objects.get(pk=super_admin.pk).has_usable_password()
    new = "a whole new battery"
    root.post(path, {"password1": new, "password2": new, "set-password": "1"})
    assert User.objects.get(pk=super_admin.pk).check_password(new)


def test_who_was_shut_out_in_the_admin_has_to_sign_in_again(root: Client, user: User) -> None:
    theirs = signed_in(user)
    for is_active in (False, True):
        user.is_active = is_active
        change(root, user)
    assert User.objects.get(pk=user.pk).is_active
    assert theirs.get("/").status_code == 302


def test_role_groups_keep_their_names_and_other_groups_do_not(root: Client) -> None:
    response = root.post(f"/admin/auth/group/{group(Role.ADMIN)}/change/", {"name": "Boss", "permissions": []})
    assert b"keep their names" in response.content
    root.post("/admin/auth/group/add/", {"name": "Exporters", "permissions": []})
    assert Group.objects.filter(name="Exporters").exists()
    assert root.post(f"/admin/auth/group/{group(Role.ADMIN)}/delete/", {"post": "yes"}).status_code == 403


def test_an_organizations_slug_stays(root: Client, acme: Organization) -> None:
    data = {"name": "Acme Inc.", "slug": "other", "time_zone": "Europe/Berlin", "show_user_cost": "on"}
    root.post(f"/admin/accounts/organization/{acme.pk}/change/", data)
    acme.refresh_from_db()
    assert (acme.name, acme.slug, acme.time_zone, acme.show_user_cost) == ("Acme Inc.", "acme", "Europe/Berlin", True)


def test_an_impossible_time_zone_is_refused(root: Client, acme: Organization) -> None:
    data = {"name": "Acme", "time_zone": "Mars/Olympus"}
    response = root.post(f"/admin/accounts/organization/{acme.pk}/change/", data)
    assert b"is not a time zone" in response.content


# The audit trail


def test_a_change_in_the_admin_is_recorded(root: Client, super_admin: User, user: User, acme: Organization) -> None:
    change(root, user, groups=[group(Role.ADMIN)], email="ann@example.com")
    record = AuditRecord.objects.get()
    assert (record.action, record.actor, record.organization) == ("member.change", super_admin, acme)
    assert record.changes == {"groups": ["User", "Admin"], "email": ["", "ann@example.com"]}


def test_what_the_admin_adds_is_recorded(root: Client, acme: Organization) -> None:
    root.post("/admin/accounts/organization/add/", {"name": "Initech", "slug": "initech", "time_zone": "UTC"})
    root.post("/admin/accounts/project/add/", {"name": "Web", "slug": "web", "organization": acme.pk})
    password = {"password1": "correct horse battery", "password2": "correct horse battery"}
    root.post(
        "/admin/accounts/user/add/", {"username": "dora", "organization": acme.pk, "usable_password": "true"} | password
    )
    root.post("/admin/auth/group/add/", {"name": "Exporters", "permissions": []})
    actions = list(AuditRecord.objects.order_by("pk").values_list("action", "subject"))
    assert actions == [
        ("organization.add", "Initech"), ("project.add", "Web"), ("member.add", "dora"), ("group.add", "Exporters")
    ]  # fmt: skip
    assert AuditRecord.objects.get(action="organization.add").organization == Organization.objects.get(slug="initech")


def test_settings_changed_in_the_admin_are_recorded(root: Client, acme: Organization) -> None:
    path = f"/admin/accounts/organization/{acme.pk}/change/"
    root.post(path, {"name": "Acme", "time_zone": "UTC", "show_user_cost": "on"})
    root.post(path, {"name": "Acme", "time_zone": "UTC", "show_user_cost": "on"})
    expected = {"time_zone": ["America/Los_Angeles", "UTC"], "show_user_cost": ["False", "True"]}
    assert AuditRecord.objects.get().changes == expected


def test_granting_a_permission_is_recorded(root: Client) -> None:
    permission = Permission.objects.get(codename="export_usageevent")
    root.post(f"/admin/auth/group/{group(Role.USER)}/change/", {"name": "User", "permissions": [permission.pk]})
    assert "export" in AuditRecord.objects.get(action="group.change").changes["permissions"][1]


def test_a_group_that_goes_is_recorded(root: Client, super_admin: User) -> None:
    """With it, its members may lose a permission."""
    one, two, three = (Group.objects.create(name=name) for name in ("One", "Two", "Three"))
    root.post(f"/admin/auth/group/{one.pk}/delete/", {"post": "yes"})
    root.post(
        "/admin/auth/group/", {"action": "delete_selected", "_selected_action": [two.pk, three.pk], "post": "yes"}
    )
    assert not Group.objects.filter(pk__in=[one.pk, two.pk, three.pk]).exists()
    records = AuditRecord.objects.filter(action="group.delete", actor=super_admin)
    assert set(records.values_list("subject", flat=True)) == {"One", "Two", "Three"}


def test_who_moves_is_in_both_trails_and_neither_names_the_other(
    root: Client, user: User, acme: Organization, globex: Organization
) -> None:
    change(root, user, organization=globex.pk)
    left = AuditRecord.objects.get(organization=acme)
    came = AuditRecord.objects.get(organization=globex)
    assert (left.action, left.subject, left.changes) == ("member.leave", "ann", {"organization": ["Acme", None]})
    assert (came.action, came.changes) == ("member.change", {"organization": [None, "Globex"]})


def test_a_password_set_in_the_admin_is_recorded_without_it(root: Client, user: User) -> None:
    new = "a whole new battery"
    data = {"password1": new, "password2": new, "set-password": "1"}
    root.post(f"/admin/accounts/user/{user.pk}/password/", data)
    record = AuditRecord.objects.get()
    assert (record.action, record.subject, record.changes) == ("password.set", "ann", {})


def test_a_change_without_its_record_is_none(root: Client, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no record")

    monkeypatch.setattr("accounts.admin.record", fail)
    new = "a whole new battery"
    for path, data in (
        ("change", person_data(user, email="ann@example.com")),
        ("password", {"password1": new, "password2": new, "set-password": "1"}),
    ):
        with pytest.raises(RuntimeError):
            root.post(f"/admin/accounts/user/{user.pk}/{path}/", data)
    user.refresh_from_db()
    assert user.email == ""
    assert not user.check_password(new)


def test_the_trail_is_read_and_not_written(root: Client, user: User) -> None:
    change(root, user, email="ann@example.com")
    record = AuditRecord.objects.get()
    path = "/admin/accounts/auditrecord/"
    assert b"member.change" in root.get(path).content
    assert root.get(f"{path}{record.pk}/change/").status_code == 200
    assert root.get(f"{path}add/").status_code == 403
    assert root.post(f"{path}{record.pk}/change/", {"subject": "x"}).status_code == 403
    assert root.post(f"{path}{record.pk}/delete/", {"post": "yes"}).status_code == 403
