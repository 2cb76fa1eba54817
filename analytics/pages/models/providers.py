"""The cards of the providers above the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.urls import reverse

from accounts.models import ProviderKey
from accounts.viewer import Viewer
from analytics.filters.facets import DEFAULT_PROVIDER, FACET
from analytics.filters.filters import Filters
from analytics.pages.models.prices import is_chosen
from analytics.reports import Health, Report, Totals, provider_health
from analytics.reports.prices import PriceOf, is_free, offered, only_organization
from pricing.catalogue import Catalogue
from pricing.models import Price

PROVIDER = FACET["provider"]


@dataclass(frozen=True, slots=True)
class ProviderCard:
    provider: str
    link: str
    """The address of the provider's own figures on the Overview."""
    is_chosen: bool
    models: int
    """The number of models that can still be called; ``free`` and ``paid`` are those with an enabled price."""
    free: int
    paid: int
    is_enabled: bool | None
    """Whether new calls have a cost, which is so while a price is enabled. None for viewers who may not see prices."""
    key: str
    """Whether a key is configured, in words and never with any part of a key; empty if the ledger keeps none for this
    provider."""
    own_keys: int
    """The number of organizations with a key of their own, for viewers of several organizations."""
    totals: Totals
    health: Health | None
    """None without calls in the last hour."""


def provider_cards(
    report: Report, filters: Filters, prices: PriceOf, catalogue: Catalogue, now: datetime
) -> list[ProviderCard]:
    """A card for each provider that the viewer may know of, those with the most requests first."""
    viewer = report.viewer
    usage = _usage(report)
    health = provider_health(viewer, now)
    models = offered(catalogue, prices, now.date())
    names = sorted({*usage, *health, *models}, key=lambda name: (-usage[name].requests if name in usage else 0, name))
    key = _key(viewer, filters)
    return [
        _card(name, report, filters, models.get(name, {}), usage.get(name, Totals()), health.get(name), key)
        for name in names
    ]


def _card(
    name: str,
    report: Report,
    filters: Filters,
    models: Mapping[str, Price | None],
    totals: Totals,
    health: Health | None,
    key: tuple[str, int],
) -> ProviderCard:
    enabled = [price for price in models.values() if price is not None and price.enabled]
    free = sum(map(is_free, enabled))
    is_groq = name == DEFAULT_PROVIDER
    return ProviderCard(
        provider=name,
        link=f"{reverse('analytics')}{filters.only(PROVIDER, (name,)).without(*filters.settings)}",
        is_chosen="provider" in filters.selection.chosen and is_chosen(name, filters.selection),
        models=len(models),
        free=free,
        paid=len(enabled) - free,
        is_enabled=bool(enabled) if report.viewer.sees_pricing else None,
        key=key[0] if is_groq else "",
        own_keys=key[1] if is_groq else 0,
        totals=totals,
        health=health,
    )


def _usage(report: Report) -> dict[str, Totals]:
    """The totals of each provider under the filters, of those too that are not chosen."""
    everywhere = report.selection.without("provider")
    return {key[0]: totals for key, totals in Report(report.viewer, everywhere).totals_by("provider").items()}


def _key(viewer: Viewer, filters: Filters) -> tuple[str, int]:
    """Which key calls through the gateway use, and the number of organizations with an own one. A page about one
    organization only says which key that one uses."""
    of_server = "The server's" if settings.GROQ_API_KEY else "None"
    own = only_organization(viewer, filters.selection)
    if own is None:
        return of_server, ProviderKey.objects.count()
    has_own = ProviderKey.objects.filter(organization=int(own)).exists()
    return ("The organization's own" if has_own else of_server), 0
