"""What can be chosen on the page."""

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.models import Organization, User
from accounts.viewer import Viewer
from pricing.models import Price, rank

PROVIDER = "groq"
PREFERRED_MODEL = "openai/gpt-oss-20b"
"""Small, quick and cheap: what the page begins with, if it has a price."""


def organizations_of(viewer: Viewer) -> list[Organization]:
    """Those on which somebody may book a call: the own one, or for Super Admins all."""
    if viewer.organization_ids is None:
        return list(Organization.objects.all())
    return list(Organization.objects.filter(pk__in=viewer.organization_ids))


def first_choice(organizations: list[Organization], user: User) -> Organization | None:
    """The person's own, else the one that calls without a name go to, else any."""

    def order(organization: Organization) -> tuple[bool, bool]:
        return organization.pk != user.organization_id, organization.slug != settings.DEFAULT_ORGANIZATION

    return min(organizations, key=order, default=None)


def models_of(organization: Organization) -> list[str]:
    """Models that chat and that have a price now, the preferred one first."""
    scope = Q(organization=None) | Q(organization=organization)
    begun = Price.objects.filter(scope, provider=PROVIDER).latest_begun(timezone.now())
    in_force = {version.model: version for version in sorted(begun, key=rank)}
    names = [name for name, price in in_force.items() if price.enabled and price.output_usd_per_1k_tokens is not None]
    return sorted(names, key=lambda name: (name != PREFERRED_MODEL, name))
