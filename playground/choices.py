"""The choices on the page."""

from django.db.models import Q
from django.utils import timezone

from accounts.models import Organization
from pricing.models import Price, rank

PROVIDER = "groq"
PREFERRED_MODEL = "openai/gpt-oss-20b"
"""The model that the page selects first, if it has a price: small, fast and cheap."""


def models_of(organization: Organization) -> list[str]:
    """The chat models that have a price now, the preferred model first."""
    scope = Q(organization=None) | Q(organization=organization)
    begun = Price.objects.filter(scope, provider=PROVIDER).latest_begun(timezone.now())
    in_force = {version.model: version for version in sorted(begun, key=rank)}
    names = [name for name, price in in_force.items() if price.enabled and price.output_usd_per_1k_tokens is not None]
    return sorted(names, key=lambda name: (name != PREFERRED_MODEL, name))
