"""What changed prices would have meant for the last 30 days: exact, and honest about what it cannot tell."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from accounts.viewer import Viewer
from analytics.display import figures
from analytics.pages.models import price_preview
from analytics.pages.models.price_preview import Preview, preview
from ledger.models import UsageEvent
from ledger.recording.record import record
from pricing.changes import Change
from pricing.cost import cost
from pricing.models import Price
from tests.cast import signed_in
from tests.ledger.calls import call, usage
from tests.ledger.folding import fold_now
from tests.pricing.pages import Editor
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime.now(UTC) - timedelta(days=2)
INPUT, OUTPUT, CACHED = "input_usd_per_1k_tokens", "output_usd_per_1k_tokens", "cached_input_usd_per_1k_tokens"
A, B, HEARS, NEW = "one/a", "two/b", "hears/c", "never/priced"


@pytest.fixture
def calls(acme: Organization, globex: Organization) -> None:
    """Requests of two organizations, of which Globex has a price of its own for one model; some in the tail."""
    for model in (A, B):
        make_price(model, **{INPUT: Decimal("0.002"), OUTPUT: Decimal("0.008"), CACHED: Decimal("0.001")})
    make_price(A, organization=globex, **{INPUT: Decimal("0.001")})
    make_price(HEARS, **{INPUT: None, OUTPUT: None}, audio_usd_per_hour=Decimal(1))
    seconds = usage(0, 0, audio_seconds=Decimal(3))
    record(
        [
            *(call(A, organization="acme", at=AT, usage=usage(997 * n, 31 * n, cached_tokens=n)) for n in range(1, 9)),
            call(A, organization="acme", at=AT - timedelta(days=40), usage=usage(1_000_000, 1)),
            call(A, organization="globex", at=AT, usage=usage(7_000_000, 7)),
            call(B, organization="globex", at=AT, usage=usage(123_457, 6_789)),
            call(NEW, organization="acme", at=AT, usage=usage(1_003, 17, estimated=True)),
        ]
    )
    fold_now()
    record([call(B, organization="acme", at=AT, usage=usage(11, 13))])
    record([call(HEARS, organization="acme", at=AT, operation="transcription", usage=seconds)])


def change(model: str, organization: Organization | None = None, **rates: Any) -> Change:
    before = Price.objects.in_force("groq", model, organization)
    after = before.successor(organization) if before else Price(model=model, organization=organization)
    for name, value in rates.items():
        setattr(after, name, value)
    return Change(before, after)


def made(super_admin: User, *changes: Change, organization: Organization | None = None) -> Preview:
    found = preview(Viewer.of(super_admin), organization, changes)
    assert found is not None
    return found


def one_by_one(events: Iterable[UsageEvent], price: Price | None) -> Decimal:
    """The plain sum of what each event costs, each rounded by itself."""
    return sum((cost(event, price) or Decimal(0) for event in events), Decimal(0))


def recent(model: str, **of: Any) -> list[UsageEvent]:
    return list(UsageEvent.objects.filter(model=model, timestamp__gte=AT - timedelta(days=1), **of))


def test_it_is_the_plain_sum_over_the_requests(calls: None, super_admin: User) -> None:
    """These prices are whole nano-dollars for each token, so that no request has a rounding."""
    changes = [change(A, **{INPUT: Decimal("0.003")}), change(B, **{OUTPUT: Decimal("0.004")})]
    found = made(super_admin, *changes)
    events = {A: recent(A, organization__slug="acme"), B: recent(B)}  # Globex has a price of its own for A.
    for row, changed in zip(sorted(found.rows, key=lambda row: row.label), changes, strict=True):
        assert row.before.cost == one_by_one(events[row.label], changed.before)
        assert row.after.cost == one_by_one(events[row.label], changed.after)
        assert row.totals.requests == len(events[row.label])
    assert {row.label: row.own_prices for row in found.rows} == {A: 1, B: 0}
    assert found.total.actual == sum(row.before.cost or 0 for row in found.rows)
    assert found.total.difference == sum((row.money.difference for row in found.rows if row.money), Decimal(0))


def test_an_organizations_own_price_is_for_its_requests(calls: None, super_admin: User, globex: Organization) -> None:
    changed = change(A, globex, **{INPUT: Decimal("0.0005")})
    (row,) = made(super_admin, changed, organization=globex).rows
    events = recent(A, organization=globex)
    assert (row.before.cost, row.after.cost) == tuple(
        one_by_one(events, price) for price in (changed.before, changed.after)
    )


def test_roundings_are_told(calls: None, super_admin: User) -> None:
    changed = change(A, **{INPUT: Decimal("0.000000333")})
    found = made(super_admin, changed)
    (row,), events = found.rows, recent(A, organization__slug="acme")
    assert row.after.cost is not None
    assert abs(row.after.cost - one_by_one(events, changed.after)) <= found.rounding == Decimal("4e-9")


def test_what_it_cannot_tell_is_said(calls: None, super_admin: User) -> None:
    """A model without a price today, one that loses it, audio below its minimum, one that nobody uses."""
    make_price("un/used")
    found = made(
        super_admin,
        change(NEW, **{INPUT: Decimal("0.001"), OUTPUT: Decimal("0.001")}),
        change(B, enabled=False),
        change(HEARS, audio_usd_per_hour=Decimal(2)),
        change("un/used", **{INPUT: Decimal(3)}),
    )
    rows = {row.label: row for row in found.rows}
    assert (rows[NEW].before.why, rows[NEW].after.cost) == ("no price", Decimal("0.00102"))
    assert rows[B].after.why == "no price"
    assert rows[NEW].money is rows[B].money is None
    assert rows[HEARS].is_least
    assert found.total.actual == rows[HEARS].before.cost
    assert (found.unused, found.estimated) == (("un/used",), 1)


def test_it_reads_the_sums_and_never_the_requests(calls: None, super_admin: User) -> None:
    viewer, changes = Viewer.of(super_admin), [change(A, enabled=True), change(B, enabled=True)]
    with CaptureQueriesContext(connection) as queries:
        preview(viewer, None, changes)
    said = [query["sql"] for query in queries]
    assert not [sql for sql in said if 'FROM "ledger_usageevent"' in sql]
    assert sum("ledger_current_rollup" in sql for sql in said) == 2, "all organizations, and those with an own price"


def test_a_database_that_cannot_tell_stops_nobody_from_saving(
    calls: None, super_admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    def fails(*_: object) -> None:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(price_preview, "today", fails)
    price = Price.objects.get(model=B)
    editor = Editor(signed_in(super_admin)).type(price, **{INPUT: "1"})
    assert "The last 30 days could not be read now" in editor.review()
    assert "Saved 1 new price" in editor.save()


# On the page


def test_the_summary_and_the_preview_show_it(calls: None, super_admin: User) -> None:
    price = Price.objects.get(model=B)
    editor = Editor(signed_in(super_admin)).type(price, **{OUTPUT: "0.004"})
    page = editor.post("preview")
    assert "What this would have meant" in page
    assert "Save Pricing" in page, "the table is still there"
    assert 'value="0.004"' in page
    events = recent(B)
    assert figures.exact_money(one_by_one(events, price)) in page
    assert "What this would have meant" in editor.review()
    assert not Price.objects.filter(model=B).exclude(pk=price.pk).exists()


def test_htmx_gets_only_the_preview_with_what_is_wrong(calls: None, super_admin: User) -> None:
    good, bad = (Price.objects.get(model=model) for model in (B, HEARS))
    data = {"step": "preview", "seen": "0", "unit": "1m", f"v{good.pk}-{INPUT}": "4", f"v{good.pk}-{OUTPUT}": "8"}
    data |= {
        f"v{good.pk}-{CACHED}": "1",
        f"v{good.pk}-enabled": "on",
        f"v{bad.pk}-{INPUT}": "",
        f"v{bad.pk}-audio_usd_per_hour": "1,5",
    }
    headers = {"HX-Request": "true", "HX-Request-Type": "partial"}
    page = signed_in(super_admin).post("/pricing/edit/", data, headers=headers).content.decode()
    assert page.startswith('<section class="card preview" id="preview"')
    assert "<details open" not in page
    assert f"{HEARS}, Audio $ / hour: Write it with a decimal point" in page
    assert ">two/b<" in page


@pytest.mark.parametrize("who", ["admin", "user"])
def test_only_those_who_edit_prices(calls: None, request: pytest.FixtureRequest, who: str) -> None:
    person = request.getfixturevalue(who)
    assert signed_in(person).post("/pricing/edit/", {"step": "preview"}).status_code == 403
