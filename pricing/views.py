"""The Pricing tab: what each model costs now, where the price comes from and since when."""

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import with_viewer
from accounts.viewer import Viewer
from pricing.models import Price


def prices_in_force(viewer: Viewer) -> QuerySet[Price]:
    """The version in force of every price that the viewer may see: everybody's, and those of visible organizations."""
    prices = Price.objects.filter(effective_from__lte=timezone.now())
    if viewer.organization_ids is not None:
        prices = prices.filter(Q(organization=None) | Q(organization__in=viewer.organization_ids))
    scope = ("provider", "model", "organization")
    newest = prices.order_by("provider", "model", "organization_id", "-effective_from", "-pk").distinct(*scope)
    return newest.select_related("organization", "author")


@require_safe
@never_cache
@with_viewer
def price_list(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Read-only for now; the version history is in the Django admin."""
    if not viewer.sees_pricing:
        raise PermissionDenied
    prices = list(prices_in_force(viewer))
    context = {
        "viewer": viewer,
        "prices": prices,
        "has_audio": any(price.audio_usd_per_hour is not None for price in prices),
        "has_characters": any(price.usd_per_1k_characters is not None for price in prices),
        "has_organizations": any(price.organization_id for price in prices),
    }
    return render(request, "pricing/list.html", context)
