"""After any sequence of operations, a ledger's sums equal those of a ledger in plain Python, to the nano-dollar.

``LedgerMachine`` records calls on time, late and again, folds them, breaks off folds, changes prices, prices unpriced
events, deletes expired events, changes time zones, renames people, and merges people and projects. After each step the
stored rows of every cube and session equal those of ``OracleLedger`` for the events that are folded; with the tail they
equal those of all events, as do the report's totals and the export; and reconciliation finds no drift.
"""

import csv
import io
import threading
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import psycopg
import pytest
from django.db import connection
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

from accounts.models import Organization, PersonAlias, Project, ProjectAlias, Role, User
from accounts.viewer import Viewer
from analytics.export.export import export_csv
from analytics.reports import Log, Report
from analytics.reports.selection import Selection
from groq_client.call import Call, ToolUse, Usage
from ledger.models import CurrentRollup, CurrentSession, Session, Tail
from ledger.recording.pool import ledger_connection
from ledger.recording.record import record
from ledger.rollups.cubes import DIMENSIONS, OF_ALL, OF_EACH, Cube
from ledger.rollups.fold import FOLD_SOME, LOCK, fold_some
from ledger.rollups.tail import TAIL_CUBE
from ledger.upkeep.day_moves import change_days
from ledger.upkeep.merges import KINDS, merge, move
from ledger.upkeep.price_backfill import BackfillRequest, price_events
from ledger.upkeep.reconciliation import reconcile
from ledger.upkeep.retention import delete_expired
from pricing.models import Price
from tests.cast import connect, make_user
from tests.ledger.calls import call, failed
from tests.ledger.folding import fold_now
from tests.ledger.ledger_oracle import (
    Key,
    OracleLedger,
    Row,
    Version,
    combined,
    dollars,
    key_of,
    rollups,
    sessions,
    sums,
)

EXAMPLES, STEPS = 25, 15
START = datetime(2026, 10, 30, tzinfo=UTC)
HOURS = 5 * 24
"""Calls of so many hours, in which Los Angeles and St. John's put their clocks back."""
EVERYTHING = Selection(date(2026, 10, 20), date(2026, 11, 15))
MODELS = ("a", "b", "c")
ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Pacific/Chatham", "America/Los_Angeles")

TOOLS = st.sampled_from(("web_search", "browser_open"))
tool_rates = st.dictionaries(TOOLS, st.decimals(0, 2, places=9))
rates = st.one_of(st.none(), st.decimals(0, 2, places=9))
moments = st.integers(0, HOURS * 3_600 * 1_000).map(lambda ms: START + timedelta(milliseconds=ms))
drawn_calls = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "at": moments,
        "project": st.sampled_from(("", "p", "q")),
        "user": st.sampled_from(("", "ann", "ben", "BEN", "cid")),
        "session_id": st.sampled_from(("", "one", "two")),
        "expert_id": st.sampled_from(("", "e")),
        "template_id": st.sampled_from(("", "t")),
        "feature": st.sampled_from(("", "rag")),
        "operation": st.sampled_from(("chat", "chat", "batch", "transcription")),
        "latency_ms": st.integers(0, 700_000),
        "ttft_ms": st.one_of(st.none(), st.integers(0, 5_000)),
        "tokens": st.tuples(st.integers(0, 10**7), st.integers(0, 10**5), st.integers(0, 100)),
        "seconds": st.one_of(st.just(Decimal(0)), st.decimals(0, 9_000, places=3)),
        "tools": st.dictionaries(TOOLS, st.integers(1, 50)),
        "error": st.sampled_from(("", "", "", "", "rate_limit_exceeded", "timeout", "APITimeoutError")),
    }
)
batches = st.lists(drawn_calls, min_size=1, max_size=6)


def made(drawn: dict[str, Any], organization: str) -> Call:
    values = dict(drawn)
    into, out, percent = values.pop("tokens")
    seconds, error = values.pop("seconds"), values.pop("error")
    if values["operation"] != "transcription":
        seconds = Decimal(0)
    tools = tuple(ToolUse(*used) for used in values.pop("tools").items())
    cached = into * percent // 100
    usage = Usage(into, out, into + out, cached_tokens=cached, audio_seconds=seconds, tools=tools)
    one = call(organization=organization, usage=usage, **values)
    if not error:
        return one
    refusal = failed(organization=organization, request_id=one.request_id, **values)
    return replace(refusal, model=values["model"], error_code=error)


class LedgerMachine(RuleBasedStateMachine):
    """The operations on a ledger. Each run has its own organization and prices, and a neighbour: another organization,
    which only records."""

    most_folded: ClassVar[int] = 0
    """The largest number of events that were in the sums at once, in any run."""

    @initialize(zone=st.sampled_from(ZONES), neighbours=st.lists(drawn_calls, max_size=3))
    def begin(self, zone: str, neighbours: list[dict[str, Any]]) -> None:
        _empty()
        slug = f"org-{uuid.uuid4()}"
        neighbour = Organization.objects.create(slug=f"next-to-{slug}", name="Neighbour")
        self.neighbour = OracleLedger(neighbour.time_zone)
        self.neighbour.add(calls := [made(drawn, neighbour.slug) for drawn in neighbours])
        record(calls)
        self.organization = Organization.objects.create(slug=slug, name=slug, time_zone=zone)
        self.root = make_user(f"root-{slug}", Role.SUPER_ADMIN)
        self.oracle = OracleLedger(zone)
        self.calls: list[Call] = []

    @rule(batch=batches)
    def record_calls(self, batch: list[dict[str, Any]]) -> None:
        """Record calls in random order of time, so that most are late."""
        self._record([made(drawn, self.organization.slug) for drawn in batch])

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), drawn=drawn_calls, batch=batches)
    def record_again(self, data: st.DataObject, drawn: dict[str, Any], batch: list[dict[str, Any]]) -> None:
        """Record a request id that exists already with other values, alone and among new calls. Deleted events are left
        out, because the ledger cannot recognize their request ids."""
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

    @rule()
    def fold(self) -> None:
        fold_now()
        assert not Tail.objects.exists()

    @rule(batch=batches, at_once=st.integers(1, 10), ending=st.sampled_from(("commit", "error", "kill")))
    def fold_in_part(self, batch: list[dict[str, Any]], at_once: int, ending: str) -> None:
        """Fold a part of the tail, in a transaction that ends well or is broken off. Meanwhile calls are recorded, and
        somebody else wants to fold."""
        with connect() as folding, connect() as other:
            try:
                with folding.transaction():
                    folding.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
                    folding.execute(FOLD_SOME, {"at_once": at_once})
                    self._record([made(drawn, self.organization.slug) for drawn in batch])
                    with ledger_connection() as somebody:
                        assert fold_some(somebody) is None
                    if ending == "kill":
                        other.execute("SELECT pg_terminate_backend(%s, 10000)", [folding.info.backend_pid])
                    if ending == "error":
                        folding.execute("SELECT 1 / 0")
            except (psycopg.OperationalError, psycopg.errors.DivisionByZero):
                assert ending != "commit"

    @rule(batch=batches)
    def fold_twice_at_once(self, batch: list[dict[str, Any]]) -> None:
        folding = [threading.Thread(target=fold_now) for _ in range(2)]
        for thread in folding:
            thread.start()
        self._record([made(drawn, self.organization.slug) for drawn in batch])
        for thread in folding:
            thread.join()

    @rule(
        model=st.sampled_from(MODELS),
        at=moments,
        charged=st.tuples(rates, rates, rates, rates),
        tools=tool_rates,
        on=st.booleans(),
    )
    def change_price(
        self, model: str, at: datetime, charged: tuple[Decimal | None, ...], tools: dict[str, Decimal], on: bool
    ) -> None:
        self._add_version(model, at, charged, tools, enabled=on)

    def _add_version(
        self,
        model: str,
        at: datetime,
        charged: tuple[Decimal | None, ...],
        tools: dict[str, Decimal],
        *,
        enabled: bool = True,
    ) -> tuple[Price, Version]:
        into, out, cached, audio = charged
        price = Price.objects.create(
            model=model,
            organization=self.organization,
            input_usd_per_1k_tokens=into,
            output_usd_per_1k_tokens=out,
            cached_input_usd_per_1k_tokens=cached,
            audio_usd_per_hour=audio,
            tool_rates=tools,
            enabled=enabled,
            effective_from=at,
        )
        version = Version(price.pk, model, at, (into, out, cached, audio), enabled, tools)
        self.oracle.versions.append(version)
        return price, version

    @precondition(lambda self: any(entry.cost is None or entry.lacks_fees for entry in self.oracle.in_detail()))
    @rule(
        model=st.sampled_from(MODELS),
        at=moments,
        charged=st.tuples(*[st.decimals(0, 2, places=9)] * 4),
        tools=tool_rates,
    )
    def price_unpriced(self, model: str, at: datetime, charged: tuple[Decimal, ...], tools: dict[str, Decimal]) -> None:
        price, version = self._add_version(model, at, charged, tools)
        done = price_events(BackfillRequest(price), self.organization, by=None)
        assert done.events == self.oracle.price(version)

    @precondition(lambda self: self.calls)
    @rule(days=st.integers(0, 4))
    def let_go(self, days: int) -> None:
        """Delete expired events. The first retained day never moves back."""
        before = START.date() + timedelta(days=days)
        if before > self.oracle.retained_from and any(entry.day < before for entry in self.oracle.in_detail()):
            delete_expired(self.organization.pk, before)
            self.oracle.expire(before)

    @precondition(lambda self: self.calls)
    @rule(zone=st.sampled_from(ZONES), meanwhile=st.lists(drawn_calls, max_size=3))
    def change_zone(self, zone: str, meanwhile: list[dict[str, Any]]) -> None:
        """Change the time zone. Some calls are recorded in the new zone before the old ones are moved."""
        Organization.objects.filter(pk=self.organization.pk).update(time_zone=zone)
        self.oracle.zone = zone
        if meanwhile:
            self._record([made(drawn, self.organization.slug) for drawn in meanwhile])
        change_days(self.organization.pk)
        self.oracle.move()
        assert change_days(self.organization.pk) == 0

    @precondition(lambda self: self.calls)
    @rule(kind=st.sampled_from(sorted(KINDS)), data=st.data())
    def merge(self, kind: str, data: st.DataObject) -> None:
        """Merge two people or projects. Later calls go on to use both names."""
        found = KINDS[kind].model._default_manager.filter(organization=self.organization, merged_into=None)
        if len(found) < 2:
            return
        away, kept = data.draw(st.permutations(sorted(found, key=lambda one: one.pk)))[:2]
        assert merge(away, kept, by=self.root)
        assert move(KINDS[kind], away.pk) == 0

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), handle=st.sampled_from(("dan", "eve")))
    def rename(self, data: st.DataObject, handle: str) -> None:
        """Rename a person. Later calls go on to use the former name."""
        people = User.objects.filter(organization=self.organization, merged_into=None).order_by("pk")
        if people and ("user", handle) not in self._ids():
            person = data.draw(st.sampled_from(list(people)))
            person.handle = handle
            person.save()

    @invariant()
    def everything_agrees(self) -> None:
        if not self.calls:
            return
        self._check_sums()
        self._check_page_and_export()
        with connect() as other, other.transaction():
            other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])  # so that nothing is folded
            found = reconcile([Organization.objects.get(pk=self.organization.pk)])
        assert found.drifts == []

    def _check_sums(self) -> None:
        """The stored sums are those of the events that are folded, and together with the tail those of all events."""
        ids, tail = self._ids(), set(Tail.objects.values_list("request_id", flat=True))
        ours, theirs = list(self.oracle.entries.values()), list(self.neighbour.entries.values())
        folded, others_folded = ([one for one in some if one.call.request_id not in tail] for some in (ours, theirs))
        LedgerMachine.most_folded = max(LedgerMachine.most_folded, len(folded) + len(others_folded))
        rows = list(CurrentRollup.objects.values())
        of_ours = [row for row in rows if row["organization_id"] == self.organization.pk]
        of_all = [row for row in rows if row["organization_id"] == 0 or row["cube"] == TAIL_CUBE]
        assert dict(_keyed(_stored(of_ours), OF_EACH)) == rollups(folded, OF_EACH, ids)
        assert dict(_keyed(_stored(of_all), OF_ALL)) == rollups(folded + others_folded, OF_ALL, {})
        assert combined(_keyed(of_ours, OF_EACH)) == rollups(ours, OF_EACH, ids)
        assert combined(_keyed(of_all, OF_ALL)) == rollups(ours + theirs, OF_ALL, {})
        assert self._sessions(Session) == sessions(folded, ids)
        assert self._sessions(CurrentSession) == sessions(ours, ids)

    def _ids(self) -> dict[tuple[str, str], int]:
        """The ids of people and projects, by all names that calls use."""
        ours: dict[str, Any] = {"organization": self.organization}
        projects = Project.objects.filter(merged_into=None, **ours).values_list("slug_key", "pk")
        projects = projects.union(ProjectAlias.objects.filter(**ours).values_list("slug_key", "project"))
        people = User.objects.filter(merged_into=None, **ours).values_list("handle_key", "pk")
        people = people.union(PersonAlias.objects.filter(**ours).values_list("handle_key", "user"))
        ids = {("project", str(key)): pk for key, pk in projects} | {("user", str(key)): pk for key, pk in people}
        return ids | {("user", key.upper()): pk for (kind, key), pk in ids.items() if kind == "user"}

    def _sessions(self, model: type[Session] | type[CurrentSession]) -> dict[Key, Row]:
        names = (
            "requests", "errors", "timeouts", "unpriced", "without_tool_fees", "input_tokens", "output_tokens",
            "cached_tokens", "total_tokens", "cost_usd", "first_at", "last_at",
        )  # fmt: skip
        ours = model._default_manager.filter(organization=self.organization)
        rows = ours.values("user_id", "session_id", *names)
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
        assert {row["request_id"] for row in rows if row["without_tool_fees"] == "true"} == {
            entry.call.request_id for entry in kept if entry.lacks_fees
        }
        assert {(row["request_id"], row["day"], row["hour"]) for row in rows} == {
            (entry.call.request_id, str(entry.day), str(entry.hour)) for entry in kept
        }


def _stored(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["cube"] != TAIL_CUBE]


def _keyed(rows: Iterable[Row], cubes: Iterable[Cube]) -> Iterable[tuple[Key, Row]]:
    """The measures of each row with its key. A row of the tail is one of each cube."""
    of_number = {cube.number: [cube] for cube in cubes} | {TAIL_CUBE: list(cubes)}
    for row in rows:
        measures = {name: value for name, value in row.items() if name not in KEY}
        for cube in of_number[row["cube"]]:
            yield key_of(cube, row["day"], row["provider"], row["status"], row), measures


KEY = {"organization_id", "cube", "day", "provider", "status", *DIMENSIONS}


def _empty() -> None:
    """Delete what the run before has recorded, because sums over all organizations contain it."""
    with connection.cursor() as cursor:
        for table in ("ledger_usageevent", "ledger_tail", "ledger_rollup", "ledger_session"):
            cursor.execute(f"DELETE FROM {table}")


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
    assert LedgerMachine.most_folded > 5
