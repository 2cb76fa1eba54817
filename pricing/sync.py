"""The plan for adopting the known prices, and its execution. Versions are added and never changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from pricing.known_prices import KnownPrice, known_prices
from pricing.models import DEFAULT_PROVIDER, Price, pick_in_force
from pricing.versions import add_versions, lock_prices


@dataclass(frozen=True)
class Step:
    """The versions to add for one model, or the person whose price is kept instead."""

    model: str
    additions: tuple[KnownPrice, ...] = ()
    current: str = ""
    """The rates that are charged now, as text."""
    kept_by: str = ""
    """The name of the person who entered the current price, if it is kept although another one is known."""


class PricesChangedError(Exception):
    """The prices have changed between the plan and its execution."""


def plan(now: datetime, *, provider: str = DEFAULT_PROVIDER, force: bool = False) -> list[Step]:
    """A step for each model of the provider whose price for everybody differs from the known one.
    UnknownProviderError if nothing is known of the provider."""
    versions: dict[str, list[Price]] = {}
    for version in Price.objects.filter(provider=provider, organization=None).select_related("author"):
        versions.setdefault(version.model, []).append(version)
    known_models = known_prices(provider).items()
    steps = (_step(model, known, versions.get(model, []), now, force) for model, known in known_models)
    return [step for step in steps if step.additions or step.kept_by]


def apply(steps: Sequence[Step], now: datetime, *, provider: str = DEFAULT_PROVIDER, force: bool = False) -> int:
    """Add all versions of a plan in one transaction; returns their number. PricesChangedError if the plan of now
    differs from ``steps``."""
    with transaction.atomic():
        lock_prices()
        if plan(now, provider=provider, force=force) != list(steps):
            raise PricesChangedError
        prices = [known.as_price(now) for step in steps for known in step.additions]
        add_versions(prices, by=None)
    return len(prices)


def _step(model: str, known: Sequence[KnownPrice], existing: Iterable[Price], now: datetime, force: bool) -> Step:
    existing = list(existing)
    if not existing:
        return Step(model, tuple(known))
    latest = known[-1]
    in_force = pick_in_force(existing, None, max(now, latest.effective_from or now))
    if in_force is not None and in_force.enabled and latest.charges_like(in_force):
        return Step(model)
    editor = next((v.author for v in sorted(existing, key=lambda v: v.pk, reverse=True) if v.author), None)
    current = in_force.summary if in_force else "–"
    if editor is not None and not force:
        return Step(model, current=current, kept_by=editor.display_name)
    return Step(model, _missing(known, in_force, editor is not None), current)


def _missing(known: Sequence[KnownPrice], in_force: Price | None, is_edited: bool) -> tuple[KnownPrice, ...]:
    """The known versions that begin later than the one in force; if there are none, the latest one, from now on."""
    latest = replace(known[-1], effective_from=None)
    if in_force is None or is_edited:
        return (latest,)
    return tuple(k for k in known if k.effective_from and k.effective_from > in_force.effective_from) or (latest,)
