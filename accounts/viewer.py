"""Visibility as a value: the Viewer says what a person may see. No other code decides this."""

from dataclasses import dataclass, replace
from typing import Self

from django.contrib.auth.models import AnonymousUser, Permission

from accounts.models import ApiKey, Organization, Role, User

EXPORT_PERMISSION = "ledger.export_usageevent"
EDIT_PRICING_PERMISSION = "pricing.add_price"


@dataclass(frozen=True, slots=True)
class Viewer:
    """The rights of one person. ``None`` for a set of ids means all of them; an empty set means none."""

    role: Role | None
    organization_ids: frozenset[int] | None
    user_ids: frozenset[int] | None
    sees_cost: bool
    may_export: bool
    may_edit_pricing: bool
    project_ids: frozenset[int] | None = None

    @property
    def sees_anything(self) -> bool:
        return self.organization_ids is None or bool(self.organization_ids)

    @property
    def sees_everything(self) -> bool:
        """Whether no row and no cost is hidden."""
        return self.sees_cost and (self.organization_ids, self.user_ids, self.project_ids) == (None, None, None)

    @property
    def sees_pricing(self) -> bool:
        """Whether the person sees prices, which everybody does who sees costs."""
        return self.sees_anything and self.sees_cost

    @property
    def administers(self) -> bool:
        """Whether the person is a Super Admin, who uses the Django admin and pages about all organizations."""
        return self.role is Role.SUPER_ADMIN

    @property
    def administers_organizations(self) -> bool:
        """Whether the person administers the people, projects and settings of at least one organization."""
        return self.role in (Role.SUPER_ADMIN, Role.ADMIN) and self.sees_anything

    @property
    def is_narrowed(self) -> bool:
        """Whether these are the rows of one person, while the role sees those of others as well."""
        return self.role in (Role.SUPER_ADMIN, Role.ADMIN) and self.user_ids is not None

    def may_administer(self, organization_id: int | None) -> bool:
        """Whether the person administers an organization, or (None) people without one. A Super Admin administers
        everything, an Admin the own organization, a User nothing."""
        if self.organization_ids is None:
            return self.administers
        return self.administers_organizations and organization_id in self.organization_ids

    def narrowed_to(self, user: User) -> Self:
        """This viewer, limited to the rows of ``user`` in the user's organization. The result never sees more."""
        organization_ids = frozenset() if user.organization_id is None else frozenset({user.organization_id})
        user_ids = frozenset({user.pk})
        if self.organization_ids is not None:
            organization_ids &= self.organization_ids
        if self.user_ids is not None:
            user_ids &= self.user_ids
        return replace(self, organization_ids=organization_ids, user_ids=user_ids)

    def within(self, organization: Organization) -> Self:
        """This viewer, limited to one organization. The result never sees more."""
        organization_ids = frozenset({organization.pk})
        if self.organization_ids is not None:
            organization_ids &= self.organization_ids
        return replace(self, organization_ids=organization_ids)

    @classmethod
    def of_key(cls, key: ApiKey) -> Self:
        """The viewer of a program with a key. It sees what the key's person sees, or without a person what an Admin of
        the organization sees; never more than the key's organization, and only its project if the key has one. It
        changes nothing."""
        viewer = cls._of_person(key.user.current) if key.user is not None else cls._of_admins(key.organization)
        project_ids = None if key.project is None else frozenset({key.project.current.pk})
        return replace(viewer.within(key.organization), project_ids=project_ids, may_edit_pricing=False)

    @classmethod
    def _of_admins(cls, organization: Organization) -> Self:
        app_label, _, codename = EXPORT_PERMISSION.partition(".")
        may_export = Permission.objects.filter(
            group__name=Role.ADMIN, content_type__app_label=app_label, codename=codename
        ).exists()
        organization_ids = frozenset({organization.pk})
        return cls(Role.ADMIN, organization_ids, None, sees_cost=True, may_export=may_export, may_edit_pricing=False)

    @classmethod
    def of_operator(cls) -> Self:
        """The viewer of whoever runs the ledger and watches it by its metrics: everything, as a reader only."""
        return cls(None, None, None, sees_cost=True, may_export=False, may_edit_pricing=False)

    @classmethod
    def nobody(cls) -> Self:
        """A viewer who sees nothing: a visitor, or a person without role or organization."""
        return cls(None, frozenset(), frozenset(), sees_cost=False, may_export=False, may_edit_pricing=False)

    @classmethod
    def of(cls, user: User | AnonymousUser) -> Self:
        """The viewer of a user who is signed in. A Super Admin sees all organizations, an Admin the own organization, a
        User the own rows, with costs if the organization shows them. Whoever must have a second factor and has none
        sees nothing yet."""
        if isinstance(user, AnonymousUser) or user.lacks_second_factor:
            return cls.nobody()
        return cls._of_person(user)

    @classmethod
    def _of_person(cls, user: User) -> Self:
        if not user.is_active or user.role is None:
            return cls.nobody()
        may_export = user.has_perm(EXPORT_PERMISSION)
        if user.role is Role.SUPER_ADMIN:
            may_edit = user.has_perm(EDIT_PRICING_PERMISSION)
            return cls(user.role, None, None, sees_cost=True, may_export=may_export, may_edit_pricing=may_edit)
        if user.organization is None:
            return cls.nobody()
        organization_ids = frozenset({user.organization.pk})
        if user.role is Role.ADMIN:
            return cls(user.role, organization_ids, None, sees_cost=True, may_export=may_export, may_edit_pricing=False)
        return cls(
            user.role,
            organization_ids,
            frozenset({user.pk}),
            sees_cost=user.organization.show_user_cost,
            may_export=may_export,
            may_edit_pricing=False,
        )
