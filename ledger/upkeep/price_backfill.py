"""The price backfill: pricing events that were recorded without a price or without tool fees, at a price version that
an operator chose. If only the tool fees are missing, the cost of the tokens stays as it is.

Events, sessions and rollups change in one transaction. The sums change only by the difference, so those of days whose
other events are deleted stay exact.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from accounts.audit import record
from accounts.models import Organization, User
from ledger.charging import EventCost
from ledger.models import UsageEvent
from ledger.upkeep.backfill_costs import costs_at
from ledger.upkeep.backfill_sql import unpriced_days, unpriced_events, write_costs
from ledger.upkeep.hold import holding
from pricing.fields import dollars
from pricing.models import Price

BATCH = 5_000
"""The smallest size of a batch, except for the last batch. A batch has at most twice as many events, and is priced in
one transaction."""


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """The result of pricing an organization's events."""

    organization: Organization
    events: int = 0
    """The number of changed events whose cost is complete now."""
    cost_usd: Decimal = Decimal(0)
    """The amount that is added to the costs."""
    cost_before: Decimal = Decimal(0)
    """The sum of the costs that the changed events had before."""
    in_part: int = 0
    """The number of changed events whose cost is still not complete, because another part of a compound call, or a
    tool, has no price."""
    left: int = 0
    """The number of events that the version cannot price, such as audio of unknown length or of another unit."""

    @property
    def changed(self) -> int:
        """The number of changed events, whether their cost is complete now or not."""
        return self.events + self.in_part

    def __add__(self, other: "BackfillResult") -> "BackfillResult":
        return BackfillResult(
            self.organization,
            self.events + other.events,
            self.cost_usd + other.cost_usd,
            self.cost_before + other.cost_before,
            self.in_part + other.in_part,
            self.left + other.left,
        )


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """The events to price, by their local days, and the version to price them at."""

    price: Price
    first: date = date.min
    """The first local day. ``last`` is the last one, and both are included."""
    last: date = date.max


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events with their new costs, by event id."""

    charges: dict[int, tuple[UsageEvent, EventCost]] = field(default_factory=dict)

    def result(self, organization: Organization, changed: Collection[int]) -> BackfillResult:
        """The result if only the events with the ids ``changed`` are changed."""
        before = sum((self.charges[pk][0].cost_usd or Decimal(0) for pk in changed), Decimal(0))
        after = sum((self.charges[pk][1].cost_usd or Decimal(0) for pk in changed), Decimal(0))
        whole = sum(self.charges[pk][1].is_whole for pk in changed)
        return BackfillResult(
            organization, whole, after - before, before, len(changed) - whole, len(self.charges) - len(changed)
        )

    @property
    def changes(self) -> list[int]:
        """The ids of the events whose cost, the cost of a part, or all tool fees become known."""
        return [pk for pk, (event, charge) in self.charges.items() if _tells_more(event, charge)]


def _tells_more(event: UsageEvent, charge: EventCost) -> bool:
    if event.without_tool_fees:
        return charge.is_whole
    return charge.cost_usd is not None or charge.breakdown != event.usage_breakdown


class UnusablePriceError(ValueError):
    """The version has no rates of its own, because it is disabled or refers to the price for all organizations."""


def preview(request: BackfillRequest, organization: Organization) -> BackfillResult:
    """The result that ``price_events`` would have now. Nothing is changed."""
    found = BackfillResult(organization)
    for batch in _batches(request, organization):
        found += batch.result(organization, batch.changes)
    return found


def price_events(request: BackfillRequest, organization: Organization, *, by: User | None) -> BackfillResult:
    """Price an organization's events of the version's model whose cost is not complete. Each batch has a transaction
    and an audit record of its own, so this can be interrupted and called again. UnusablePriceError if the version has
    no rates."""
    done = BackfillResult(organization)
    for batch in _batches(request, organization):
        with holding(organization.pk):
            result = batch.result(
                organization, write_costs(organization.pk, [batch.charges[pk] for pk in batch.changes])
            )
            if result.changed:
                _write_down(request.price, result, by)
        done += result
    return done


def _write_down(price: Price, result: BackfillResult, by: User | None) -> None:
    changes: dict[str, tuple[Any, Any]] = {
        "unpriced requests": (result.events, 0),
        "cost": (dollars(result.cost_before), dollars(result.cost_before + result.cost_usd)),
    }
    if result.in_part:
        changes["requests priced in part"] = (0, result.in_part)
    subject = f"{price.model} at version {price.pk}"
    record("ledger.price", subject, by=by, organization=result.organization, changes=changes)


def _batches(request: BackfillRequest, organization: Organization) -> Iterator[_Batch]:
    price = request.price
    if not price.enabled or price.follows_everybody:
        raise UnusablePriceError(f"{price} charges nothing.")
    if price.organization_id not in (None, organization.pk):
        return
    batch = _Batch()
    for day in unpriced_days(organization.pk, price.provider, request.first, request.last):
        for events in unpriced_events(price, organization.pk, day, BATCH):
            batch.charges.update((event.pk, (event, charge)) for event, charge in costs_at(price, events))
            if len(batch.charges) >= BATCH:
                yield batch
                batch = _Batch()
    if batch.charges:
        yield batch
