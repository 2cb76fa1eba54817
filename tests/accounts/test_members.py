"""The members of an organization: the list, roles, shutting out and letting in."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db import connections
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.anonymising import anonymise
from accounts.forms import PersonForm
from accounts.models import OF_STANDING, AuditRecord, Organization, Role, Standing, User
from accounts.passwords import ChangeForm, SetForm
from accounts.roles import set_active, set_role
from tests.cast import PASSWORD, make_user, signed_in


def placeholder(handle: str, organization: Organization) -> User:
    """Somebody as accounts.directory makes them for a call."""
    return User.objects.create(
        organization=organization, handle=handle, username=handle, password=make_password(None), is_active=False
    )


def change(client: Client, person: User, what: str, **data: Any) -> str:
    """What the page says after a change."""
    response = client.post(f"/organization/members/{person.pk}/{what}/", data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def again(person: User) -> User:
    return User.objects.get(pk=person.pk)


# The list


def listed(client: Client, organization: Organization, **query: str) -> list[str]:
    response = client.get(f"/organization/{organization.pk}/members/", query)
    return [person.handle for person in response.context["page"]]


def test_the_list_shows_members_and_on_request_those_seen_in_calls(
    admin: User, user: User, outsider: User, acme: Organization
) -> None:
    client = signed_in(admin)
    placeholder("bot", acme)
    assert listed(client, acme) == ["ann", "boss"]
    assert listed(client, acme, standing="Seen in calls") == ["bot"]
    set_active(user, False)
    assert listed(client, acme, standing="Deactivated") == ["ann"]
    assert listed(client, acme, standing="Active") == ["boss"]


def test_people_are_found_by_any_of_their_names(admin: User, user: User, acme: Organization) -> None:
    client = signed_in(admin)
    User.objects.filter(pk=user.pk).update(first_name="Ann", last_name="Lee", email="lee@example.com")
    for text in ("LEE", "ann lee", "example.com", "ann"):
        assert listed(client, acme, q=text) == ["ann"]
    assert listed(client, acme, q="nobody") == []


@pytest.mark.parametrize("query", [{"standing": "King"}, {"q": "a" * 300}, {"page": "x"}, {"page": "-9"}])
def test_nonsense_is_answered_kindly(admin: User, acme: Organization, query: dict[str, str]) -> None:
    assert signed_in(admin).get(f"/organization/{acme.pk}/members/", query).status_code == 200


def test_a_standing_is_the_same_for_one_and_for_many(user: User, acme: Organization) -> None:
    invited = make_user("invited", Role.USER, acme)
    invited.set_unusable_password()
    invited.email = "i@example.com"
    invited.save()
    gone, uninvited = make_user("gone", Role.USER, acme), make_user("uninvited", Role.USER, acme)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    User.objects.filter(pk=uninvited.pk).update(is_active=False, email="u@example.com", password=make_password(None))
    placeholder("bot", acme)
    anonymise(make_user("forgotten", Role.USER, acme), by=None)
    for standing, condition in OF_STANDING.items():
        alike = {person for person in User.objects.all() if person.standing is standing}
        assert set(User.objects.filter(condition)) == alike != set()


def test_the_list_costs_the_same_for_ten_thousand(
    admin: User, acme: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    unusable = make_password(None)
    User.objects.bulk_create(
        User(username=f"person{n:05}", handle=f"person{n:05}", organization=acme, password=unusable)
        for n in range(10_000)
    )
    client = signed_in(admin)
    # Session, person, organization, count, people, their groups.
    with django_assert_num_queries(6):
        response = client.get(f"/organization/{acme.pk}/members/", {"page": "3", "q": "person"})
    assert response.content.count(b"<tr ") == 1 + 50
    assert b"101\xe2\x80\x93150 of 10000" in response.content
    assert b"?page=4&amp;q=person" in response.content


def test_names_are_text(admin: User, user: User, acme: Organization) -> None:
    User.objects.filter(pk=user.pk).update(first_name="<script>alert(1)</script>")
    page = signed_in(admin).get(f"/organization/{acme.pk}/members/").content
    assert b"<script>alert" not in page
    assert b"&lt;script&gt;alert" in page


# Roles


def test_an_admin_makes_somebody_admin_and_user_again(admin: User, user: User, acme: Organization) -> None:
    client = signed_in(admin)
    assert "is Admin now" in change(client, user, "role", role="Admin")
    assert again(user).role is Role.ADMIN
    change(client, user, "role", role="User")
    assert again(user).role is Role.USER
    newest, oldest = AuditRecord.objects.all()
    assert (oldest.action, oldest.actor, oldest.organization, oldest.subject) == ("role.change", admin, acme, "ann")
    assert (oldest.changes, newest.changes) == ({"role": ["User", "Admin"]}, {"role": ["Admin", "User"]})


def test_an_admin_makes_nobody_super_admin(admin: User, user: User) -> None:
    assert "choose one of the roles" in change(signed_in(admin), user, "role", role="Super Admin")
    with pytest.raises(ValidationError, match="Only a Super Admin"):
        set_role(user, Role.SUPER_ADMIN, by=admin)
    assert again(user).role is Role.USER
    assert not AuditRecord.objects.exists()


def test_an_admin_touches_no_super_admin(admin: User, acme: Organization) -> None:
    chief = make_user("chief", Role.SUPER_ADMIN, acme)
    make_user("second", Role.SUPER_ADMIN)
    client = signed_in(admin)
    page = f"/organization/members/{chief.pk}/"
    assert b"Only a Super Admin can change" in client.get(page).content
    assert client.post(page, {"first_name": "x"}).status_code == 403
    for what in ("role", "deactivate", "reactivate", "link"):
        assert client.post(f"{page}{what}/", {"role": "User"}).status_code == 403
    with pytest.raises(ValidationError, match="Only a Super Admin"):
        set_active(chief, False, by=admin)
    assert again(chief).role is Role.SUPER_ADMIN
    assert not AuditRecord.objects.exists()


def test_an_admin_has_nothing_to_say_elsewhere(admin: User, outsider: User) -> None:
    for change_it in (lambda: set_role(outsider, Role.ADMIN, by=admin), lambda: set_active(outsider, False, by=admin)):
        with pytest.raises(ValidationError, match="Only a Super Admin"):
            change_it()


def test_a_promotion_that_happened_meanwhile_counts(admin: User, user: User, super_admin: User) -> None:
    """The Admin's page was read before a Super Admin promoted the person."""
    assert user.role is Role.USER
    set_role(again(user), Role.SUPER_ADMIN, by=super_admin)
    with pytest.raises(ValidationError, match="Only a Super Admin"):
        set_role(user, Role.USER, by=admin)
    assert again(user).role is Role.SUPER_ADMIN


@pytest.mark.parametrize(("what", "data"), [("role", {"role": "User"}), ("deactivate", {})])
def test_nobody_changes_the_own_role(admin: User, super_admin: User, what: str, data: dict[str, str]) -> None:
    make_user("second", Role.SUPER_ADMIN)
    for person, role in ((admin, Role.ADMIN), (super_admin, Role.SUPER_ADMIN)):
        client = signed_in(person)
        assert b"Change role" not in client.get(f"/organization/members/{person.pk}/").content
        assert "You cannot change your own role" in change(client, person, what, **data)
        assert (again(person).role, again(person).is_active) == (role, True)
    assert not AuditRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_super_admins_who_shut_each_other_out_do_not_both_win() -> None:
    one, two = make_user("one", Role.SUPER_ADMIN), make_user("two", Role.SUPER_ADMIN)

    def shut_out(pair: tuple[User, User]) -> bool:
        try:
            set_active(pair[0], False, by=pair[1])
        except ValidationError:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(shut_out, [(one, two), (two, one)])) == [False, True]
    assert User.objects.filter(is_active=True).count() == 1


def test_a_superuser_can_be_demoted(super_admin: User) -> None:
    """Whom createsuperuser made is a Super Admin by a flag, which goes with the role."""
    made = User.objects.create_superuser("it", password="x")
    set_role(made, Role.USER, by=super_admin)
    assert again(made).role is Role.USER


# Shutting out and letting in


def test_deactivation_ends_sessions_at_once(admin: User, user: User, acme: Organization) -> None:
    theirs, client = signed_in(user), signed_in(admin)
    assert theirs.get("/").status_code == 200
    assert "deactivated" in change(client, user, "deactivate")
    assert theirs.get("/")["Location"] == "/sign-in/?next=/"
    assert "may sign in again" in change(client, user, "reactivate")
    assert again(user).role is Role.USER
    newest, oldest = AuditRecord.objects.all()
    assert (oldest.action, oldest.actor, oldest.organization) == ("member.deactivate", admin, acme)
    assert (newest.action, newest.changes) == ("member.reactivate", {"active": ["no", "yes"]})


def test_who_is_let_in_again_has_to_sign_in_again(admin: User, user: User) -> None:
    theirs, client = signed_in(user), signed_in(admin)
    change(client, user, "deactivate")
    change(client, user, "reactivate")
    assert theirs.get("/").status_code == 302
    assert signed_in(again(user)).get("/").status_code == 200


def test_what_is_so_already_is_not_recorded(admin: User, user: User) -> None:
    change(signed_in(admin), user, "reactivate")
    change(signed_in(admin), user, "role", role="User")
    assert not AuditRecord.objects.exists()


def test_who_is_only_seen_in_calls_is_invited_and_nothing_else(admin: User, acme: Organization) -> None:
    client, bot = signed_in(admin), placeholder("bot", acme)
    page = client.get(f"/organization/members/{bot.pk}/").content.decode()
    assert f'href="/organization/{acme.pk}/members/invite/?handle=bot"' in page
    assert "Change role" not in page
    assert "Send an invitation instead" in change(client, bot, "reactivate")
    assert "Send an invitation instead" in change(client, bot, "role", role="Admin")
    assert "not active" in change(client, bot, "link")
    assert again(bot).standing is Standing.SEEN_IN_CALLS
    assert not AuditRecord.objects.exists()


# Names


def test_a_name_can_be_changed(admin: User, user: User) -> None:
    data = {"first_name": "Ann", "last_name": "Lee", "email": "other@example.com", "username": "root"}
    signed_in(admin).post(f"/organization/members/{user.pk}/", data)
    assert (again(user).get_full_name(), again(user).email, again(user).username) == ("Ann Lee", "", "ann")
    assert AuditRecord.objects.get().changes == {"first_name": ["", "Ann"], "last_name": ["", "Lee"]}


def test_saving_a_form_lets_nobody_in_who_was_shut_out_meanwhile(admin: User, user: User) -> None:
    """Each form holds the person as it was read."""
    new = "a whole new battery"
    forms: list[Any] = [
        PersonForm({"first_name": "Bea"}, instance=again(user)),
        SetForm(again(user), {"new_password1": new, "new_password2": new}),
        ChangeForm(again(user), {"old_password": PASSWORD, "new_password1": new, "new_password2": new}),
    ]
    assert all(form.is_valid() for form in forms)
    set_active(user, False, by=admin)
    for form in forms:
        form.save()
    assert (again(user).is_active, again(user).first_name, again(user).check_password(new)) == (False, "Bea", True)


def test_a_change_and_its_record_are_one(admin: User, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no record")

    monkeypatch.setattr("accounts.roles.record", fail)
    monkeypatch.setattr("accounts.changes.record", fail)
    client = signed_in(admin)
    for path, data in (("role/", {"role": "Admin"}), ("deactivate/", {}), ("", {"first_name": "Bea"})):
        with pytest.raises(RuntimeError):
            client.post(f"/organization/members/{user.pk}/{path}", data)
    assert (again(user).role, again(user).is_active, again(user).first_name) == (Role.USER, True, "")
