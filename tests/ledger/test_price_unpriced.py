"""``manage.py price_unpriced`` prices requests that were recorded without a price, and all sums change with them."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditRecord, Organization, User
from groq_client.call import Usage, UsagePart
from ledger.models import Rollup, Session, UsageEvent
from ledger.recording.record import record
from ledger.rollups.cubes import CUBES
from ledger.upkeep import price_backfill
from ledger.upkeep.price_backfill import BackfillRequest, price_events
from ledger.upkeep.reconciliation import reconcile
from pricing.models import Price
from tests.ledger.calls import NOON, call, usage
from tests.ledger.exact import wrong_sums
from tests.ledger.folding import fold_now
from tests.ledger.recording_meanwhile import recording_meanwhile
from tests.pricing.prices import make_price

pytestmark = pytest.mark.django_db(transaction=True)

COST = Decimal("0.14")
"""Of one call at $1 and $2: 100 tokens in, 20 out."""


@pytest.fixture
def calls(acme: Organization, globex: Organization) -> None:
    record(
        call("unpriced", organization=slug, at=NOON + timedelta(days=n), session_id="s", user="ann")
        for n in range(3)
        for slug in (acme.slug, globex.slug)
    )


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("price_unpriced", *arguments, "--yes", stdout=out, **options)
    return out.getvalue()


def costs() -> list[Decimal | None]:
    return list(UsageEvent.objects.order_by("pk").values_list("cost_usd", flat=True))


def test_events_sessions_and_every_cube_follow(calls: None) -> None:
    price = make_price("unpriced")
    out = run("--price", str(price.pk))
    assert f"acme: 3 requests priced at version {price.pk} (" in out
    assert "$0.42" in out
    assert set(UsageEvent.objects.values_list("cost_usd", "price")) == {(COST, price.pk)}
    assert set(Rollup.objects.exclude(organization=0).values_list("cost_usd", "unpriced")) == {(COST, 0)}
    assert wrong_sums() == []
    assert set(Session.objects.values_list("cost_usd", "unpriced")) == {(3 * COST, 0)}
    assert reconcile().drifted == 0


def test_each_organization_has_its_audit_record(calls: None, acme: Organization, super_admin: User) -> None:
    price = make_price("unpriced")
    run("--price", str(price.pk), "--by", "root")
    entry = AuditRecord.objects.get(organization=acme)
    assert (entry.action, entry.actor, entry.subject) == (
        "ledger.price",
        super_admin,
        f"unpriced at version {price.pk}",
    )
    assert entry.changes == {"unpriced requests": ["3", "0"], "cost": ["$0.00", "$0.42"]}
    assert AuditRecord.objects.count() == 2


def test_it_shows_first_and_asks(calls: None, monkeypatch: pytest.MonkeyPatch) -> None:
    price, out = make_price("unpriced"), StringIO()
    monkeypatch.setattr("builtins.input", lambda _: "n")
    call_command("price_unpriced", price=price.pk, stdout=out)
    call_command("price_unpriced", price=price.pk, dry_run=True, stdout=out)
    assert out.getvalue().count("globex: 3 requests would be priced") == 2
    assert "Nothing was changed." in out.getvalue()
    assert costs() == [None] * 6
    monkeypatch.setattr("builtins.input", lambda _: "y")
    call_command("price_unpriced", price=price.pk, stdout=out)
    assert costs() == [COST] * 6


def test_again_it_finds_nothing_and_another_version_changes_nothing(calls: None) -> None:
    run("--price", str(make_price("unpriced").pk))
    dearer = make_price("unpriced", input_usd_per_1k_tokens=Decimal(9))
    assert "Nothing to price." in run("--price", str(dearer.pk))
    assert costs() == [COST] * 6
    assert AuditRecord.objects.count() == 2


def test_what_was_broken_off_goes_on(calls: None, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    price = make_price("unpriced")
    monkeypatch.setattr(price_backfill, "BATCH", 1)
    write: Callable[..., list[int]] = price_backfill.write_costs
    turns = iter((write, write))
    monkeypatch.setattr(price_backfill, "write_costs", lambda *given: next(turns)(*given))
    with pytest.raises(StopIteration):
        price_events(BackfillRequest(price), acme, by=None)
    assert sorted(costs(), key=str).count(COST) == 2
    assert reconcile().drifted == 0
    monkeypatch.setattr(price_backfill, "write_costs", write)
    assert price_events(BackfillRequest(price), acme, by=None).events == 1
    assert AuditRecord.objects.filter(organization=acme).count() == 3


def test_a_range_and_an_organization_bound_it(calls: None, acme: Organization) -> None:
    price = make_price("unpriced")
    out = run("--price", str(price.pk), "--organization", "acme", "--from", "2026-11-03", "--to", "2026-11-03")
    assert "acme: 1 requests priced" in out
    priced = UsageEvent.objects.exclude(cost_usd=None).get()
    assert (priced.organization, priced.day) == (acme, date(2026, 11, 3))


def test_a_model_is_priced_at_each_organizations_own_version(calls: None, globex: Organization) -> None:
    everybodys = make_price("unpriced", at=NOON)
    own = make_price("unpriced", at=NOON, organization=globex, input_usd_per_1k_tokens=Decimal(0))
    make_price("unpriced", at=NOON + timedelta(days=1), input_usd_per_1k_tokens=Decimal(5))
    run("--model", "unpriced", "--at-version", "2026-11-02T13:00")
    found = set(UsageEvent.objects.values_list("organization__slug", "price", "cost_usd"))
    assert found == {("acme", everybodys.pk, COST), ("globex", own.pk, Decimal("0.04"))}


def test_an_organizations_own_price_is_for_no_other(calls: None, acme: Organization) -> None:
    run("--price", str(make_price("unpriced", organization=acme).pk))
    assert set(UsageEvent.objects.exclude(cost_usd=None).values_list("organization__slug", flat=True)) == {"acme"}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--price", "0"], "There is no price version 0."),
        (["--model", "nobody/priced-it"], "nobody/priced-it has no price."),
        (["--model", "off"], "off has no price."),
        (["--model", "off", "--organization", "nowhere"], "There is no organization 'nowhere'."),
        (["--model", "off", "--by", "nobody"], "There is nobody with the username 'nobody'."),
        (["--price", "1", "--at-version", "2026-11-02"], "--at-version goes with --model."),
    ],
)
def test_what_cannot_be_meant_is_refused(calls: None, arguments: list[str], problem: str) -> None:
    make_price("off", enabled=False)
    with pytest.raises(CommandError, match=problem):
        run(*arguments)


def test_a_disabled_version_charges_nothing(calls: None) -> None:
    with pytest.raises(CommandError, match="charges nothing"):
        run("--price", str(make_price("unpriced", enabled=False).pk))


def test_audio_of_unknown_length_stays_unpriced(acme: Organization) -> None:
    known = Usage(audio_seconds=Decimal(3_600))
    record(
        call("whisper", operation="transcription", organization="acme", usage=used)
        for used in (Usage(estimated=True), known)
    )
    price = make_price("whisper", audio_usd_per_hour=Decimal("0.111"))
    assert "1 requests priced" in (out := run("--price", str(price.pk)))
    assert "1 stay unpriced" in out
    assert set(costs()) == {None, Decimal("0.111")}
    assert "Nothing to price." in run("--price", str(price.pk))


def test_batches_cost_half(acme: Organization) -> None:
    record([call("unpriced", organization="acme", operation="batch")])
    run("--price", str(make_price("unpriced").pk))
    assert costs() == [COST / 2]


def test_a_compound_call_is_priced_when_its_last_part_is(acme: Organization) -> None:
    """Parts that have a price keep it, even if the price has changed since."""
    first = make_price("a", at=NOON - timedelta(days=1))
    parts = tuple(UsagePart(model, usage()) for model in ("a", "b", "c"))
    record([call("groq/compound", organization="acme", usage=usage(parts=parts))])
    make_price("a", at=NOON - timedelta(hours=1), input_usd_per_1k_tokens=Decimal(7))
    b, c = make_price("b"), make_price("c", output_usd_per_1k_tokens=Decimal("0.000000025"))
    assert "1 in part" in run("--price", str(b.pk))
    assert costs() == [None]
    assert reconcile().drifted == 0
    run("--price", str(c.pk))
    event = UsageEvent.objects.get()
    assert event.usage_breakdown is not None
    assert [share["price_id"] for share in event.usage_breakdown] == [first.pk, b.pk, c.pk]
    assert event.cost_usd == 2 * COST + Decimal("0.1") + Decimal("0.000000000")  # half a nano-dollar is rounded to even
    assert set(Rollup.objects.values_list("cost_usd", "unpriced")) == {(event.cost_usd, 0)}
    assert reconcile().drifted == 0


def test_days_whose_other_events_are_gone_stay_right(calls: None, acme: Organization) -> None:
    """A session began before the first retained day. Its remaining events are priced, and the deleted ones still count
    as unpriced."""
    Organization.objects.update(retained_from=date(2026, 11, 3))
    UsageEvent.objects.filter(day__lt=date(2026, 11, 3))._raw_delete("default")
    run("--price", str(make_price("unpriced").pk))
    assert set(Session.objects.values_list("requests", "cost_usd", "unpriced")) == {(3, 2 * COST, 1)}
    unpriced = Rollup.objects.filter(organization=acme, cube=1).order_by("day").values_list("unpriced", flat=True)
    assert list(unpriced) == [1, 0, 0]


def test_sums_are_exact_while_others_record(acme: Organization, globex: Organization, calls: None) -> None:
    with recording_meanwhile([acme, globex]) as written:
        for rate in range(4):
            price = Price.objects.create(
                model="unpriced",
                input_usd_per_1k_tokens=Decimal(rate),
                output_usd_per_1k_tokens=Decimal("0.000077777"),
                effective_from=NOON + timedelta(days=30),  # a future price, so that calls stay unpriced
            )
            for organization in (acme, globex):
                price_events(BackfillRequest(price), organization, by=None)
    assert reconcile().drifted == 0
    assert UsageEvent.objects.count() == 6 + len(written)
    total = sum((cost or Decimal(0) for cost in costs()), Decimal(0))
    assert total > 0
    assert wrong_sums() == []
    fold_now()
    for cube in CUBES:
        assert sum(row.cost_usd for row in Rollup.objects.filter(cube=cube.number)) == total
