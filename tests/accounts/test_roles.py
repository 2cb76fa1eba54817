"""Who may change what somebody may do."""

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

from accounts.models import Organization, Role, User
from accounts.roles import check_role_change, set_role, super_admins
from tests.cast import make_user


def test_a_role_replaces_the_one_before_and_keeps_other_groups(user: User) -> None:
    exporters = Group.objects.create(name="Exporters")
    user.groups.add(exporters)
    assert user.role is Role.USER
    set_role(user, Role.ADMIN)
    assert user.role is Role.ADMIN
    assert set(user.groups.values_list("name", flat=True)) == {"Exporters", "Admin"}
    set_role(user, None)
    assert user.role is None


def test_nobody_changes_the_own_role(super_admin: User, admin: User) -> None:
    make_user("second", Role.SUPER_ADMIN)
    with pytest.raises(ValidationError, match="your own role"):
        set_role(super_admin, Role.ADMIN, by=super_admin)
    with pytest.raises(ValidationError, match="your own role"):
        set_role(admin, Role.SUPER_ADMIN, by=admin)
    assert User.objects.get(pk=admin.pk).role is Role.ADMIN


@pytest.mark.django_db
def test_nobody_deactivates_themselves(super_admin: User) -> None:
    make_user("second", Role.SUPER_ADMIN)
    with pytest.raises(ValidationError, match="your own role"):
        check_role_change(super_admin, Role.SUPER_ADMIN, is_active=False, by=super_admin)


def test_the_last_super_admin_stays(super_admin: User) -> None:
    with pytest.raises(ValidationError, match="last Super Admin"):
        set_role(super_admin, Role.USER)
    with pytest.raises(ValidationError, match="last Super Admin"):
        check_role_change(super_admin, Role.SUPER_ADMIN, is_active=False, by=None)


def test_a_deactivated_super_admin_does_not_count(super_admin: User) -> None:
    second = make_user("second", Role.SUPER_ADMIN)
    second.is_active = False
    second.save()
    with pytest.raises(ValidationError, match="last Super Admin"):
        set_role(super_admin, None)
    assert set(super_admins()) == {super_admin}


def test_one_of_two_super_admins_can_go(super_admin: User) -> None:
    second = make_user("second", Role.SUPER_ADMIN)
    set_role(second, Role.USER, by=super_admin)
    assert set(super_admins()) == {super_admin}


def test_a_handle_is_the_username_unless_it_is_given(acme: Organization) -> None:
    assert User.objects.create_user("dora", organization=acme).handle == "dora"
    assert User.objects.create_user("dora2", handle="d", organization=acme).handle == "d"
