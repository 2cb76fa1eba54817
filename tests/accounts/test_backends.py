"""Who a session belongs to is two questions to the database: the session, and the person with all that is known."""

import pytest
from django.contrib.auth import get_user
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory
from pytest_django import DjangoAssertNumQueries

from accounts.backends import Backend
from accounts.decorators import viewer_of
from accounts.models import Organization, Role, User
from accounts.viewer import Viewer
from tests.cast import signed_in

EXPORT = Permission.objects.filter(codename="export_usageevent")


@pytest.mark.parametrize("role", Role)
def test_who_it_is_takes_two_queries(
    role: Role, user: User, rf: RequestFactory, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    user.groups.set([Group.objects.get(name=role)])
    request = rf.get("/")
    key = signed_in(user).session.session_key
    with django_assert_num_queries(2):  # the session; the person with organization, role and permissions
        request.session = SessionStore(key)
        request.user = get_user(request)
        viewer = viewer_of(request)
        assert request.user.organization is not None
    assert viewer == Viewer.of(User.objects.get(pk=user.pk))
    assert viewer.role is role


@pytest.mark.parametrize("granted", ["nothing", "to the person", "to the group", "superuser"])
def test_permissions_are_those_that_django_reads(granted: str, user: User) -> None:
    if granted == "to the person":
        user.user_permissions.set(EXPORT)
    elif granted == "to the group":
        Group.objects.get(name=Role.USER).permissions.set(EXPORT)
    elif granted == "superuser":
        User.objects.filter(pk=user.pk).update(is_superuser=True)
    read, plain = Backend().get_user(user.pk), User.objects.get(pk=user.pk)
    assert read is not None
    assert read.get_all_permissions() == plain.get_all_permissions()
    for one, same in ((read, plain), (read.organization, plain.organization)):
        assert isinstance(one, User | Organization)
        assert {field.attname: getattr(one, field.attname) for field in one._meta.concrete_fields} == {
            field.attname: getattr(same, field.attname) for field in one._meta.concrete_fields
        }
    assert (read.role, Viewer.of(read)) == (plain.role, Viewer.of(plain))
    assert Viewer.of(read).may_export is (granted != "nothing")


def test_somebody_who_is_shut_out_or_unknown_is_nobody(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert Backend().get_user(user.pk) is None
    assert Backend().get_user(user.pk + 1_000) is None


def test_somebody_without_an_organization(super_admin: User) -> None:
    read = Backend().get_user(super_admin.pk)
    assert read is not None
    assert (read.organization, read.role) == (None, Role.SUPER_ADMIN)
