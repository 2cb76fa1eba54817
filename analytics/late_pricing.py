"""Pricing events that were recorded without a price, on purpose, at a version that somebody chose.

An event is otherwise never changed. Event, sessions and rollups change in one transaction, by the difference that it
makes, so that others can go on recording and days whose other events are gone stay right as well.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from accounts.audit import record
from accounts.models import Organization, User
from analytics.cubes import CUBES
from analytics.differences import ROLLUPS, SESSIONS
from analytics.models import Status, UsageEvent
from analytics.rebuild import apply_difference, holding
from analytics.rows import COLUMNS, Charge, charge_of
from groq_client.call import Call, Usage, UsagePart
from pricing.book import PriceBook
from pricing.fields import dollars, to_nano
from pricing.models import Price

BATCH = 5_000
"""So many events are priced in one transaction."""

NUMBER_OF_MODEL_CUBE = next(cube.number for cube in CUBES if cube.dimensions == {"model"})


@dataclass(frozen=True, slots=True)
class Priced:
    """What pricing an organization's events comes to."""

    organization: Organization
    events: int = 0
    cost_usd: Decimal = Decimal(0)
    in_part: int = 0
    """Compound calls of which another part has no price still."""
    left: int = 0
    """What the version has no price for: audio of unknown length, another unit."""

    @property
    def changed(self) -> int:
        return self.events + self.in_part

    def __add__(self, other: "Priced") -> "Priced":
        return Priced(
            self.organization,
            self.events + other.events,
            self.cost_usd + other.cost_usd,
            self.in_part + other.in_part,
            self.left + other.left,
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """Which events to price at which version."""

    price: Price
    first: date = date.min
    """Local days, both included."""
    last: date = date.max


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events by their ids with what they are charged."""

    charges: dict[int, tuple[UsageEvent, Charge]] = field(default_factory=dict)

    def result(self, organization: Organization, changed: Collection[int]) -> Priced:
        """What it comes to when these events of it are changed."""
        costs = [self.charges[pk][1].cost_usd for pk in changed]
        known = [cost for cost in costs if cost is not None]
        in_part = len(costs) - len(known)
        return Priced(organization, len(known), sum(known, Decimal(0)), in_part, len(self.charges) - len(costs))

    @property
    def news(self) -> list[int]:
        """The events of which something becomes known: the cost, or that of a part."""
        return [
            pk
            for pk, (event, charge) in self.charges.items()
            if charge.cost_usd is not None or charge.breakdown != event.usage_breakdown
        ]


class UnusablePriceError(ValueError):
    """A version that charges nothing: disabled, or one that says to follow everybody's."""


def preview(offer: Offer, organization: Organization) -> Priced:
    """What ``price_events`` would do now; changes nothing."""
    found = Priced(organization)
    for batch in _batches(offer, organization):
        found += batch.result(organization, batch.news)
    return found


def price_events(offer: Offer, organization: Organization, *, by: User | None) -> Priced:
    """Price an organization's events of the version's model that have no price, a transaction for each BATCH of them,
    each with its audit record. Can be broken off and called again: what was priced stays so."""
    done = Priced(organization)
    for batch in _batches(offer, organization):
        with holding(organization.pk):
            result = batch.result(organization, _write(organization.pk, batch))
            if result.changed:
                _write_down(offer.price, result, by)
        done += result
    return done


def _write_down(price: Price, result: Priced, by: User | None) -> None:
    changes: dict[str, tuple[Any, Any]] = {
        "unpriced requests": (result.events, 0),
        "cost": (dollars(Decimal(0)), dollars(result.cost_usd)),
    }
    if result.in_part:
        changes["requests priced in part"] = (0, result.in_part)
    subject = f"{price.model} at version {price.pk}"
    record("ledger.price", subject, by=by, organization=result.organization, changes=changes)


# Days with something unpriced, from the narrowest cube that knows: no pass over the events.
_DAYS = f"""
    SELECT DISTINCT day FROM analytics_rollup
    WHERE organization_id = %s AND cube = {NUMBER_OF_MODEL_CUBE} AND provider = %s AND day BETWEEN %s AND %s
      AND unpriced > 0
    ORDER BY day
"""  # noqa: S608 - made of our own words


def _batches(offer: Offer, organization: Organization) -> Iterator[_Batch]:
    price = offer.price
    if not price.enabled or price.follows_everybody:
        raise UnusablePriceError(f"{price} charges nothing.")
    if price.organization_id not in (None, organization.pk):
        return
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, [organization.pk, price.provider, offer.first, offer.last])
        days = [day for (day,) in cursor.fetchall()]
    batch = _Batch()
    for day in days:
        for events in _unpriced(price, organization.pk, day):
            batch.charges.update((event.pk, (event, charge)) for event, charge in _charges(price, events))
            if len(batch.charges) >= BATCH:
                yield batch
                batch = _Batch()
    if batch.charges:
        yield batch


def _unpriced(price: Price, organization_id: int, day: date) -> Iterator[list[UsageEvent]]:
    """The events of one day that the version could price, up to BATCH at a time: those of its model, and compound calls
    of which it could price a part."""
    of_day = UsageEvent.objects.filter(organization_id=organization_id, day=day, provider=price.provider)
    wanted = of_day.filter(cost_usd=None, usage_breakdown__isnull=True, model=price.model) | of_day.filter(
        cost_usd=None, usage_breakdown__contains=[{"model": price.model, "cost_usd": None}]
    )
    after = 0
    while events := list(wanted.filter(pk__gt=after).order_by("pk")[:BATCH]):
        yield events
        after = events[-1].pk


class _ChosenPrice(PriceBook):
    """The version that was chosen for its model; for the other parts of a compound call, the ones they have."""

    def __init__(self, chosen: Price, others: Mapping[str, Price]) -> None:
        super().__init__(())
        self._prices = {**others, chosen.model: chosen}

    def in_force(self, provider: str, model: str, organization_id: int | None, at: datetime) -> Price | None:
        return self._prices.get(model)


def _charges(price: Price, events: Sequence[UsageEvent]) -> Iterator[tuple[UsageEvent, Charge]]:
    """What each event is charged, as the writer would have charged it."""
    others: dict[int, dict[str, int]] = defaultdict(dict)
    for event in events:
        for share in event.usage_breakdown or ():
            if share["cost_usd"] is not None:
                others[event.pk][share["model"]] = share["price_id"]
    versions = Price.objects.in_bulk({pk for prices in others.values() for pk in prices.values()})
    for event in events:
        book = _ChosenPrice(price, {model: versions[pk] for model, pk in others[event.pk].items()})
        yield event, charge_of(_call(event), event.organization_id, book)


def _call(event: UsageEvent) -> Call:
    """The part of a call that its cost depends on."""
    parts = tuple(
        UsagePart(
            share["model"],
            Usage(
                input_tokens=share["input_tokens"],
                output_tokens=share["output_tokens"],
                cached_tokens=share["cached_tokens"],
            ),
        )
        for share in event.usage_breakdown or ()
    )
    usage = Usage(
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        cached_tokens=event.cached_tokens,
        audio_seconds=event.audio_seconds,
        characters=event.characters,
        estimated=event.tokens_estimated,
        parts=parts,
    )
    operation: Any = event.operation  # which the database, unlike the type of its column, knows to be one of few
    call = Call(operation, event.model_requested, provider=event.provider, started_at=event.timestamp, usage=usage)
    call.model, call.service_tier = event.model, event.service_tier
    call.status = "error" if event.status == Status.ERROR else "success"
    return call


# An event that somebody priced meanwhile is left alone, and so is one whose parts are no longer as they were read.
_WRITE = """
    UPDATE analytics_usageevent AS event
    SET cost_usd = charge.cost_usd, price_id = charge.price_id, usage_breakdown = charge.breakdown
    FROM unnest(%(ids)s::bigint[], %(costs)s::bigint[], %(prices)s::bigint[], %(before)s::jsonb[], %(after)s::jsonb[])
        AS charge (id, cost_usd, price_id, before, breakdown)
    WHERE event.organization_id = %(organization)s AND event.id = charge.id AND event.cost_usd IS NULL
      AND event.usage_breakdown IS NOT DISTINCT FROM charge.before
    RETURNING event.id
"""
_EVENTS = "analytics_usageevent WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)"
_NOW = f"(SELECT * FROM {_EVENTS}) AS priced"  # noqa: S608
_BEFORE_COLUMNS = ", ".join("NULL::bigint AS cost_usd" if name == "cost_usd" else name for name in COLUMNS)
_BEFORE = f"(SELECT {_BEFORE_COLUMNS} FROM {_EVENTS}) AS unpriced"  # noqa: S608


def _write(organization_id: int, batch: _Batch) -> list[int]:
    """Change the events and let the sums follow; the ids of those that were changed."""
    news = [batch.charges[pk] for pk in batch.news]
    parameters: dict[str, Any] = {
        "organization": organization_id,
        "ids": [event.pk for event, _ in news],
        "costs": [None if charge.cost_usd is None else to_nano(charge.cost_usd) for _, charge in news],
        "prices": [charge.price_id for _, charge in news],
        "before": [_json(event.usage_breakdown) for event, _ in news],
        "after": [_json(charge.breakdown) for _, charge in news],
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, parameters)
        changed = [pk for (pk,) in cursor.fetchall()]
    for table in (SESSIONS, ROLLUPS):
        apply_difference(
            table, table.sums(_NOW), table.sums(_BEFORE), {"organization": organization_id, "ids": changed}
        )
    return changed


def _json(value: list[dict[str, Any]] | list[dict[str, str | int | None]] | None) -> str | None:
    return None if value is None else json.dumps(value)
