"""What adopting the known prices would add to the price table. Versions are only ever added."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from pricing.known_prices import PROVIDER, KnownPrice, known_prices, rates_of
from pricing.models import Price, pick_in_force
from pricing.versions import add_versions, lock_prices


@dataclass(frozen=True)
class Step:
    """One model: what is to be added, or why nothing is."""

    model: str
    additions: tuple[KnownPrice, ...] = ()
    current: str = ""
    """What is charged now."""
    kept_by: str = ""
    """Who entered the price that stands although another one is known."""


class PricesChangedError(Exception):
    """Somebody edited prices between the plan and its execution."""


def plan(now: datetime, *, force: bool = False) -> list[Step]:
    """A step for each model whose price for everybody is not the known one."""
    versions: dict[str, list[Price]] = {}
    for version in Price.objects.filter(provider=PROVIDER, organization=None).select_related("author"):
        versions.setdefault(version.model, []).append(version)
    steps = (_step(model, known, versions.get(model, []), now, force) for model, known in known_prices().items())
    return [step for step in steps if step.additions or step.kept_by]


def apply(steps: Sequence[Step], now: datetime, *, force: bool = False) -> int:
    """Add the versions of a plan, all or none; their number. PricesChangedError if the plan is no longer the same."""
    with transaction.atomic():
        lock_prices()
        if plan(now, force=force) != list(steps):
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
    if in_force is not None and in_force.enabled and rates_of(in_force) == latest.rates:
        return Step(model)
    editor = next((v.author for v in sorted(existing, key=lambda v: v.pk, reverse=True) if v.author), None)
    current = in_force.summary if in_force else "–"
    if editor is not None and not force:
        return Step(model, current=current, kept_by=editor.display_name)
    return Step(model, _missing(known, in_force, editor is not None), current)


def _missing(known: Sequence[KnownPrice], in_force: Price | None, is_edited: bool) -> tuple[KnownPrice, ...]:
    """The known versions that begin later than the one in force; for want of those, the latest one from now on."""
    latest = replace(known[-1], effective_from=None)
    if in_force is None or is_edited:
        return (latest,)
    return tuple(k for k in known if k.effective_from and k.effective_from > in_force.effective_from) or (latest,)
