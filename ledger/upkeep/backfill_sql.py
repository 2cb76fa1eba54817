"""The SQL of the price backfill: finding events without a price, and writing their costs and the changed sums."""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from ledger.charging import EventCost
from ledger.models import UsageEvent
from ledger.recording.event_row import COLUMNS
from ledger.rollups import counters
from ledger.rollups.cubes import cube_of
from ledger.rollups.tail import TAIL_CUBE
from ledger.upkeep.delta_sql import ROLLUPS, SESSIONS, add_differences
from ledger.upkeep.hold import hold_sums
from pricing.fields import to_nano
from pricing.models import Price

# Finds the days with unpriced events in the smallest cube and the tail, so that not all events have to be read.
_DAYS = f"""
    SELECT DISTINCT day FROM ledger_current_rollup
    WHERE organization_id = %s AND cube IN ({cube_of("model").number}, {TAIL_CUBE}) AND provider = %s
      AND day BETWEEN %s AND %s AND unpriced > 0
    ORDER BY day
"""  # noqa: S608 - no outside input


def unpriced_days(organization_id: int, provider: str, first: date, last: date) -> list[date]:
    """The local days from ``first`` to ``last`` that have unpriced events, in order."""
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, [organization_id, provider, first, last])
        return [day for (day,) in cursor.fetchall()]


def unpriced_events(price: Price, organization_id: int, day: date, number: int) -> Iterator[list[UsageEvent]]:
    """The events of one day that ``price`` could price, in lists of at most ``number``: unpriced calls of its model,
    compound calls with an unpriced part of its model, and calls of its model that lack tool fees."""
    of_day = UsageEvent.objects.filter(organization_id=organization_id, day=day, provider=price.provider)
    wanted = (
        of_day.filter(cost_usd=None, usage_breakdown__isnull=True, model=price.model)
        | of_day.filter(cost_usd=None, usage_breakdown__contains=[{"model": price.model, "cost_usd": None}])
        | of_day.filter(without_tool_fees=True, model=price.model)
    )
    after = 0
    while events := list(wanted.filter(pk__gt=after).order_by("pk")[:number]):
        yield events
        after = events[-1].pk


# This statement leaves out events that got a price after they were read, even if they still lack fees, and events whose
# parts have changed since. The sums change by the difference between the new values and the values that were read.
_WRITE = """
    UPDATE ledger_usageevent AS event
    SET cost_usd = charge.cost_usd, price_id = charge.price_id, usage_breakdown = charge.breakdown,
        tool_price_id = charge.tool_price_id, tool_cost_usd = charge.tool_cost_usd,
        without_tool_fees = charge.without_tool_fees
    FROM unnest(
        %(ids)s::bigint[], %(costs_before)s::bigint[], %(costs)s::bigint[], %(prices)s::bigint[],
        %(parts_before)s::jsonb[], %(parts)s::jsonb[],
        %(tool_prices)s::bigint[], %(tool_costs)s::bigint[], %(lack_fees)s::boolean[]
    ) AS charge (
        id, cost_before, cost_usd, price_id, breakdown_before, breakdown, tool_price_id, tool_cost_usd,
        without_tool_fees
    )
    WHERE event.organization_id = %(organization)s AND event.id = charge.id
      AND (event.cost_usd IS NULL OR event.without_tool_fees)
      AND event.cost_usd IS NOT DISTINCT FROM charge.cost_before
      AND event.usage_breakdown IS NOT DISTINCT FROM charge.breakdown_before
    RETURNING event.id
"""
_EVENTS = "ledger_usageevent WHERE organization_id = %(organization)s AND id = ANY(%(ids)s)"
_NOW = f"(SELECT * FROM {_EVENTS}) AS priced"  # noqa: S608
# The columns that _WRITE changes and sums are made of, with the SQL of their former values, looked up by event id.
_AS_IT_WAS = {
    "cost_usd": "(%(before)s::jsonb -> id::text ->> 0)::bigint",
    "tool_cost_usd": "(%(before)s::jsonb -> id::text ->> 1)::bigint",
    "without_tool_fees": "(%(before)s::jsonb -> id::text ->> 2)::boolean",
}
_BEFORE_COLUMNS = ", ".join(f"{_AS_IT_WAS[name]} AS {name}" if name in _AS_IT_WAS else name for name in COLUMNS)
_BEFORE = f"(SELECT {_BEFORE_COLUMNS} FROM {_EVENTS}) AS unpriced"  # noqa: S608
_COUNT = counters.sums(
    f"(SELECT 1 AS sign, {', '.join(COLUMNS)} FROM {_EVENTS}"  # noqa: S608
    f" UNION ALL SELECT -1, {_BEFORE_COLUMNS} FROM {_EVENTS}) AS changed"
)


def write_costs(organization_id: int, costs: Sequence[tuple[UsageEvent, EventCost]]) -> list[int]:
    """Write the cost of each event and change the sums accordingly, those over all organizations too. Returns the ids
    of the changed events. Call this inside ``holding``.

    Events of which the tail still has the former cost are folded with it by ``hold_sums``, and only then is the
    difference added. So the order does not matter to the sums, and the lock is held for a shorter time.
    """
    parameters: dict[str, Any] = {
        "organization": organization_id,
        "ids": [event.pk for event, _ in costs],
        "costs_before": [_nano(event.cost_usd) for event, _ in costs],
        "costs": [_nano(charge.cost_usd) for _, charge in costs],
        "prices": [charge.price_id for _, charge in costs],
        "parts_before": [_json(event.usage_breakdown) for event, _ in costs],
        "parts": [_json(charge.breakdown) for _, charge in costs],
        "tool_prices": [charge.tool_price_id for _, charge in costs],
        "tool_costs": [_nano(charge.tool_cost_usd) for _, charge in costs],
        "lack_fees": [charge.without_tool_fees for _, charge in costs],
    }
    before = {
        event.pk: [_nano(event.cost_usd), _nano(event.tool_cost_usd), event.without_tool_fees] for event, _ in costs
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, parameters)
        changed = [pk for (pk,) in cursor.fetchall()]
        hold_sums(organization_id)
        of_changed: dict[str, Any] = {"organization": organization_id, "ids": changed, "before": json.dumps(before)}
        # A cost is part of no key, and of no measure that is not added up.
        for table in (SESSIONS, ROLLUPS):
            cursor.execute(add_differences(table, table.sums(_NOW), table.sums(_BEFORE)), of_changed)
        cursor.execute(_COUNT, of_changed)
        ((counted,),) = cursor.fetchall()
        counters.count_change(cursor, counted)
    return changed


def _nano(amount: Decimal | None) -> int | None:
    return None if amount is None else to_nano(amount)


def _json(value: list[dict[str, Any]] | list[dict[str, str | int | None]] | None) -> str | None:
    return None if value is None else json.dumps(value)
