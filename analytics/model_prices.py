"""The prices that are in force now, for the page of models. Empty for those who may not see prices."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from accounts.viewer import Viewer
from analytics.filters import DEFAULT_PROVIDER
from analytics.selection import Selection
from pricing.fields import dollars
from pricing.models import Price, rank

PriceOf = Mapping[str, Price]
"""By model."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One of the amounts that a price has, as people read it."""

    name: str
    text: str
    unit: str


def prices_in_force(viewer: Viewer, selection: Selection) -> PriceOf:
    """For each model the version that the one organization concerned is charged at now, else everybody's. A disabled
    version is among them: it says that the model has no price."""
    scope, own = Q(organization=None), _only_organization(viewer, selection)
    if own is not None:
        scope |= Q(organization=own)
    begun = Price.objects.visible_to(viewer).filter(scope, provider=_provider(selection)).latest_begun(timezone.now())
    return {version.model: version for version in sorted(begun, key=rank)}


def rates(price: Price) -> tuple[Rate, ...]:
    """What it charges for, by the million as Groq's price list has it; nothing while it is disabled."""
    if not price.enabled:
        return ()
    named = (
        ("in", price.input_usd_per_1k_tokens, 1_000, "1M"),
        ("out", price.output_usd_per_1k_tokens, 1_000, "1M"),
        ("audio", price.audio_usd_per_hour, 1, "hour"),
        ("characters", price.usd_per_1k_characters, 1_000, "1M"),
    )
    return tuple(Rate(name, dollars(rate * count), unit) for name, rate, count, unit in named if rate is not None)


def _only_organization(viewer: Viewer, selection: Selection) -> int | str | None:
    """Whose own prices count: of the viewer's only organization, or of the only one that is looked at."""
    seen = viewer.organization_ids
    of_whom = tuple(seen) if seen is not None else selection.chosen.get("organization_id", ())
    return of_whom[0] if len(of_whom) == 1 else None


def _provider(selection: Selection) -> str:
    chosen = selection.chosen.get("provider", ())
    return str(chosen[0]) if len(chosen) == 1 else DEFAULT_PROVIDER
