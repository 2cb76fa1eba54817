"""What changed prices would have meant for the traffic of the last days, before anybody saves them.

``usage_dashboard`` plugs ``preview`` into the page that edits prices. Both costs are computed from the same sums of
tokens, so their difference is exact. ``Preview`` has what the sums cannot tell.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.pages.models.prices import label_of
from analytics.pages.models.what_if import Money, units_without_rate
from analytics.reports import Report, Totals, remainder, snapshot, today
from analytics.reports.selection import Dimension, Selection
from ledger.rollups.cubes import ORGANIZATION
from pricing.catalogue import Key
from pricing.changes import Change
from pricing.cost import NANO, cost
from pricing.models import Price

DAYS = 30
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Side:
    """The cost of a model's traffic at one of the two prices. ``why`` says why the cost is None."""

    cost: Decimal | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class PreviewRow:
    label: str
    totals: Totals
    before: Side
    after: Side
    own_prices: int
    """The number of organizations that are left out, because they have a price of their own for the model."""

    @property
    def money(self) -> Money | None:
        """Both costs; None unless both are known."""
        if self.before.cost is None or self.after.cost is None:
            return None
        return Money(self.before.cost, self.after.cost, requests=0)  # Neither side has a rounding for each request.

    @property
    def is_least(self) -> bool:
        """Whether both costs lack something: the minimum length of audio, or fees for built-in tools."""
        return bool(self.totals.audio_seconds or self.totals.tool_cost_usd or self.totals.without_tool_fees)


@dataclass(frozen=True, slots=True)
class Preview:
    organization: Organization | None
    """Whose traffic it is; None for everybody's."""
    first_day: date
    last_day: date
    rows: tuple[PreviewRow, ...]
    """The models with requests, the largest changes first and those without a difference last."""
    unused: tuple[str, ...]
    """The changed models without requests."""
    changes_tools: bool
    """Whether a tool costs something else than before, which the sums cannot tell."""

    @property
    def total(self) -> Money:
        """The sums of the models that have both costs."""
        known = [row.money for row in self.rows if row.money]
        return Money(_sum(money.actual for money in known), _sum(money.other for money in known), requests=0)

    @property
    def is_least(self) -> bool:
        return any(row.is_least for row in self.rows)

    @property
    def has_audio(self) -> bool:
        return any(row.totals.audio_seconds for row in self.rows)

    @property
    def tool_fees(self) -> Decimal:
        """The fees for built-in tools that were charged."""
        return _sum(row.totals.tool_cost_usd or Decimal(0) for row in self.rows)

    @property
    def without_tool_fees(self) -> int:
        return sum(row.totals.without_tool_fees for row in self.rows)

    @property
    def estimated(self) -> int:
        return sum(row.totals.estimated for row in self.rows)

    @property
    def rounding(self) -> Decimal:
        """The most by which the sum of what the requests are charged differs from a cost here: half a nano-dollar for
        each request, because each is rounded by itself."""
        return NANO * sum(row.totals.requests for row in self.rows) / 2


def preview(viewer: Viewer, organization: Organization | None, changes: Sequence[Change]) -> Preview | None:
    """The preview for the traffic that the prices apply to; None if its sums cannot be read now."""
    try:
        with snapshot():
            last_day = today(viewer)
            days = Selection(last_day - timedelta(days=DAYS - 1), last_day)
            own = {} if organization else _own_prices(map(_key, changes))
            traffic = _traffic(viewer, days, organization, {_key(change) for change in changes}, own)
    except DatabaseError:
        logger.exception("The traffic of the last days could not be read.")
        return None
    rows = [_row(change, traffic[_key(change)], own) for change in changes if _key(change) in traffic]
    rows.sort(key=lambda row: (-row.money.size if row.money else Decimal(0), row.label))
    return Preview(
        organization,
        days.first_day,
        days.last_day,
        tuple(rows),
        tuple(label_of(_key(change)) for change in changes if _key(change) not in traffic),
        any(change.before and change.before.tool_rates != change.after.tool_rates for change in changes),
    )


def _row(change: Change, totals: Totals, own: Mapping[Key, Collection[int]]) -> PreviewRow:
    key = _key(change)
    sides = _side(totals, change.before), _side(totals, change.after)
    return PreviewRow(label_of(key), totals, *sides, own_prices=len(own.get(key, ())))


def _side(totals: Totals, price: Price | None) -> Side:
    if price is None or not price.enabled:
        return Side(None, "no price")
    missing = units_without_rate(totals, price)
    return Side(None, f"no price for {' and '.join(missing)}") if missing else Side(cost(totals, price))


def _traffic(
    viewer: Viewer,
    days: Selection,
    organization: Organization | None,
    models: Collection[Key],
    own: Mapping[Key, Collection[int]],
) -> dict[Key, Totals]:
    """The sums of these models, as far as they have requests: of one organization, or of all but those that have a
    price of their own. Read from the rollups, with one query, and one more if there are such organizations."""
    chosen: dict[Dimension, tuple[str | int, ...]] = {
        "provider": tuple(sorted({provider for provider, _ in models})),
        "model": tuple(sorted({model for _, model in models})),
    }
    whose = {organization.pk} if organization else {pk for found in own.values() for pk in found}
    of_some = replace(days, chosen=chosen | {"organization_id": tuple(sorted(whose))})
    found: dict[Key, Totals] = dict(_sums(viewer, of_some if organization else replace(days, chosen=chosen)))
    for (provider, model, pk), sums in _sums(viewer, of_some, ORGANIZATION) if own else ():
        if pk in own.get((provider, model), ()):
            found[provider, model] = remainder(found[provider, model], [sums])
    return {key: sums for key, sums in found.items() if key in models and sums.requests}


def _sums(viewer: Viewer, selection: Selection, *more: str) -> Iterable[tuple[Any, Totals]]:
    return Report(viewer, selection).totals_by("provider", "model", *more).items()


def _own_prices(models: Iterable[Key]) -> dict[Key, set[int]]:
    """For each of these models, the organizations that are charged a price of their own now."""
    wanted, found = set(models), defaultdict(set)
    names = {model for _, model in wanted}
    for version in Price.objects.filter(organization__isnull=False, model__in=names).latest_begun(timezone.now()):
        key = version.provider, version.model
        if key in wanted and not version.follows_everybody and version.organization_id is not None:
            found[key].add(version.organization_id)
    return dict(found)


def _key(change: Change) -> Key:
    return change.after.provider, change.after.model


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
