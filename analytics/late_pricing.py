"""Pricing events that were recorded without a price, on purpose, at a version that somebody chose.

An event is otherwise never changed. Event, sessions and rollups change in one transaction, by the difference that it
makes, so that others can go on recording and days whose other events are gone stay right as well.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from accounts.audit import record
from accounts.models import Organization, User
from analytics.cubes import CUBES
from analytics.differences import ROLLUPS, SESSIONS
from analytics.models import UsageEvent
from analytics.rebuild import apply_difference, holding
from analytics.rows import COLUMNS, Charge, charge_of
from groq_client.call import Call, Usage, UsagePart
from pricing.book import PriceBook
from pricing.fields import dollars, plain, to_nano
from pricing.models import Price

BATCH = 5_000
"""So many events are priced in one transaction."""

NUMBER_OF_MODEL_CUBE = next(cube.number for cube in CUBES if cube.dimensions == {"model"})


@dataclass(slots=True)
class Priced:
    """What pricing an organization's events comes to."""

    organization: Organization
    events: int = 0
    cost_usd: Decimal = Decimal(0)
    still_unpriced: int = 0
    """Audio of unknown length, a unit that the version has no price for, another model of a compound call."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Which events to price at which version."""

    price: Price
    first: date = date.min
    """Local days, both included."""
    last: date = date.max


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events with what they are charged."""

    charges: list[tuple[UsageEvent, Charge]] = field(default_factory=list)

    @property
    def priced(self) -> list[tuple[UsageEvent, Charge]]:
        return [pair for pair in self.charges if pair[1].cost_usd is not None]


class UnusablePriceError(ValueError):
    """A version that charges nothing: disabled, or one that says to follow everybody's."""


def preview(offer: Offer, organization: Organization) -> Priced:
    """What ``price_events`` would do now; changes nothing."""
    found = Priced(organization)
    for batch in _batches(offer, organization):
        _count(found, batch, [event.pk for event, _ in batch.priced])
    return found


def price_events(offer: Offer, organization: Organization, *, by: User | None) -> Priced:
    """Price an organization's events of the version's model that have no price, a transaction for each BATCH of them,
    each with its audit record. Can be broken off and called again: what was priced stays so."""
    done = Priced(organization)
    for batch in _batches(offer, organization):
        with holding(organization.pk):
            priced = _write(organization.pk, batch)
            _count(done, batch, priced)
            if priced:
                _write_down(offer.price, organization, batch, priced, by)
    return done


def _count(total: Priced, batch: _Batch, priced: Sequence[int]) -> None:
    total.events += len(priced)
    total.cost_usd += _cost(batch, priced)
    total.still_unpriced += len(batch.charges) - len(batch.priced)


def _cost(batch: _Batch, priced: Sequence[int]) -> Decimal:
    ids = set(priced)
    return sum((charge.cost_usd or Decimal(0) for event, charge in batch.priced if event.pk in ids), Decimal(0))


def _write_down(
    price: Price, organization: Organization, batch: _Batch, priced: Sequence[int], by: User | None
) -> None:
    changes = {"unpriced requests": (len(priced), 0), "cost": (dollars(Decimal(0)), f"${plain(_cost(batch, priced))}")}
    record("ledger.price", f"{price.model} at version {price.pk}", by=by, organization=organization, changes=changes)


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
            batch.charges.extend(_charges(price, events))
            if len(batch.charges) >= BATCH:
                yield batch
                batch = _Batch()
    if batch.charges:
        yield batch


def _unpriced(price: Price, organization_id: int, day: date) -> Iterator[list[UsageEvent]]:
    """The events of one day that the version could price, up to BATCH at a time: those of its model, and compound calls
    of which it could price a part."""
    of_day = UsageEvent.objects.filter(organization_id=organization_id, day=day, provider=price.provider)
    wanted = of_day.filter(cost_usd=None, usage_breakdown=None, model=price.model) | of_day.filter(
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
    call = Call(event.operation, event.model_requested, provider=event.provider, started_at=event.timestamp, usage=usage)  # type: ignore[arg-type]
    call.model, call.service_tier, call.status = event.model, event.service_tier, event.status  # type: ignore[assignment]
    return call


# An event that somebody priced meanwhile is left alone, and so is one whose parts are no longer as they were read.
_WRITE = """
    UPDATE analytics_usageevent AS event
    SET cost_usd = charge.cost_usd, price_id = charge.price_id, usage_breakdown = charge.breakdown
    FROM unnest(%(ids)s::bigint[], %(costs)s::bigint[], %(prices)s::bigint[], %(before)s::jsonb[], %(after)s::jsonb[])
        AS charge (id, cost_usd, price_id, before, breakdown)
    WHERE event.organization_id = %(organization)s AND event.id = charge.id AND event.cost_usd IS NULL
      AND event.usage_breakdown IS NOT DISTINCT FROM charge.before
    RETURNING event.id, event.cost_usd IS NOT NULL
"""
_EVENTS = "analytics_usageevent WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)"
_NOW = f"(SELECT * FROM {_EVENTS}) AS priced"  # noqa: S608
_BEFORE_COLUMNS = ", ".join("NULL::bigint AS cost_usd" if name == "cost_usd" else name for name in COLUMNS)
_BEFORE = f"(SELECT {_BEFORE_COLUMNS} FROM {_EVENTS}) AS unpriced"  # noqa: S608


def _write(organization_id: int, batch: _Batch) -> list[int]:
    """Change the events and let the sums follow; the ids of those that have a cost now."""
    changed = [(event, charge) for event, charge in batch.charges if _is_new(event, charge)]
    parameters = {
        "organization": organization_id,
        "ids": [event.pk for event, _ in changed],
        "costs": [None if charge.cost_usd is None else to_nano(charge.cost_usd) for _, charge in changed],
        "prices": [charge.price_id for _, charge in changed],
        "before": [_json(event.usage_breakdown) for event, _ in changed],
        "after": [_json(charge.breakdown) for _, charge in changed],
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, parameters)
        priced = [pk for pk, has_cost in cursor.fetchall() if has_cost]
    for table in (SESSIONS, ROLLUPS):
        apply_difference(table, table.sums(_NOW), table.sums(_BEFORE), {"organization": organization_id, "ids": priced})
    return priced


def _is_new(event: UsageEvent, charge: Charge) -> bool:
    """Whether something becomes known: the cost, or that of a part."""
    return charge.cost_usd is not None or charge.breakdown != event.usage_breakdown


def _json(value: list[dict[str, Any]] | list[dict[str, str | int | None]] | None) -> str | None:
    return None if value is None else json.dumps(value)
