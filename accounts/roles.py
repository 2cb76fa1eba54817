"""Changing what somebody may do. Everything that sets a role goes through here."""

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Role, User


def super_admins() -> QuerySet[User]:
    """Those who can act as Super Admin now."""
    in_charge = Q(is_superuser=True) | Q(groups__name=Role.SUPER_ADMIN)
    return User.objects.filter(in_charge, is_active=True).distinct()


def check_role_change(user: User, role: Role | None, *, is_active: bool, by: User | None) -> None:
    """ValidationError if ``by`` may not make ``user`` what is asked: nobody changes the own role or locks themselves
    out, and the last Super Admin stays. Call it in the transaction that makes the change.
    """
    if by is not None and by.pk == user.pk and (role != user.role or is_active != user.is_active):
        raise ValidationError("You cannot change your own role. Ask another Super Admin.", code="own_role")
    if role is Role.SUPER_ADMIN and is_active:
        return
    # The lock makes two people who demote each other at the same moment take turns.
    Group.objects.select_for_update().get(name=Role.SUPER_ADMIN)
    others = super_admins().exclude(pk=user.pk)
    if super_admins().filter(pk=user.pk).exists() and not others.exists():
        raise ValidationError("This is the last Super Admin; make somebody else one first.", code="last_super_admin")


def role_of(group_names: Iterable[str], *, is_superuser: bool = False) -> Role | None:
    """The strongest role among the groups."""
    names = set(group_names)
    return Role.SUPER_ADMIN if is_superuser else next((role for role in Role if role in names), None)


@transaction.atomic
def set_role(user: User, role: Role | None, *, by: User | None = None) -> None:
    """Give ``user`` this role and no other; groups that are not roles are kept."""
    check_role_change(user, role, is_active=user.is_active, by=by)
    user.groups.remove(*Group.objects.filter(name__in=set(Role) - {role}))
    if role is not None:
        user.groups.add(Group.objects.get(name=role))
    user.__dict__.pop("role", None)  # it is cached
