"""Visibility as a value: who looks, and what that person may see. The one place that decides it."""

from dataclasses import dataclass, replace
from typing import Self

from django.contrib.auth.models import AnonymousUser

from accounts.models import Role, User

EXPORT_PERMISSION = "analytics.export_usageevent"
EDIT_PRICING_PERMISSION = "pricing.add_price"


@dataclass(frozen=True, slots=True)
class Viewer:
    """What one person may see. ``None`` for the ids means all of them; an empty set means nothing."""

    role: Role | None
    organization_ids: frozenset[int] | None
    user_ids: frozenset[int] | None
    sees_cost: bool
    may_export: bool
    may_edit_pricing: bool

    @property
    def sees_anything(self) -> bool:
        return self.organization_ids is None or bool(self.organization_ids)

    @property
    def sees_pricing(self) -> bool:
        """Prices are for those who see costs."""
        return self.sees_anything and self.sees_cost

    @property
    def administers(self) -> bool:
        """The Django admin is for Super Admins, and so is what concerns all organizations."""
        return self.role is Role.SUPER_ADMIN

    @property
    def administers_organizations(self) -> bool:
        """Whether there is an organization whose people, projects and settings this person looks after."""
        return self.role in (Role.SUPER_ADMIN, Role.ADMIN) and self.sees_anything

    def may_administer(self, organization_id: int | None) -> bool:
        """Super Admin: every organization, and people without one (None). Admin: the own one. User: none."""
        if self.organization_ids is None:
            return self.administers
        return self.administers_organizations and organization_id in self.organization_ids

    def narrowed_to(self, user: User) -> Self:
        """The same, of one person's own rows in the person's own organization: less than before, never more."""
        organization_ids = frozenset() if user.organization_id is None else frozenset({user.organization_id})
        user_ids = frozenset({user.pk})
        if self.organization_ids is not None:
            organization_ids &= self.organization_ids
        if self.user_ids is not None:
            user_ids &= self.user_ids
        return replace(self, organization_ids=organization_ids, user_ids=user_ids)

    @classmethod
    def nobody(cls) -> Self:
        """Sees nothing: a visitor, or somebody without organization and role."""
        return cls(None, frozenset(), frozenset(), sees_cost=False, may_export=False, may_edit_pricing=False)

    @classmethod
    def of(cls, user: User | AnonymousUser) -> Self:
        """Super Admin: all organizations. Admin: the own one. User: own rows, costs if the organization shows them."""
        if isinstance(user, AnonymousUser) or not user.is_active or user.role is None:
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
