"""The costs of an organization's month as a file of FOCUS, the FinOps Open Cost and Usage Specification, version 1.3.

A row is what one local day, project, model, price version and kind of usage cost. docs/exports.md says what each column
holds, and how the file adds up to exactly the ledger's cost although every recorded cost is rounded.
"""

import csv
import io
import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from pyarrow import parquet

from accounts.models import Organization, Project
from accounts.viewer import Viewer
from analytics.export.export import Format
from analytics.export.sink import Sink
from analytics.export.table import csv_cell
from analytics.reports import Bill, Item, bills, retained_from, snapshot
from analytics.reports.selection import Selection
from pricing.cost import EXACT, rounded
from pricing.fields import NANO

VERSION = "1.3"
PROVIDERS = {"groq": "Groq"}
"""The names of providers on invoices. Others are called as in the ledger."""
ROWS_AT_ONCE = 2_000
DECIMAL = pa.decimal128(38, 18)
HOUR = 3_600
HOURS_PLACES = Decimal("1e-9")

TEXTS = (
    "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargeFrequency", "CommitmentDiscountStatus", "ConsumedUnit", "HostProviderName",
    "InvoiceId", "InvoiceIssuerName", "PricingCategory", "PricingCurrency", "PricingUnit", "ProviderName",
    "PublisherName", "ServiceCategory", "ServiceName", "ServiceProviderName", "ServiceSubcategory", "SkuId", "SkuMeter",
    "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType",
)  # fmt: skip
NUMBERS = (
    "BilledCost", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "ListCost",
    "ListUnitPrice", "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice", "PricingQuantity",
)  # fmt: skip
TIMES = ("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart")
OF_FOCUS: dict[str, pa.DataType] = dict(
    sorted(
        {
            **dict.fromkeys(TEXTS, pa.string()),
            **dict.fromkeys(NUMBERS, DECIMAL),
            **dict.fromkeys(TIMES, pa.timestamp("us", tz="UTC")),
        }.items()
    )
)
OWN: dict[str, pa.DataType] = {
    "x_LocalDate": pa.date32(),
    "x_Model": pa.string(),
    "x_UnpricedRequestCount": pa.int64(),
}
SCHEMA = pa.schema([*OF_FOCUS.items(), *OWN.items()], {"focus_version": VERSION})
"""The columns: those of FOCUS by their names, and then our own. InvoiceId and CommitmentDiscountStatus are always null:
the ledger knows no invoices, and rules of other columns ask whether a commitment was used. ProviderName and
PublisherName are of version 1.2; 1.3 has them besides their successors."""

DELETED = "Requests of this month were deleted, so its costs can no longer be told in detail. Choose a later month."

Row = dict[str, Any]


class DeletedError(Exception):
    """Requests of the month were deleted, so that nothing can tell any more what its costs are made of."""


class Unit:
    """How a kind of usage is told: its meter, its unit, and the number of units that a price is for."""

    def __init__(self, meter: str, consumed: str, priced: str, per: int) -> None:
        self.meter, self.consumed, self.priced, self.per = meter, consumed, priced, per


MILLION = 1_000_000
UNITS = {
    "input": Unit("Input Tokens", "Tokens", "1000000 Tokens", MILLION),
    "cached": Unit("Cached Input Tokens", "Tokens", "1000000 Tokens", MILLION),
    "output": Unit("Output Tokens", "Tokens", "1000000 Tokens", MILLION),
    "audio": Unit("Audio", "Seconds", "Hours", HOUR),
    "characters": Unit("Characters", "Characters", "1000000 Characters", MILLION),
    "tool": Unit("Tool", "Uses", "1000 Uses", 1_000),
}
"""Groq's price list has the same units."""


@dataclass(frozen=True, slots=True)
class CostOfMonth:
    """The costs of one organization that a viewer may see, from the first to the last day of a month."""

    viewer: Viewer
    organization: Organization
    first_day: date
    last_day: date

    @property
    def selection(self) -> Selection:
        return Selection(self.first_day, self.last_day)

    @property
    def viewer_within(self) -> Viewer:
        return self.viewer.within(self.organization)

    def rows(self) -> Iterator[Row]:
        """The rows in the order of their days. Call this in a snapshot. DeletedError if details were deleted."""
        if retained_from(self.viewer_within, self.selection):
            raise DeletedError
        projects = _Projects()
        for bill in bills(self.viewer_within, self.selection):
            common = self._common(bill) | projects.columns(bill.project_id)
            yield from (common | columns for columns in _charges(bill))

    def midnight(self, day: date) -> datetime:
        """The moment at which a local day begins, in UTC."""
        return datetime.combine(day, time.min, ZoneInfo(self.organization.time_zone)).astimezone(UTC)

    def _common(self, bill: Bill) -> Row:
        provider = PROVIDERS.get(bill.provider, bill.provider)
        names = ("HostProviderName", "InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceProviderName")
        return {
            **dict.fromkeys(SCHEMA.names),
            **dict.fromkeys(names, provider),
            "BillingAccountId": f"organization/{self.organization.pk}",
            "BillingAccountName": self.organization.name,
            "BillingAccountType": "Organization",
            "BillingCurrency": "USD",
            "BillingPeriodStart": self.midnight(self.first_day),
            "BillingPeriodEnd": self.midnight(self.last_day + timedelta(days=1)),
            "ChargePeriodStart": self.midnight(bill.day),
            "ChargePeriodEnd": self.midnight(bill.day + timedelta(days=1)),
            "ChargeFrequency": "Usage-Based",
            "PricingCurrency": "USD",
            "ServiceCategory": "AI and Machine Learning",
            "ServiceName": "GroqCloud" if bill.provider == "groq" else f"{provider} API",
            "ServiceSubcategory": "Generative AI",
            "x_LocalDate": bill.day,
            "x_Model": bill.model or None,
            "x_UnpricedRequestCount": 0,
        }


class _Projects(dict[int, Project]):
    """Projects by id, each read when it is first wanted."""

    def __missing__(self, pk: int) -> Project:
        self[pk] = Project.objects.get(pk=pk)
        return self[pk]

    def columns(self, pk: int) -> Row:
        """The sub-account of calls of this project; none for calls without one."""
        if not pk:
            return {}
        return {"SubAccountId": f"project/{pk}", "SubAccountName": self[pk].name, "SubAccountType": "Project"}


def _charges(bill: Bill) -> Iterator[Row]:
    """The rows of a bill: one for each item, one for a cost that no price explains, and one for what has no price."""
    shares, rest = _shares(bill)
    for item, billed in zip(bill.items, shares, strict=True):
        yield _of_item(bill, item, billed)
    if rest:
        yield _adjustment(rest, f"Cost of {bill.model} that was recorded and that its price versions do not explain")
    if bill.unpriced or bill.without_tool_fees:
        yield _adjustment(Decimal(0), _told(bill)) | {"x_UnpricedRequestCount": bill.unpriced + bill.without_tool_fees}


def _shares(bill: Bill) -> tuple[list[Decimal], Decimal]:
    """The dollars of each item, and what is left of the recorded cost. The rounding of the recorded costs goes to the
    largest item, so that nothing is left unless something else than rounding is the reason."""
    exact = [item.charge.dollars or Fraction(0) for item in bill.items]
    shares = [rounded(dollars) for dollars in exact]
    rest = bill.cost - sum(shares, Decimal(0))
    if shares and abs(rest) <= (bill.requests + len(shares)) * NANO:
        largest = exact.index(max(exact))
        shares[largest] += rest
        return shares, Decimal(0)
    return shares, rest


def _of_item(bill: Bill, item: Item, billed: Decimal) -> Row:
    charge, unit = item.charge, UNITS[item.charge.unit]
    assert charge.rate is not None
    price = charge.rate * unit.per / charge.per
    quantity = _quantity(charge.amount, unit.per)
    cost = EXACT.multiply(price, quantity)
    meter = f"{unit.meter}: {charge.tool}" if charge.tool else unit.meter
    kind = "/".join(filter(None, [charge.unit, charge.tool]))
    tier = "batch" if bill.is_batch and charge.unit != "tool" else "on-demand"
    return {
        "BilledCost": billed,
        "EffectiveCost": billed,
        "PricingCurrencyEffectiveCost": billed,
        "ListCost": cost,
        "ContractedCost": cost,
        "ListUnitPrice": price,
        "ContractedUnitPrice": price,
        "PricingCurrencyListUnitPrice": price,
        "PricingCurrencyContractedUnitPrice": price,
        "PricingQuantity": quantity,
        "PricingUnit": unit.priced,
        "PricingCategory": "Standard",
        "ConsumedQuantity": Decimal(item.consumed),
        "ConsumedUnit": unit.consumed,
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{meter} of {item.model}{' in batches' if tier == 'batch' else ''}",
        "SkuId": f"{item.price.provider}/{item.price.model}/{kind}",
        "SkuMeter": meter,
        "SkuPriceId": f"price-{item.price.pk}/{kind}/{tier}",
        "SkuPriceDetails": json.dumps({"x_ServiceTier": tier, "x_PriceVersion": item.price.pk}),
    }


def _quantity(amount: int | Decimal, per: int) -> Decimal:
    """The amount in units of a price. Hours have nine places, because a second is no finite fraction of one."""
    quantity = EXACT.divide(Decimal(amount), Decimal(per))
    return quantity.quantize(HOURS_PLACES, context=EXACT) if per == HOUR else quantity


def _adjustment(dollars: Decimal, description: str) -> Row:
    columns = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingCurrencyEffectiveCost")
    return {**dict.fromkeys(columns, dollars), "ChargeCategory": "Adjustment", "ChargeDescription": description}


def _told(bill: Bill) -> str:
    """What has no price, in words: FOCUS allows no row of usage without a price, and no cost that is empty."""
    told = []
    if bill.unpriced:
        used = bill.unpriced_amounts
        amounts = {
            "input tokens": used.input_tokens, "of them cached": used.cached_tokens,
            "output tokens": used.output_tokens, "seconds of audio": used.audio_seconds, "characters": used.characters,
        }  # fmt: skip
        listed = ", ".join(f"{amount} {name}" for name, amount in amounts.items() if amount) or "usage unknown"
        told.append(f"{bill.unpriced} requests of {bill.model} have no price and are in no cost: {listed}")
    if bill.without_tool_fees:
        tools = ", ".join(sorted(set(bill.tools_without_rate)))
        told.append(
            f"{bill.without_tool_fees} requests of {bill.model} lack the fees of tools without a price: {tools}"
        )
    return "NOT PRICED. " + "; ".join(told)


def focus_csv(costs: CostOfMonth) -> Generator[bytes, None, None]:
    """The rows as chunks of CSV: UTF-8 without a byte order mark, times in ISO 8601, nothing for what is null."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(SCHEMA.names)
    for rows in _in_groups(costs):
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return value.isoformat() if isinstance(value, date) else csv_cell(value)


def focus_parquet(costs: CostOfMonth) -> Generator[bytes, None, None]:
    """The rows as chunks of Parquet: costs and amounts are decimals, times are UTC."""
    sink = Sink()
    with parquet.ParquetWriter(sink, SCHEMA, compression="zstd") as writer:
        for rows in _in_groups(costs):
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            yield sink.taken()
    yield sink.taken()


def _in_groups(costs: CostOfMonth) -> Iterator[list[Row]]:
    """The rows in lists; one empty list if there are none."""
    with snapshot(timeout_ms=0):
        rows = costs.rows()
        group = list(islice(rows, ROWS_AT_ONCE))
        yield group
        while group := list(islice(rows, ROWS_AT_ONCE)):
            yield group


FILES = {
    "csv": Format("csv", "text/csv; charset=utf-8", focus_csv),
    "parquet": Format("parquet", "application/vnd.apache.parquet", focus_parquet),
}


def file_name(costs: CostOfMonth, suffix: str) -> str:
    return f"focus_{costs.organization.slug}_{costs.first_day:%Y-%m}.{suffix}"
