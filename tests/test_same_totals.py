"""Every door out tells the same totals of the same days: those of a plain sum over the events that the caller may see.

A door is a reader in DOORS: it asks as somebody for a range and returns what it is told. One that cannot tell of every
range, or not to everybody, says so in ``serves``.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow.parquet
import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import Organization, User
from ledger.models import UsageEvent
from tests.analytics.test_reports import ledger, prices
from tests.api.asking import Asker, member, person
from tests.ledger.folding import fold_now

__all__ = ["ledger", "prices"]
pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Sums:
    """What a door tells; None for what it does not."""

    requests: int | None = None
    errors: int | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    unpriced: int | None = None


@dataclass(frozen=True)
class Days:
    first: date
    last: date

    @property
    def query(self) -> dict[str, str]:
        return {"from": str(self.first), "to": str(self.last)}


@dataclass(frozen=True)
class Caller:
    role: str
    asker: Asker
    sees: Callable[[UsageEvent], bool]
    organizations: tuple[str, ...] = ()
    """The organizations whose costs the caller may see."""

    @property
    def sees_cost(self) -> bool:
        return bool(self.organizations)


@dataclass(frozen=True)
class Door:
    read: Callable[[Caller, Days], Sums]
    serves: Callable[[Caller, Days], bool] = lambda caller, days: True
    lacks: tuple[str, ...] = ()
    """The sums that the door does not tell to anybody."""

    def should_tell(self, expected: Sums) -> Sums:
        return replace(expected, **dict.fromkeys(self.lacks))


EVER = Days(date(2026, 10, 1), date(2026, 11, 30))
MONTH = Days(date(2026, 10, 1), date(2026, 10, 31))
RANGES = (EVER, MONTH, Days(date(2026, 10, 24), date(2026, 11, 4)))
"""All there is; a whole month; and days on both sides of the change of the clocks in the United States."""


def test_every_door_tells_the_same(ledger: list[UsageEvent], callers: list[Caller]) -> None:
    for caller in callers:
        for days in RANGES:
            expected = plain_sums([event for event in ledger if caller.sees(event)], days, with_cost=caller.sees_cost)
            assert expected.requests
            open_doors = {name: door for name, door in DOORS.items() if door.serves(caller, days)}
            told = {name: door.read(caller, days) for name, door in open_doors.items()}
            should = {name: door.should_tell(expected) for name, door in open_doors.items()}
            assert told == should, (caller.role, days)


def test_the_costs_of_a_month_are_not_told_to_somebody_who_may_not_see_costs(callers: list[Caller]) -> None:
    of_cost = [caller for caller in callers if not caller.sees_cost]
    assert of_cost
    for caller in of_cost:
        assert caller.asker.response("focus", month="2026-10").status_code == 403
        assert caller.asker.client.get("/metrics", headers={"Host": "usage.example.com"}).status_code == 403


@pytest.fixture
def callers(ledger: list[UsageEvent], super_admin: User, admin: User, globex: Organization) -> list[Caller]:
    """Somebody of each role. The Admin's days begin in Los Angeles, the User's in Kolkata. The User may export and sees
    no costs."""
    ann = member(globex, "ann")
    ann.user_permissions.add(Permission.objects.get(codename="export_usageevent"))
    acme_id = admin.organization_id
    return [
        Caller("Super Admin", person(super_admin), lambda event: True, ("acme", "globex")),
        Caller("Admin", person(admin), lambda event: event.organization_id == acme_id, ("acme",)),
        Caller("User", person(ann), lambda event: event.user_id == ann.pk),
    ]


def plain_sums(events: Iterable[UsageEvent], days: Days, *, with_cost: bool) -> Sums:
    return of_rows(
        [
            {name: getattr(event, name) for name in (*COUNTS, "status", "cost_usd", "without_tool_fees")}
            for event in events
            if days.first <= event.day <= days.last
        ],
        with_cost=with_cost,
    )


COUNTS = ("input_tokens", "cached_tokens", "output_tokens")


def of_rows(rows: list[Mapping[str, Any]], *, with_cost: bool) -> Sums:
    """The sums of events, each a row of texts or values."""
    requests, errors = len(rows), sum(row["status"] == "error" for row in rows)
    counts = [sum(int(row[name]) for row in rows) for name in COUNTS]
    if not with_cost:
        return Sums(requests, errors, *counts)
    cost = sum((Decimal(row["cost_usd"]) for row in rows if row["cost_usd"] not in (None, "")), Decimal(0))
    lacking = sum(row["cost_usd"] in (None, "") or row["without_tool_fees"] in (True, "true", "t") for row in rows)
    return Sums(requests, errors, *counts, cost, lacking)


# The doors


def by_api(caller: Caller, days: Days) -> Sums:
    told = caller.asker.ask("usage", **days.query)
    cost = {"cost_usd": Decimal(told["cost_usd"]), "unpriced": told["unpriced"]} if "cost_usd" in told else {}
    return Sums(told["requests"], told["errors"], *(told[name] for name in COUNTS), **cost)


def by_parquet(caller: Caller, days: Days) -> Sums:
    response = caller.asker.response("export", **days.query, format="parquet")
    rows = pyarrow.parquet.read_table(io.BytesIO(b"".join(response.streaming_content)))
    return of_rows(rows.to_pylist(), with_cost="cost_usd" in rows.column_names)


def by_csv(caller: Caller, days: Days) -> Sums:
    rows = csv_rows(caller, "/export.csv", days.query)
    return of_rows(rows, with_cost="cost_usd" in rows[0])


def by_table(caller: Caller, days: Days) -> Sums:
    """The grouped table, whose rows are sums."""
    rows = csv_rows(caller, "/export/", {**days.query, "format": "csv", "per": "day", "by": "model"})
    counts = [sum(int(row[name]) for row in rows) for name in ("requests", "errors", *COUNTS)]
    if "cost_usd" not in rows[0]:
        return Sums(*counts)
    cost = sum((Decimal(row["cost_usd"]) for row in rows if row["cost_usd"]), Decimal(0))
    return Sums(*counts, cost, sum(int(row["unpriced_requests"]) for row in rows))


def by_page(caller: Caller, days: Days) -> Sums:
    """The exact figures in the opened cards of the Overview."""
    html = caller.asker.client.get("/", days.query).content.decode()
    found = re.findall(r"<dt>([^<]*)</dt>\s*<dd>\s*<(?:span|a)[^>]*>([^<]*)<", html)
    facts = {name: re.sub(r"[^\d.]", "", value) for name, value in reversed(found)}
    names = ("Requests", "Failed", "Input", "of it cached", "Output")
    counts = [int(facts[name]) for name in names]
    if "US dollars" not in facts:
        return Sums(*counts)
    unpriced = int(facts["Unpriced requests"]) + int(facts.get("Requests without tool fees", 0))
    return Sums(*counts, Decimal(facts["US dollars"]), unpriced)


def by_focus(caller: Caller, days: Days) -> Sums:
    """The costs of a month, a file for each organization."""
    rows = [row for slug in caller.organizations for row in focus_rows(caller, slug, days)]
    cost = sum((row["BilledCost"] for row in rows), Decimal(0))
    return Sums(cost_usd=cost, unpriced=sum(row["x_UnpricedRequestCount"] for row in rows))


def focus_rows(caller: Caller, organization: str, days: Days) -> list[dict[str, Any]]:
    month = f"{days.first:%Y-%m}"
    response = caller.asker.response("focus", month=month, organization=organization, format="parquet")
    rows = pyarrow.parquet.read_table(io.BytesIO(b"".join(response.streaming_content))).to_pylist()
    assert {row["BilledCost"] for row in rows}
    return list(rows)


def by_metrics(caller: Caller, days: Days) -> Sums:
    """What Prometheus reads. A cost comes as a float there, as all its values do."""
    fold_now()
    text = Client(headers={"Host": "127.0.0.1"}).get("/metrics").content.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(name: str, *, but: str = "") -> float:
        return sum(sample.value for sample in samples if sample.name == name and sample.labels.get("status") != but)

    requests = total("llm_requests_total")
    counts = (requests, total("llm_requests_total", but="success"))
    tokens = (total(f"llm_tokens_{name}_total") for name in ("input", "cached", "output"))
    cost = round(Decimal(total("llm_cost_usd_total")), 9)
    return Sums(*map(int, (*counts, *tokens)), cost, int(total("llm_unpriced_requests")))


def csv_rows(caller: Caller, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    response: Any = caller.asker.client.get(path, query)
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


DOORS: Mapping[str, Door] = {
    "API": Door(by_api),
    "Parquet": Door(by_parquet),
    "CSV": Door(by_csv),
    "grouped CSV": Door(by_table),
    "page": Door(by_page),
    "FOCUS": Door(
        by_focus, serves=lambda caller, days: days == MONTH and caller.sees_cost, lacks=("requests", "errors", *COUNTS)
    ),
    "metrics": Door(by_metrics, serves=lambda caller, days: days == EVER and caller.role == "Super Admin"),
}
