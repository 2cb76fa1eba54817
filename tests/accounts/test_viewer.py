"""Who sees what."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission

from accounts.models import Organization, Role, User
from accounts.viewer import Viewer
from tests.cast import make_user


def test_super_admin_sees_all_organizations_and_edits_prices(super_admin: User) -> None:
    viewer = Viewer.of(super_admin)
    assert viewer == Viewer(Role.SUPER_ADMIN, None, None, sees_cost=True, may_export=True, may_edit_pricing=True)
    assert viewer.sees_anything
    assert viewer.sees_pricing


def test_admin_sees_the_own_organization(admin: User, acme: Organization) -> None:
    viewer = Viewer.of(admin)
    own = frozenset({acme.pk})
    assert viewer == Viewer(Role.ADMIN, own, None, sees_cost=True, may_export=True, may_edit_pricing=False)


def test_user_sees_own_rows_without_cost(user: User, acme: Organization) -> None:
    viewer = Viewer.of(user)
    assert viewer.organization_ids == {acme.pk}
    assert viewer.user_ids == {user.pk}
    assert not viewer.sees_cost
    assert not viewer.sees_pricing
    assert not viewer.may_export


def test_user_sees_cost_where_the_organization_shows_it(user: User, acme: Organization) -> None:
    acme.show_user_cost = True
    acme.save()
    user.refresh_from_db()
    assert Viewer.of(user).sees_cost


@pytest.mark.parametrize("role", [Role.ADMIN, Role.USER])
def test_a_role_without_organization_sees_nothing(db: None, role: Role) -> None:
    assert Viewer.of(make_user("lost", role)) == Viewer.nobody()


def test_an_organization_without_role_sees_nothing(acme: Organization) -> None:
    assert Viewer.of(make_user("new", None, acme)) == Viewer.nobody()


def test_visitors_and_the_deactivated_see_nothing(super_admin: User) -> None:
    super_admin.is_active = False
    assert not Viewer.of(super_admin).sees_anything
    assert not Viewer.of(AnonymousUser()).sees_anything


def test_a_superuser_is_a_super_admin(db: None) -> None:
    assert Viewer.of(User.objects.create_superuser("it", password="x")).role is Role.SUPER_ADMIN


def test_the_strongest_role_counts(user: User) -> None:
    user.groups.add(Group.objects.get(name=Role.ADMIN))
    assert user.role is Role.ADMIN


def test_exporting_can_be_granted_to_another_group(user: User) -> None:
    Group.objects.get(name=Role.USER).permissions.add(Permission.objects.get(codename="export_usageevent"))
    viewer = Viewer.of(User.objects.get(pk=user.pk))
    assert viewer.may_export
    assert not viewer.may_edit_pricing


def test_exporting_can_be_taken_from_admins(admin: User) -> None:
    Group.objects.get(name=Role.ADMIN).permissions.clear()
    assert not Viewer.of(User.objects.get(pk=admin.pk)).may_export


def test_editing_prices_is_for_super_admins_whatever_the_permissions(admin: User) -> None:
    admin.user_permissions.add(Permission.objects.get(codename="add_price"))
    assert not Viewer.of(User.objects.get(pk=admin.pk)).may_edit_pricing
