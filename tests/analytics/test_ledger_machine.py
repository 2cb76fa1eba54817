"""Whatever is done to a ledger, in whatever order, its sums are those of a ledger in plain Python, to the nano-dollar.

``LedgerMachine`` records, records again, records late, changes prices, prices what has none, lets old events go and
moves the organization to other time zones. After each step every cube, every session, the report's totals and the
export say what ``OracleLedger`` says, and reconciling finds nothing.
"""

import csv
import io
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.models import Organization, Project, Role, User
from accounts.viewer import Viewer
from analytics.cubes import CUBES, DIMENSIONS
from analytics.export import export_csv
from analytics.late_pricing import Offer, price_events
from analytics.models import Rollup, Session
from analytics.reconciliation import reconcile
from analytics.recording import record
from analytics.reports import Log, Report
from analytics.retention import delete_expired
from analytics.selection import Selection
from analytics.time_zone import change_days
from groq_client.call import Call, Usage
from pricing.models import Price
from tests.analytics.calls import call, failed
from tests.analytics.ledger_oracle import OracleLedger, Version, dollars, sums

EXAMPLES, STEPS = 30, 15
START = datetime(2026, 10, 30, tzinfo=UTC)
HOURS = 5 * 24
"""Calls of so many hours, in which Los Angeles and St. John's put their clocks back."""
EVERYTHING = Selection(date(2026, 10, 20), date(2026, 11, 15))
MODELS = ("a", "b", "c")
ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Pacific/Chatham", "America/Los_Angeles")

rates = st.one_of(st.none(), st.decimals(0, 2, places=9))
moments = st.integers(0, HOURS * 3_600 * 1_000).map(lambda ms: START + timedelta(milliseconds=ms))
drawn_calls = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "at": moments,
        "project": st.sampled_from(("", "p")),
        "user": st.sampled_from(("", "ann", "ben")),
        "session_id": st.sampled_from(("", "one", "two")),
        "expert_id": st.sampled_from(("", "e")),
        "template_id": st.sampled_from(("", "t")),
        "feature": st.sampled_from(("", "rag")),
        "operation": st.sampled_from(("chat", "chat", "batch", "transcription")),
        "latency_ms": st.integers(0, 700_000),
        "ttft_ms": st.one_of(st.none(), st.integers(0, 5_000)),
        "tokens": st.tuples(st.integers(0, 10**7), st.integers(0, 10**5), st.integers(0, 100)),
        "seconds": st.one_of(st.just(Decimal(0)), st.decimals(0, 9_000, places=3)),
        "is_refused": st.sampled_from((False, False, False, True)),
    }
)
batches = st.lists(drawn_calls, min_size=1, max_size=6)


def made(drawn: dict[str, Any], organization: str) -> Call:
    values = dict(drawn)
    into, out, percent = values.pop("tokens")
    seconds, is_refused = values.pop("seconds"), values.pop("is_refused")
    if values["operation"] != "transcription":
        seconds = Decimal(0)
    usage = Usage(into, out, into + out, cached_tokens=into * percent // 100, audio_seconds=seconds)
    one = call(organization=organization, usage=usage, **values)
    if not is_refused:
        return one
    refusal = failed(organization=organization, request_id=one.request_id, **values)
    return replace(refusal, model=values["model"])


class LedgerMachine(RuleBasedStateMachine):
    """Each run has an organization, and prices, of its own."""

    @initialize(zone=st.sampled_from(ZONES))
    def begin(self, zone: str) -> None:
        slug = f"org-{uuid.uuid4()}"
        self.organization = Organization.objects.create(slug=slug, name=slug, time_zone=zone)
        self.oracle = OracleLedger(zone)
        self.calls: list[Call] = []

    @rule(batch=batches)
    def record_calls(self, batch: list[dict[str, Any]]) -> None:
        """In any order, so that most come late."""
        self._record([made(drawn, self.organization.slug) for drawn in batch])

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), drawn=drawn_calls, batch=batches)
    def record_again(self, data: st.DataObject, drawn: dict[str, Any], batch: list[dict[str, Any]]) -> None:
        """A request id that is there already, with another payload, alone and among new ones. What is no longer there
        in detail cannot be known again."""
        known = [one for one in self.calls if self.oracle.entries[one.request_id].in_detail]
        if not known:
            return
        again = data.draw(st.sampled_from(known)).request_id
        other = replace(made(drawn, self.organization.slug), request_id=again)
        assert record([other]).duplicates == 1
        self._record([made(one, self.organization.slug) for one in batch] + [other])

    def _record(self, calls: list[Call]) -> None:
        record(calls)
        known = {one.request_id for one in self.calls}
        self.calls += [one for one in calls if one.request_id not in known]
        self.oracle.add(calls)

    @rule(model=st.sampled_from(MODELS), at=moments, charged=st.tuples(rates, rates, rates, rates), on=st.booleans())
    def change_price(self, model: str, at: datetime, charged: tuple[Decimal | None, ...], on: bool) -> None:
        self._add_version(model, at, charged, enabled=on)

    def _add_version(
        self, model: str, at: datetime, charged: tuple[Decimal | None, ...], *, enabled: bool = True
    ) -> tuple[Price, Version]:
        into, out, cached, audio = charged
        price = Price.objects.create(
            model=model,
            organization=self.organization,
            input_usd_per_1k_tokens=into,
            output_usd_per_1k_tokens=out,
            cached_input_usd_per_1k_tokens=cached,
            audio_usd_per_hour=audio,
            enabled=enabled,
            effective_from=at,
        )
        version = Version(price.pk, model, at, (into, out, cached, audio), enabled)
        self.oracle.versions.append(version)
        return price, version

    @precondition(lambda self: any(entry.cost is None for entry in self.oracle.in_detail()))
    @rule(model=st.sampled_from(MODELS), at=moments, charged=st.tuples(*[st.decimals(0, 2, places=9)] * 4))
    def price_unpriced(self, model: str, at: datetime, charged: tuple[Decimal, ...]) -> None:
        price, version = self._add_version(model, at, charged)
        done = price_events(Offer(price), self.organization, by=None)
        assert done.events == self.oracle.price(version)

    @precondition(lambda self: self.calls)
    @rule(days=st.integers(0, 4))
    def let_go(self, days: int) -> None:
        """Retention moves on, never back."""
        before = START.date() + timedelta(days=days)
        if before > self.oracle.detail_from and any(entry.day < before for entry in self.oracle.in_detail()):
            delete_expired(self.organization.pk, before)
            self.oracle.expire(before)

    @precondition(lambda self: self.calls)
    @rule(zone=st.sampled_from(ZONES), meanwhile=st.lists(drawn_calls, max_size=3))
    def change_zone(self, zone: str, meanwhile: list[dict[str, Any]]) -> None:
        """Some calls are recorded in the new zone before the old ones have been moved."""
        Organization.objects.filter(pk=self.organization.pk).update(time_zone=zone)
        self.oracle.zone = zone
        if meanwhile:
            self._record([made(drawn, self.organization.slug) for drawn in meanwhile])
        change_days(self.organization.pk)
        self.oracle.move()
        assert change_days(self.organization.pk) == 0

    @invariant()
    def everything_agrees(self) -> None:
        if not self.calls:
            return
        ids = self._ids()
        assert self._rollups() == self.oracle.rollups(ids)
        assert self._sessions() == self.oracle.sessions(ids)
        self._check_page_and_export()
        found = reconcile([Organization.objects.get(pk=self.organization.pk)])
        assert found.drifts == []

    def _ids(self) -> dict[tuple[str, str], int]:
        projects = Project.objects.filter(organization=self.organization).values_list("slug", "pk")
        people = User.objects.filter(organization=self.organization).values_list("handle", "pk")
        return {("project", slug): pk for slug, pk in projects} | {("user", handle): pk for handle, pk in people}

    def _rollups(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        rows = Rollup.objects.filter(organization=self.organization).values()
        key = ("cube", "day", "provider", "status", *DIMENSIONS)
        return {tuple(row.pop(name) for name in key): _without(row, "organization_id") for row in rows}

    def _sessions(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        names = (
            "requests", "errors", "unpriced", "input_tokens", "output_tokens", "cached_tokens", "total_tokens",
            "cost_usd", "first_at", "last_at",
        )  # fmt: skip
        rows = Session.objects.filter(organization=self.organization).values("user_id", "session_id", *names)
        return {(row.pop("user_id"), row.pop("session_id")): row for row in rows}

    def _check_page_and_export(self) -> None:
        ours = frozenset({self.organization.pk})
        viewer = Viewer(Role.SUPER_ADMIN, ours, None, sees_cost=True, may_export=True, may_edit_pricing=True)
        report, expected = Report(viewer, EVERYTHING), sums(self.oracle.entries.values())
        totals = report.totals()
        assert {name: getattr(totals, name) for name in expected} == expected
        points = report.series("day")
        assert sum(point.totals.requests for point in points) == expected["requests"]
        assert sum(point.totals.cost_usd or 0 for point in points) == expected["cost_usd"]
        file = b"".join(export_csv(Log(viewer, EVERYTHING))).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(file, newline="")))
        kept = self.oracle.in_detail()
        assert {row["request_id"]: row["cost_usd"] for row in rows} == {
            entry.call.request_id: "" if entry.cost is None else f"{dollars(entry.cost):.9f}" for entry in kept
        }
        assert {(row["request_id"], row["day"], row["hour"]) for row in rows} == {
            (entry.call.request_id, str(entry.day), str(entry.hour)) for entry in kept
        }


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.django_db(transaction=True)
def test_whatever_is_done_to_a_ledger_all_its_figures_agree() -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Rollup.objects.filter(cube=CUBES[0].number).exists()
