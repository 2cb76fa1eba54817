"""The prices that are in force now. Viewers who may not see prices get none."""

from collections.abc import Mapping
from datetime import date

from django.db.models import Q
from django.utils import timezone

from accounts.viewer import Viewer
from analytics.reports.selection import Selection
from pricing.catalogue import Catalogue, Key
from pricing.models import Price, rank

PriceOf = Mapping[Key, Price]
"""Prices by provider and model."""


def prices_in_force(viewer: Viewer, selection: Selection) -> PriceOf:
    """The price version in force of each model of each provider. If the selection is about one organization, its own
    version comes before everybody's. Disabled versions are included; they mean that the model has no price."""
    scope, own = Q(organization=None), only_organization(viewer, selection)
    if own is not None:
        scope |= Q(organization=own)
    begun = Price.objects.visible_to(viewer).filter(scope).latest_begun(timezone.now())
    return {(version.provider, version.model): version for version in sorted(begun, key=rank)}


def only_organization(viewer: Viewer, selection: Selection) -> int | str | None:
    """The id of the viewer's only organization, or of the only one that is selected; None if there are several."""
    seen = viewer.organization_ids
    of_whom = tuple(seen) if seen is not None else selection.chosen.get("organization_id", ())
    return of_whom[0] if len(of_whom) == 1 else None


def has_rates(price: Price) -> bool:
    """Whether the price has a rate for anything but tools. The price of a compound system may only have rates for
    tools, at which no traffic can be priced."""
    return any(getattr(price, rate) is not None for rate in Price.RATES)


def is_free(price: Price) -> bool:
    """Whether a price charges nothing for anything."""
    known = [rate for rate in (getattr(price, name) for name in Price.RATES) if rate is not None]
    return price.enabled and bool(known) and not any(known) and not any(price.tool_rates.values())


def offered(catalogue: Catalogue, prices: PriceOf, today: date) -> Mapping[str, Mapping[str, Price | None]]:
    """The models of each provider that can still be called, with their prices."""
    found: dict[str, dict[str, Price | None]] = {}
    for key in catalogue.models() | {key for key, price in prices.items() if price.enabled}:
        if not catalogue.facts(*key).is_retired_on(today):
            found.setdefault(key[0], {})[key[1]] = prices.get(key)
    return found
