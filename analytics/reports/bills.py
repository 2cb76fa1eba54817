"""What the calls of some days were charged for: bills, fine enough to tell each price and amount, made from the events.

The charges of many calls are those of their summed amounts, because each is an amount times a rate. So PostgreSQL adds
up the amounts of each price version, and ``pricing.cost`` computes what they cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper

from accounts.viewer import Viewer
from analytics.reports.scope import rows_of
from analytics.reports.selection import Selection
from pricing.cost import BATCH_TIER, Charge, charges, tool_charges
from pricing.fields import from_nano
from pricing.models import Price

ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Amounts:
    """Billed amounts. Audio is as long as it is billed, at least the minimum of each call."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0


class Item(NamedTuple):
    """One charge of a bill."""

    model: str
    """The model that was charged: the called one, or a part of a compound call."""
    price: Price
    charge: Charge
    consumed: int | Decimal
    """The amount as used. Audio is often billed for longer."""


@dataclass(slots=True)
class Bill:
    """All calls of one local day, project and model in one tier. ``cost`` is the sum of the recorded costs, each of
    which was rounded; the exact charges differ from it by less than a nano-dollar for each call."""

    day: date
    provider: str
    project_id: int
    model: str
    is_batch: bool
    requests: int = 0
    cost: Decimal = Decimal(0)
    items: list[Item] = field(default_factory=list)
    unpriced: int = 0
    """The number of calls without a cost."""
    unpriced_amounts: Amounts = Amounts()
    """What these calls used. No item includes it."""
    without_tool_fees: int = 0
    """The number of calls whose cost lacks fees."""
    tools_without_rate: list[str] = field(default_factory=list)

    @property
    def tier(self) -> str:
        return BATCH_TIER if self.is_batch else ""


_KEY = "day, provider, project_id, model, is_batch"
# The amounts of a compound call are those of its parts, if it has a cost.
_ITSELF = "FILTER (WHERE cost_usd IS NULL OR usage_breakdown IS NULL)"
_STATEMENT = """
    WITH event AS (
        SELECT day, provider, coalesce(project_id, 0) AS project_id, model,
            operation = 'batch' OR service_tier = 'batch' AS is_batch,
            CASE WHEN cost_usd IS NOT NULL THEN price_id END AS price_id, tool_price_id, cost_usd, without_tool_fees,
            usage_breakdown, tool_uses,
            input_tokens, least(cached_tokens, input_tokens) AS cached_tokens, output_tokens, audio_seconds, characters,
            CASE WHEN audio_seconds > 0 THEN
                greatest(audio_seconds, (%s::jsonb ->> price_id::text)::numeric) ELSE 0 END AS billed_seconds
        FROM ledger_usageevent WHERE {where}
    )
    SELECT {key}, 'call' AS source, '' AS what, price_id, cost_usd IS NULL AS is_unpriced,
        count(*) AS requests, count(*) FILTER (WHERE without_tool_fees), coalesce(sum(cost_usd), 0),
        coalesce(sum(input_tokens) {itself}, 0)::bigint, coalesce(sum(cached_tokens) {itself}, 0)::bigint,
        coalesce(sum(output_tokens) {itself}, 0)::bigint, coalesce(sum(billed_seconds) {itself}, 0),
        coalesce(sum(characters) {itself}, 0)::bigint, coalesce(sum(audio_seconds) {itself}, 0)
    FROM event GROUP BY {key}, price_id, is_unpriced
    UNION ALL
    SELECT {key}, 'part', part ->> 'model', (part ->> 'price_id')::bigint, false, 0, 0, 0,
        sum((part ->> 'input_tokens')::bigint)::bigint,
        sum(least((part ->> 'cached_tokens')::bigint, (part ->> 'input_tokens')::bigint))::bigint,
        sum((part ->> 'output_tokens')::bigint)::bigint, 0, 0, 0
    FROM event CROSS JOIN LATERAL jsonb_array_elements(usage_breakdown) AS part
    WHERE cost_usd IS NOT NULL AND jsonb_typeof(usage_breakdown) = 'array'
    GROUP BY {key}, part ->> 'model', part ->> 'price_id'
    UNION ALL
    SELECT {key}, 'tool', used.key, tool_price_id, false, 0, 0, 0, sum(used.value::bigint)::bigint, 0, 0, 0, 0, 0
    FROM event CROSS JOIN LATERAL jsonb_each_text(tool_uses) AS used
    WHERE cost_usd IS NOT NULL AND tool_uses <> '{{}}'
    GROUP BY {key}, used.key, tool_price_id
    ORDER BY {key}, source, what, price_id"""


class _Row(NamedTuple):
    """A row of the statement, without the key of its bill."""

    source: str
    what: str
    price_id: int | None
    is_unpriced: bool
    requests: int
    without_tool_fees: int
    cost: Decimal
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    billed_seconds: Decimal
    characters: int
    audio_seconds: Decimal

    @property
    def amounts(self) -> Amounts:
        return Amounts(self.input_tokens, self.cached_tokens, self.output_tokens, self.billed_seconds, self.characters)


def bills(viewer: Viewer, selection: Selection) -> Iterator[Bill]:
    """The bills of a selection that the viewer may see, in the order of their days, one at a time. Call this in a
    snapshot, and for a viewer who sees costs. Deleted events are not in it: see ``retained_from``."""
    rows = rows_of(viewer, selection, None)
    if rows is None:
        return
    prices = _Prices()
    statement = _STATEMENT.format(key=_KEY, where=rows.where, itself=_ITSELF)
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, [_minimums(), *rows.parameters])
        for key, of_bill in groupby(_fetched(cursor), key=lambda row: row[:5]):
            bill = Bill(*key)
            for row in of_bill:
                _add(bill, _Row(*row[5:]), prices)
            yield bill


def _fetched(cursor: CursorWrapper) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        yield from rows


def _minimums() -> str:
    """The shortest length of audio that each price version bills, as JSON by the version's id."""
    found = Price.objects.exclude(audio_usd_per_hour=None).values_list("pk", "audio_minimum_seconds")
    return "{" + ", ".join(f'"{pk}": {seconds}' for pk, seconds in found) + "}"


class _Prices(dict[int, Price]):
    """Price versions by id, each read when it is first wanted."""

    def __missing__(self, pk: int) -> Price:
        self[pk] = Price.objects.get(pk=pk)
        return self[pk]


def _add(bill: Bill, row: _Row, prices: _Prices) -> None:
    price = None if row.price_id is None else prices[row.price_id]
    if row.source == "tool":
        _add_tool(bill, row, price)
        return
    bill.requests += row.requests
    bill.without_tool_fees += row.without_tool_fees
    if row.is_unpriced:
        bill.unpriced += row.requests
        bill.unpriced_amounts = row.amounts
        return
    bill.cost += from_nano(row.cost)
    if price is not None:
        for charge in charges(row.amounts, price, service_tier=bill.tier):
            consumed = row.audio_seconds if charge.unit == "audio" else charge.amount
            bill.items.append(Item(row.what or bill.model, price, charge, consumed))


def _add_tool(bill: Bill, row: _Row, price: Price | None) -> None:
    uses = {row.what: row.input_tokens}  # The statement has the uses of a tool where the tokens of a call are.
    for charge in tool_charges(uses, {} if price is None else price.tool_rates):
        if price is None or charge.rate is None:
            bill.tools_without_rate.append(row.what)
        else:
            bill.items.append(Item(bill.model, price, charge, charge.amount))
