"""The prices that are in force now, for the page Models. Viewers who may not see prices get none."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from accounts.viewer import Viewer
from analytics.filters.facets import DEFAULT_PROVIDER, MODEL
from analytics.reports.names import NONE_LABEL
from analytics.reports.selection import Selection
from pricing.catalogue import Key
from pricing.fields import dollars
from pricing.models import Price, rank

PriceOf = Mapping[Key, Price]
"""Prices by provider and model."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate of a price, as text."""

    name: str
    text: str
    unit: str


def prices_in_force(viewer: Viewer, selection: Selection) -> PriceOf:
    """The price version in force of each model of each provider. If the page is about one organization, its own version
    comes before everybody's. Disabled versions are included; they mean that the model has no price."""
    scope, own = Q(organization=None), only_organization(viewer, selection)
    if own is not None:
        scope |= Q(organization=own)
    begun = Price.objects.visible_to(viewer).filter(scope).latest_begun(timezone.now())
    return {(version.provider, version.model): version for version in sorted(begun, key=rank)}


def of_chosen_providers(prices: PriceOf, selection: Selection) -> PriceOf:
    """The prices of the providers that the page is about."""
    return {key: price for key, price in prices.items() if is_chosen(key[0], selection)}


def is_chosen(provider: str, selection: Selection) -> bool:
    """Whether the page is about a provider: one of the chosen ones or, without a choice, any."""
    return provider in selection.chosen.get("provider", (provider,))


def text_of(key: Key) -> str:
    """The text that stands for a model in the query string of this page. Models of Groq go without their provider."""
    provider, model = key
    return MODEL.text(model) if provider == DEFAULT_PROVIDER else f"{provider}:{MODEL.text(model)}"


def label_of(key: Key) -> str:
    """The name of a model on this page, with the provider if that is not Groq."""
    provider, model = key
    return (model or NONE_LABEL) if provider == DEFAULT_PROVIDER else f"{model or NONE_LABEL} ({provider})"


def has_rates(price: Price) -> bool:
    """Whether the price has a rate for anything but tools. The price of a compound system may only have rates for
    tools, at which no traffic can be priced."""
    return any(getattr(price, rate) is not None for rate in Price.RATES)


def is_free(price: Price) -> bool:
    """Whether a price charges nothing for anything."""
    known = [rate for rate in (getattr(price, name) for name in Price.RATES) if rate is not None]
    return price.enabled and bool(known) and not any(known) and not any(price.tool_rates.values())


def rates(price: Price) -> tuple[Rate, ...]:
    """The rates of a price, per million tokens as in Groq's price list. Rates for built-in tools are only shown if
    there are no others. Empty for a disabled price."""
    if not price.enabled:
        return ()
    named = (
        ("in", price.input_usd_per_1k_tokens, 1_000, "1M"),
        ("out", price.output_usd_per_1k_tokens, 1_000, "1M"),
        ("audio", price.audio_usd_per_hour, 1, "hour"),
        ("characters", price.usd_per_1k_characters, 1_000, "1M"),
    )
    tokens = tuple(Rate(name, dollars(rate * count), unit) for name, rate, count, unit in named if rate is not None)
    return tokens or tuple(Rate(tool, dollars(rate), "1k") for tool, rate in sorted(price.tool_rates.items()))


def only_organization(viewer: Viewer, selection: Selection) -> int | str | None:
    """The id of the viewer's only organization, or of the only one that is selected; None if there are several."""
    seen = viewer.organization_ids
    of_whom = tuple(seen) if seen is not None else selection.chosen.get("organization_id", ())
    return of_whom[0] if len(of_whom) == 1 else None
