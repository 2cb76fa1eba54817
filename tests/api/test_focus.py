"""The costs of a month in FOCUS: they are the ledger's to the last nano-dollar, and the FinOps Foundation's validator
finds nothing wrong."""

import csv
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from pyarrow import parquet

from accounts.models import Organization, Role, User
from accounts.places import Places
from accounts.viewer import Viewer
from analytics.export import download, focus
from analytics.export.focus import SCHEMA, CostOfMonth, DeletedError, focus_csv, focus_parquet
from analytics.reports import Report
from groq_client.call import Call, ToolUse, UsagePart
from ledger.models import UsageEvent
from ledger.recording.record import record
from tests.api.asking import key, person
from tests.cast import signed_in
from tests.ledger.calls import call, failed, usage
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

OCTOBER = (date(2026, 10, 1), date(2026, 10, 31))
ENVIRONMENT = settings.BASE_DIR / "var" / "focus"
VALIDATOR = ENVIRONMENT / "bin" / "focus-validator"
CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED", "PUBLIC_PRICE_LIST_SUPPORTED", "USAGE_MEASUREMENT_SUPPORTED",
    "UNIT_PRICING_SUPPORTED", "SUB_ACCOUNT_SUPPORTED", "NEGOTIATED_PRICING_SUPPORTED",
    "MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED", "MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED",
    "MULTIPLE_PRICING_CATEGORIES_SUPPORTED",
)  # fmt: skip
"""What applies to us. Regions, resources, commitments, tags and other currencies do not."""
WRONG_RULES = {"InvoiceId-C-005-C"}
"""The rules file has "must not be null when the charge is associated with an invoice" without its condition. The rule
above it, which passes, allows a null."""
ADDED_IN_1_3 = ("HostProviderName", "ServiceProviderName")
Rows = list[dict[str, Any]]


@pytest.fixture
def odd_calls(prices: None, acme: Organization) -> None:
    """Calls of every kind that is charged otherwise: in batches, by audio, characters, tools and parts."""
    of_tokens: dict[str, Any] = {"input_usd_per_1k_tokens": None, "output_usd_per_1k_tokens": None}
    make_price("heard/a", **of_tokens, audio_usd_per_hour=Decimal("0.111"))
    make_price("spoken/a", **of_tokens, usd_per_1k_characters=Decimal("0.022"))
    nano = {"input_usd_per_1k_tokens": Decimal("123e-9"), "output_usd_per_1k_tokens": Decimal("457e-9")}
    cached = Decimal("11e-9")
    make_price("fine/a", **nano, cached_input_usd_per_1k_tokens=cached, tool_rates={"browser_search": Decimal(5)})
    make_price("fine/a", at=datetime(2026, 10, 15, tzinfo=UTC), input_usd_per_1k_tokens=Decimal("321e-9"))
    record(list(_odd_calls()))


def _odd_calls() -> Iterator[Call]:
    common: dict[str, Any] = {"organization": "acme", "project": "=1+1"}
    for day in (3, 14, 15, 31):
        at = datetime(2026, 10, day, 12, tzinfo=UTC)
        tools = (ToolUse("browser_search", 3), ToolUse("visit_website", 2))
        parts = (UsagePart("fine/a", usage(331, 7)), UsagePart("priced/a", usage(11, 77, cached_tokens=3)))
        for number in range(1, 8):
            used = usage(101 * number, 13 * number, cached_tokens=37)
            yield call("fine/a", at=at, usage=used, **common)
            yield call("fine/a", at=at, usage=used, operation="batch", **common)
        yield call("fine/a", at=at, usage=usage(19, 3, tools=tools), **common)
        yield call("groq/compound", at=at, usage=usage(342, 84, parts=parts), **common)
        yield call(
            "heard/a", at=at, operation="transcription", usage=usage(0, 0, audio_seconds=Decimal("3.217")), **common
        )
        yield call(
            "heard/a", at=at, operation="transcription", usage=usage(0, 0, audio_seconds=Decimal("61.001")), **common
        )
        yield call("spoken/a", at=at, operation="speech", usage=usage(0, 0, characters=1_717), **common)
        yield call("nobody/knows", at=at, usage=usage(5, 6), organization="acme")
        yield failed(at=at, **common)


def october(organization: Organization) -> CostOfMonth:
    viewer = Viewer(Role.SUPER_ADMIN, None, None, sees_cost=True, may_export=True, may_edit_pricing=False)
    return CostOfMonth(viewer, organization, *OCTOBER)


def read_csv(data: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def read_parquet(data: bytes) -> Rows:
    return parquet.read_table(io.BytesIO(data)).to_pylist()


def total(rows: Rows, column: str) -> Decimal:
    return sum((Decimal(row[column] or 0) for row in rows), Decimal(0))


def test_it_adds_up_to_the_cost_of_the_ledger(ledger: list[UsageEvent], odd_calls: None, acme: Organization) -> None:
    costs = october(acme)
    totals = Report(costs.viewer_within, costs.selection).totals()
    as_csv, as_parquet = read_csv(b"".join(focus_csv(costs))), read_parquet(b"".join(focus_parquet(costs)))
    for rows in (as_csv, as_parquet):
        assert total(rows, "BilledCost") == total(rows, "EffectiveCost") == totals.cost_usd
        assert total(rows, "x_UnpricedRequestCount") == totals.unpriced > 0
    for text, typed in zip(as_csv, as_parquet, strict=True):
        assert list(text) == list(typed) == SCHEMA.names
        assert {name: told(value) for name, value in typed.items()} == {n: untold(n, v) for n, v in text.items()}


def told(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return f"{value.normalize():f}" if isinstance(value, Decimal) else "" if value is None else str(value)


def untold(name: str, text: str) -> str:
    if name in focus.NUMBERS and text:
        return f"{Decimal(text).normalize():f}"
    return text.removeprefix("'") if name == "SubAccountName" else text


def test_each_day_and_project_has_its_cost(ledger: list[UsageEvent], odd_calls: None, acme: Organization) -> None:
    rows = read_parquet(b"".join(focus_parquet(october(acme))))
    found: dict[Any, Decimal] = {}
    for row in rows:
        key = (row["x_LocalDate"], row["SubAccountId"], row["x_Model"])
        found[key] = found.get(key, Decimal(0)) + row["BilledCost"]
    wanted: dict[Any, Decimal] = {}
    for event in UsageEvent.objects.filter(organization=acme, day__range=OCTOBER):
        project = f"project/{event.project_id}" if event.project_id else None
        key = (event.day, project, event.model or None)
        wanted[key] = wanted.get(key, Decimal(0)) + (event.cost_usd or 0)
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in wanted.items() if v}


def test_amounts_and_prices_are_those_of_the_version(odd_calls: None, acme: Organization) -> None:
    rows = read_parquet(b"".join(focus_parquet(october(acme))))
    usages = [row for row in rows if row["ChargeCategory"] == "Usage"]
    for row in usages:
        assert row["ListUnitPrice"] * row["PricingQuantity"] == row["ListCost"] == row["ContractedCost"]
        assert abs(row["BilledCost"] - row["ListCost"]) < Decimal("2e-8")
    of_day = {row["SkuPriceId"]: row for row in usages if row["x_LocalDate"] == date(2026, 10, 3)}
    kinds = {re.sub(r"price-\d+/", "", name): row for name, row in of_day.items() if row["x_Model"] == "fine/a"}
    assert set(kinds) == {
        *(f"{unit}/{tier}" for unit in ("input", "cached", "output") for tier in ("on-demand", "batch")),
        "tool/browser_search/on-demand",
    }
    assert kinds["input/on-demand"]["ListUnitPrice"] == Decimal("0.000123")
    assert kinds["input/batch"]["ListUnitPrice"] == kinds["cached/batch"]["ListUnitPrice"] == Decimal("0.0000615")
    assert kinds["cached/on-demand"]["ConsumedQuantity"] == 7 * 37
    assert kinds["tool/browser_search/on-demand"]["PricingQuantity"] == Decimal("0.003")
    heard = next(row for row in usages if row["SkuMeter"] == "Audio")
    assert heard["ConsumedQuantity"] == Decimal("64.218")
    assert heard["PricingQuantity"] == Decimal("0.019722500")  # 10 s, which is the least, and 61.001 s
    compound = {row["SkuId"] for row in usages if row["x_Model"] == "groq/compound"}
    assert compound == {f"groq/{m}/{u}" for m, u in [("fine/a", "input"), ("fine/a", "output"), ("priced/a", "input"),
                                                     ("priced/a", "cached"), ("priced/a", "output")]}  # fmt: skip


def test_what_has_no_price_is_told_and_counted(odd_calls: None, acme: Organization) -> None:
    rows = read_parquet(b"".join(focus_parquet(october(acme))))
    untold = [row for row in rows if row["x_UnpricedRequestCount"]]
    assert {row["ChargeCategory"] for row in untold} == {"Adjustment"}
    descriptions = {row["ChargeDescription"] for row in untold}
    assert (
        "NOT PRICED. 1 requests of nobody/knows have no price and are in no cost: 5 input tokens, 6 output tokens"
        in (descriptions)
    )
    assert any("visit_website" in text for text in descriptions)


def test_a_cost_that_no_price_explains_is_a_row_of_its_own(acme: Organization) -> None:
    make_price("plain/a")
    record([call("plain/a", at=datetime(2026, 10, 5, tzinfo=UTC), organization="acme")])
    UsageEvent.objects.update(cost_usd=Decimal(7))
    rows = read_parquet(b"".join(focus_parquet(october(acme))))
    assert total(rows, "BilledCost") == 7
    assert [row["ChargeCategory"] for row in rows] == ["Usage", "Usage", "Adjustment"]


def test_periods_are_the_local_ones_in_utc(prices: None, acme: Organization) -> None:
    """In Los Angeles, whose clocks change on November 1, the day of October 31 ends at 7 and November begins then."""
    record([call("priced/a", at=datetime(2026, 11, 1, 6, tzinfo=UTC), organization="acme")])
    row = read_csv(b"".join(focus_csv(october(acme))))[0]
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-10-01T07:00:00Z", "2026-11-01T07:00:00Z")
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-10-31T07:00:00Z", "2026-11-01T07:00:00Z")
    assert row["x_LocalDate"] == "2026-10-31"
    november = CostOfMonth(october(acme).viewer, acme, date(2026, 11, 1), date(2026, 11, 30))
    assert november.midnight(date(2026, 12, 1)) == datetime(2026, 12, 1, 8, tzinfo=UTC)


def test_a_month_with_deleted_requests_is_refused(ledger: list[UsageEvent], acme: Organization, admin: User) -> None:
    Organization.objects.filter(pk=acme.pk).update(retained_from=date(2026, 10, 2))
    with pytest.raises(DeletedError):
        next(focus_csv(october(acme)))
    assert "were deleted" in person(admin).ask("focus", 400, month="2026-10")["detail"]
    response = signed_in(admin).get("/focus.csv?month=2026-10")
    assert (response.status_code, response.content.decode()) == (400, focus.DELETED)


def test_a_large_file_comes_in_pieces(
    ledger: list[UsageEvent], acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(focus, "ROWS_AT_ONCE", 10)
    whole = read_csv(b"".join(focus_csv(october(acme))))
    pieces = list(focus_parquet(october(acme)))
    assert len(pieces) > 3
    assert len(read_parquet(b"".join(pieces))) == len(whole) > 30


def test_an_empty_month_is_a_file_without_rows(acme: Organization) -> None:
    assert read_csv(b"".join(focus_csv(october(acme)))) == []
    assert parquet.read_table(io.BytesIO(b"".join(focus_parquet(october(acme))))).schema == SCHEMA


def test_who_gets_it(
    admin: User, user: User, super_admin: User, ledger: list[UsageEvent], acme: Organization,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    october_of = {"month": "2026-10"}
    person(user).ask("focus", 403, **october_of)
    assert "several" in person(super_admin).ask("focus", 400, **october_of)["detail"]
    person(admin).ask("focus", 404, organization="globex", **october_of)
    assert "has not begun" in person(admin).ask("focus", 400, month="2999-01")["detail"]
    assert "year-month" in person(admin).ask("focus", 400, month="x")["detail"]
    for asker in (person(admin), key(acme)):
        response = asker.response("focus", format="parquet", **october_of)
        assert 'filename="focus_acme_2026-10.parquet"' in response["Content-Disposition"]
        assert total(read_parquet(b"".join(response.streaming_content)), "BilledCost") > 0
    page = signed_in(admin).get("/report/?month=2026-10").content.decode()
    link = re.search(r'id="focus-csv" href="([^"]*)"', page)
    assert link is not None
    response = signed_in(admin).get(link[1].replace("&amp;", "&"))
    assert total(read_csv(b"".join(response)), "BilledCost") > 0
    assert "focus-csv" not in signed_in(user).get("/report/?month=2026-10").content.decode()
    monkeypatch.setattr(download, "PLACES", Places(0, 0))
    assert person(admin).response("focus", **october_of).status_code == 503


@pytest.mark.skipif(
    not VALIDATOR.exists() and not os.environ.get("FORBID_SKIP"), reason="make environments installs FOCUS' validator"
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_validator_finds_nothing_wrong(
    ledger: list[UsageEvent], odd_calls: None, acme: Organization, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"focus.{kind}"
    file.write_bytes(b"".join((focus_csv if kind == "csv" else focus_parquet)(october(acme))))
    report = validated(file)
    assert failed_rules(report) == WRONG_RULES
    passed = re.search(r"Pass: (\d+) \| Fail: 1 ", report)
    assert passed is not None
    assert int(passed[1]) > 250


def validated(file: Path) -> str:
    options = ("--validate-version", "1.2.0.1", "--block-download", "--applicability-criteria", ",".join(CRITERIA))
    command = [VALIDATOR, "--data-file", file, "--focus-dataset", "CostAndUsage", *options]
    rules = next(ENVIRONMENT.glob("lib/*/site-packages/focus_validator"))  # It looks for them from the directory above.
    done = subprocess.run(command, cwd=rules.parent, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr


def failed_rules(report: str) -> set[str]:
    return set(re.findall(r"(\S+): FAIL ", report))


def test_the_columns_that_version_1_3_added_are_there(ledger: list[UsageEvent], acme: Organization) -> None:
    rows = read_parquet(b"".join(focus_parquet(october(acme))))
    assert all(row[name] == "Groq" for row in rows for name in ADDED_IN_1_3)
    names = [name for name in SCHEMA.names if not name.startswith("x_")]
    assert SCHEMA.names[: len(names)] == sorted(names)
    for row in rows:  # 1.3: without a price of a SKU there is neither an amount nor a unit of one.
        is_priced = row["SkuPriceId"] is not None
        for name in ("PricingQuantity", "PricingUnit", "ConsumedQuantity", "ConsumedUnit", "PricingCategory"):
            assert (row[name] is not None) == is_priced
        assert row["SkuPriceDetails"] is None or set(json.loads(row["SkuPriceDetails"])) == {
            "x_ServiceTier",
            "x_PriceVersion",
        }
