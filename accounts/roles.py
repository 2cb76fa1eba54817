"""The rules for changing roles and for letting people in or shutting them out. All code that does so uses them."""

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.audit import record
from accounts.models import Role, Standing, User


def super_admins() -> QuerySet[User]:
    """The active Super Admins."""
    in_charge = Q(is_superuser=True) | Q(groups__name=Role.SUPER_ADMIN)
    return User.objects.filter(in_charge, is_active=True).distinct()


def assignable_roles(by: User) -> tuple[Role, ...]:
    """The roles that ``by`` may give to others."""
    if by.role is Role.SUPER_ADMIN:
        return tuple(Role)
    return (Role.ADMIN, Role.USER) if by.role is Role.ADMIN else ()


def may_change(user: User, by: User) -> bool:
    """Whether ``by`` may change ``user``. A Super Admin may change everybody, an Admin the people of the own
    organization except its Super Admins. Nobody may change a person who was merged into another or made anonymous."""
    if user.merged_into_id is not None or user.anonymised_at is not None:
        return False
    if by.role is Role.SUPER_ADMIN:
        return True
    is_colleague = by.organization_id is not None and user.organization_id == by.organization_id
    return by.role is Role.ADMIN and is_colleague and user.role is not Role.SUPER_ADMIN


def check_role_change(user: User, role: Role | None, *, is_active: bool, by: User | None) -> None:
    """ValidationError if ``by`` may not give ``user`` this role and activity. Nobody can change the own role or shut
    themselves out, an Admin cannot change Super Admins or people of other organizations, and the last Super Admin
    stays. Call this in the transaction that makes the change.
    """
    if by is not None and by.pk == user.pk and (role != user.role or is_active != user.is_active):
        raise ValidationError("You cannot change your own role. Ask another Super Admin.", code="own_role")
    is_asked = role != user.role or is_active != user.is_active
    if by is not None and is_asked and not (may_change(user, by) and role in (*assignable_roles(by), user.role)):
        raise ValidationError("Only a Super Admin can do this.", code="not_allowed")
    if role is Role.SUPER_ADMIN and is_active:
        return
    _take_turns()
    others = super_admins().exclude(pk=user.pk)
    if super_admins().filter(pk=user.pk).exists() and not others.exists():
        raise ValidationError("This is the last Super Admin; make somebody else one first.", code="last_super_admin")


def role_of(group_names: Iterable[str], *, is_superuser: bool = False) -> Role | None:
    """The strongest role among the groups; None without one."""
    names = set(group_names)
    return Role.SUPER_ADMIN if is_superuser else next((role for role in Role if role in names), None)


@transaction.atomic
def set_role(user: User, role: Role | None, *, by: User | None = None) -> None:
    """Give ``user`` this role instead of the present one; other groups stay. ValidationError if ``by`` may not."""
    _reread(user)
    _check_member(user)
    check_role_change(user, role, is_active=user.is_active, by=by)
    if role == user.role:
        return
    changes = {"role": (user.role, role)}
    replace_role(user, role)
    record("role.change", str(user), by=by, organization=user.organization, changes=changes)


def replace_role(user: User, role: Role | None) -> None:
    """Replace the role without a check and without an audit record, which the caller is responsible for."""
    if user.is_superuser and role is not Role.SUPER_ADMIN:
        User.objects.filter(pk=user.pk).update(is_superuser=False)
        user.is_superuser = False
    user.groups.remove(*Group.objects.filter(name__in=set(Role) - {role}))
    if role is not None:
        user.groups.add(Group.objects.get(name=role))
    _forget_role(user)


@transaction.atomic
def set_active(user: User, is_active: bool, *, by: User | None = None) -> None:
    """Let ``user`` in, or shut them out, which ends their sessions and links permanently. ValidationError if ``by`` may
    not.
    """
    _reread(user)
    _check_member(user)
    check_role_change(user, user.role, is_active=is_active, by=by)
    if is_active == user.is_active:
        return
    user.is_active = is_active
    user.save(update_fields=["is_active", "shut_out_at"])
    action = "member.reactivate" if is_active else "member.deactivate"
    changes = {"active": ("no", "yes") if is_active else ("yes", "no")}
    record(action, str(user), by=by, organization=user.organization, changes=changes)


def _check_member(user: User) -> None:
    if user.standing is Standing.ANONYMOUS:
        raise ValidationError("This person is anonymous, which cannot be undone.", code="anonymous")
    if user.standing is Standing.SEEN_IN_CALLS:
        raise ValidationError("This person is only known from calls. Send an invitation instead.", code="not_a_member")


def _take_turns() -> None:
    """Let only one transaction change roles at a time. Otherwise the last two Super Admins could demote each other."""
    Group.objects.select_for_update().get(name=Role.SUPER_ADMIN)


def _reread(user: User) -> None:
    """Read the person again, after waiting for other changes of roles, because these may have changed the person."""
    _take_turns()
    user.refresh_from_db()
    _forget_role(user)


def _forget_role(user: User) -> None:
    user.__dict__.pop("role", None)  # The role is a cached property.
