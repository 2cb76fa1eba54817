"""The reader: every figure equals a plain sum over the events that the viewer may see."""

import csv
import io
import itertools
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from accounts.models import Organization, Role, User
from accounts.viewer import Viewer
from analytics import reports
from analytics.export.export import export_csv
from analytics.pages.overview.questions import OVERVIEW_QUESTIONS, deferred_questions
from analytics.reports import Log, Report, Totals
from analytics.reports.scope import rows_of
from analytics.reports.selection import Dimension, Selection
from groq_client.call import Call
from ledger.models import CurrentSession, Rollup, UsageEvent
from ledger.recording.record import record
from ledger.rollups.cubes import BUCKET_BOUNDS_MS, BUCKETS, OF_EACH
from pricing.models import Price
from tests.ledger.calls import TIMEOUTS, call, failed, outcome, summary, summed, timed_out, usage
from tests.ledger.folding import fold_now

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2026, 10, 20, tzinfo=UTC)
RANGE = Selection(date(2026, 10, 24), date(2026, 11, 4))
DIMENSIONS: tuple[Dimension, ...] = (
    "organization_id", "provider", "model", "project_id", "user_id", "expert_id", "template_id", "feature", "status",
)  # fmt: skip
EVERYTHING = Viewer(Role.SUPER_ADMIN, None, None, sees_cost=True, may_export=True, may_edit_pricing=True)


def mixed_calls(count: int, organizations: list[str], seed: int = 7) -> list[Call]:
    """Calls of every kind, over three weeks, in the dimensions' every combination."""
    dice = random.Random(seed)
    return [_mixed_call(dice, dice.choice(organizations)) for _ in range(count)]


def _mixed_call(dice: random.Random, organization: str) -> Call:
    tokens = dice.randrange(1, 5000)
    common: dict[str, Any] = {
        "organization": organization,
        "at": START + timedelta(seconds=dice.randrange(21 * 86_400)),
        "project": dice.choice(["", "rag", "chat"]),
        "user": dice.choice(["", "ann", "ben", "cat"]),
        "expert_id": dice.choice(["", "lawyer", "nurse"]),
        "template_id": dice.choice(["", "t1", "t2"]),
        "feature": dice.choice(["chat", "tools"]),
        "model": dice.choice(["priced/a", "priced/b", "unpriced/c"]),
        "latency_ms": dice.randrange(1, 30_000),
    }
    if (chance := dice.random()) < 0.1:
        return failed(**common) if chance < 0.06 else timed_out(**common)
    return call(
        **common,
        ttft_ms=dice.choice([None, dice.randrange(1, 500)]),
        usage=usage(
            tokens,
            dice.randrange(900),
            cached_tokens=dice.randrange(tokens),
            audio_seconds=Decimal(dice.randrange(1000)) / 1000 if dice.random() < 0.1 else Decimal(0),
            estimated=dice.random() < 0.2,
        ),
    )


@pytest.fixture
def prices() -> None:
    for model, rate in (("priced/a", "0.00015"), ("priced/b", "0.000777777")):
        Price.objects.create(
            model=model,
            input_usd_per_1k_tokens=Decimal(rate),
            output_usd_per_1k_tokens=Decimal("0.0006"),
            audio_usd_per_hour=Decimal("0.111"),
            effective_from=START - timedelta(days=1),
        )


@pytest.fixture
def ledger(acme: Organization, globex: Organization, prices: None) -> list[UsageEvent]:
    calls = mixed_calls(600, [acme.slug, globex.slug])
    record(calls[:400])
    fold_now()
    record(calls[400:])
    return list(UsageEvent.objects.all())


def matches(event: UsageEvent, selection: Selection, viewer: Viewer = EVERYTHING) -> bool:
    """The selection and the scope, read literally."""
    if viewer.organization_ids is not None and event.organization_id not in viewer.organization_ids:
        return False
    if viewer.user_ids is not None and event.user_id not in viewer.user_ids:
        return False
    if not selection.first_day <= event.day <= selection.last_day:
        return False
    return all(not passes(event, dimension).isdisjoint(values) for dimension, values in selection.chosen.items())


def value_of(event: UsageEvent, dimension: str) -> Any:
    """The value by which the event is summed up."""
    value = outcome(event) if dimension == "status" else getattr(event, dimension)
    return 0 if value is None else value


def passes(event: UsageEvent, dimension: str) -> set[Any]:
    """The values of a filter that the event passes: a time-out is an error too."""
    return {value_of(event, dimension)} | ({event.status} if dimension == "status" else set())


def assert_agrees(ledger: list[UsageEvent], viewer: Viewer, selection: Selection) -> None:
    """Cards, series in both grains, every table, the menus and the CSV say what a plain sum says."""
    report = Report(viewer, selection)
    hits = [event for event in ledger if matches(event, selection, viewer)]
    earlier = [event for event in ledger if matches(event, selection.previous(), viewer)]
    cost = viewer.sees_cost
    for asked in (report, Report(viewer, selection, compares=True)):
        assert asked.totals() == summed(hits, with_cost=cost)
        assert asked.previous_totals() == summed(earlier, with_cost=cost)
        for point in asked.series("day"):
            assert point.totals == summed((e for e in hits if e.day == point.day), with_cost=cost)
    assert sum(point.totals.requests for point in report.series("hour")) == len(hits)
    assert_charts_agree(report, hits)
    for dimension in DIMENSIONS:
        values = {value_of(event, dimension) for event in hits}
        assert {row.value: row.totals for row in report.breakdown(dimension)} == {
            value: summary((e for e in hits if value_of(e, dimension) == value), with_cost=cost) for value in values
        }
        wider = [event for event in ledger if matches(event, selection.without(dimension), viewer)]
        chooses = Counter(value for event in wider for value in passes(event, dimension))
        assert report.choices(dimension) == chooses
    assert {row["request_id"] for row in csv_rows(report)} == {event.request_id for event in hits}


def assert_charts_agree(report: Report, hits: list[UsageEvent]) -> None:
    """The heat map is a plain sum; so is time to first token, and percentiles lie between what occurred."""
    slots = {(event.day.isoweekday(), event.hour) for event in hits}
    assert report.by_weekday_and_hour() == {
        slot: summary((e for e in hits if (e.day.isoweekday(), e.hour) == slot), with_cost=report.viewer.sees_cost)
        for slot in slots
    }
    for grain in ("day", "hour"):
        for point in report.latency_series(grain):
            there = [e for e in hits if e.day == point.day and point.hour in (None, e.hour)]
            assert point.avg_ttft_ms == summed(there).avg_ttft_ms
            assert (point.latency is None) == (not there)
            if point.latency:
                latencies = sorted(e.latency_ms for e in there)
                assert latencies[0] <= point.latency.p50 <= point.latency.p95 <= point.latency.p99 <= latencies[-1]


def csv_rows(report: Report) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(
        io.StringIO(b"".join(export_csv(Log(report.viewer, report.selection))).decode("utf-8-sig"), newline="")
    )


def test_without_filters_everything_agrees(ledger: list[UsageEvent]) -> None:
    assert_agrees(ledger, EVERYTHING, RANGE)


def test_every_filter_acts_on_every_figure(ledger: list[UsageEvent]) -> None:
    for dimension in DIMENSIONS:
        value = next(iter({value_of(event, dimension) for event in ledger}))
        assert_agrees(ledger, EVERYTHING, replace(RANGE, chosen={dimension: (value,)}))


def test_time_outs_are_errors_that_can_be_chosen_alone(ledger: list[UsageEvent]) -> None:
    assert {outcome(event) for event in ledger} == {"success", "error", "timeout"}
    for chosen in (("timeout",), ("error",), ("success", "timeout"), ("error", "timeout")):
        assert_agrees(ledger, EVERYTHING, replace(RANGE, chosen={"status": chosen}))
        assert_agrees(ledger, EVERYTHING, replace(RANGE, chosen={"status": chosen, "session_id": ("",)}))  # no cube


def test_codes_tell_time_outs_in_the_tail_in_the_sums_and_in_the_events(acme: Organization) -> None:
    others = [call(error_code="timeout"), failed(), replace(failed(session_id="one"), error_code="out_of_time")]
    record([*(timed_out(code, session_id="one") for code in TIMEOUTS), *others])
    number = len(TIMEOUTS)
    chosen: list[dict[Dimension, tuple[str, ...]]] = [{}, {"session_id": ("one", "")}]
    for _ in ("in the tail", "folded"):
        for of_events in chosen:
            totals = Report(EVERYTHING, replace(RANGE, chosen=of_events)).totals()
            assert (totals.requests, totals.errors, totals.timeouts) == (number + 3, number + 2, number)
        session = CurrentSession.objects.get()
        assert (session.errors, session.timeouts) == (number + 1, number)
        fold_now()


def test_two_filters_with_two_values_each_agree(ledger: list[UsageEvent]) -> None:
    for pair in itertools.combinations(DIMENSIONS, 2):
        chosen = {dimension: tuple({value_of(event, dimension) for event in ledger})[:2] for dimension in pair}
        selection = replace(RANGE, chosen=chosen)
        hits = [event for event in ledger if matches(event, selection)]
        report = Report(EVERYTHING, selection)
        assert report.totals() == summed(hits), pair
        assert sum(row.totals.requests for row in report.breakdown("template_id")) == len(hits), pair


def test_each_role_sees_exactly_its_share(
    ledger: list[UsageEvent], super_admin: User, admin: User, acme: Organization
) -> None:
    ann = User.objects.get(organization=acme, handle="ann")
    as_user = Viewer(Role.USER, frozenset({acme.pk}), frozenset({ann.pk}), False, False, False)
    for viewer in (Viewer.of(super_admin), Viewer.of(admin), as_user, replace(as_user, sees_cost=True)):
        assert_agrees(ledger, viewer, RANGE)
        assert_agrees(ledger, viewer, replace(RANGE, chosen={"model": ("priced/a",), "project_id": (0,)}))


def test_nobody_sees_nothing(ledger: list[UsageEvent]) -> None:
    report = Report(Viewer.nobody(), RANGE)
    assert report.totals() == Totals()
    assert list(csv_rows(report)) == []
    assert report.choices("organization_id") == {}


def test_a_filter_cannot_widen_what_a_viewer_sees(ledger: list[UsageEvent], admin: User, globex: Organization) -> None:
    assert Report(Viewer.of(admin), replace(RANGE, chosen={"organization_id": (globex.pk,)})).totals().requests == 0


def test_hidden_cost_is_absent_and_not_zero(ledger: list[UsageEvent], admin: User) -> None:
    report = Report(replace(Viewer.of(admin), sees_cost=False), RANGE)
    assert report.totals().cost_usd is None
    assert {row.totals.cost_usd for row in report.breakdown("model")} == {None}
    assert "cost" not in ",".join(next(csv_rows(report)))


def test_days_sum_to_the_total_through_daylight_saving(acme: Organization, globex: Organization) -> None:
    """The US clock goes back on 1 November 2026: a day of 25 hours in Los Angeles, of 24 in Kolkata."""
    hours = [datetime(2026, 10, 31, tzinfo=UTC) + timedelta(hours=n) for n in range(72)]
    record([call(organization=o.slug, at=hour) for o in (acme, globex) for hour in hours])
    viewer = replace(EVERYTHING, organization_ids=frozenset({acme.pk}))
    selection = Selection(date(2026, 10, 30), date(2026, 11, 3))
    by_day = {point.day: point.totals.requests for point in Report(viewer, selection).series("day")}
    assert by_day[date(2026, 11, 1)] == 25
    assert sum(by_day.values()) == 72
    by_hour = Report(viewer, selection).series("hour")
    assert sum(point.totals.requests for point in by_hour) == 72
    assert next(p for p in by_hour if p.label == "2026-11-01T01:00").totals.requests == 2


def test_a_series_has_a_point_for_every_day_and_hour() -> None:
    report = Report(EVERYTHING, Selection(date(2026, 11, 1), date(2026, 11, 2)))
    assert [point.totals.requests for point in report.series("day")] == [0, 0]
    assert len(report.series("hour")) == 48


def test_percentiles_are_exact_for_few_requests(acme: Organization) -> None:
    record([call(latency_ms=n) for n in range(1, 101)])
    selection = Selection(date(2026, 11, 2), date(2026, 11, 2))
    assert Report(EVERYTHING, selection).latency_percentiles() == reports.Percentiles(50, 95, 99)


def test_percentiles_from_the_histogram_are_close(acme: Organization) -> None:
    dice = random.Random(1)
    latencies = sorted(round(dice.lognormvariate(6.5, 0.8)) + 1 for _ in range(3000))
    record([call(latency_ms=latency) for latency in latencies])
    found = Report(EVERYTHING, Selection(date(2026, 11, 2), date(2026, 11, 2))).latency_percentiles()
    assert found is not None
    for share, value in ((0.50, found.p50), (0.95, found.p95), (0.99, found.p99)):
        assert value == pytest.approx(latencies[round(share * 3000) - 1], rel=0.05)


def test_percentiles_of_the_whole_are_the_same_whatever_was_asked_before(acme: Organization) -> None:
    dice = random.Random(2)
    start = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
    record([call(at=start + timedelta(hours=n % 72), latency_ms=dice.randrange(1, 9_000)) for n in range(1_500)])
    selection = Selection(date(2026, 11, 1), date(2026, 11, 6))
    asked_alone = Report(EVERYTHING, selection).latency_percentiles()
    for grain in ("day", "hour"):
        report = Report(EVERYTHING, selection, deferred_questions(grain))
        report.latency_series(grain)
        assert report.latency_percentiles() == asked_alone


def test_percentiles_of_each_hour_are_close_and_a_quiet_hour_has_none(globex: Organization) -> None:
    """By the organization's clock: 18:30 UTC is midnight in Kolkata."""
    midnight = datetime(2026, 11, 1, 18, 30, tzinfo=UTC)
    slow = [call(organization=globex.slug, at=midnight + timedelta(hours=14), latency_ms=9_000, ttft_ms=700)]
    record([*(call(organization=globex.slug, at=midnight, latency_ms=n) for n in range(1, 1_001)), *slow])
    points = Report(EVERYTHING, Selection(date(2026, 11, 2), date(2026, 11, 2))).latency_series("hour")
    first, fifteenth = points[0].latency, points[14].latency
    assert first
    assert (first.p50, first.p95, first.p99) == pytest.approx((500, 950, 990), rel=0.05)
    assert fifteenth == reports.Percentiles(9_000, 9_000, 9_000)
    assert [(point.label, point.avg_ttft_ms) for point in points if point.latency] == [
        ("2026-11-02T00:00", None),
        ("2026-11-02T14:00", 700),
    ]


def test_a_weekday_is_the_organizations_own(acme: Organization, globex: Organization) -> None:
    """Sunday 20:00 UTC is noon in Los Angeles, and Monday in Kolkata."""
    sunday = datetime(2026, 11, 1, 20, 0, tzinfo=UTC)
    record([call(organization=o.slug, at=sunday) for o in (acme, globex)])
    found = Report(EVERYTHING, Selection(date(2026, 10, 30), date(2026, 11, 3))).by_weekday_and_hour()
    assert {slot: totals.requests for slot, totals in found.items()} == {(7, 12): 1, (1, 1): 1}


def test_the_events_are_asked_for_what_no_cube_tells(
    ledger: list[UsageEvent], admin: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """How long the calls took that several filters let through; one pass over a cube for each kind of the others."""
    selection = replace(RANGE, chosen={"model": ("priced/a",), "expert_id": ("lawyer",)})
    report = Report(Viewer.of(admin), selection, deferred_questions("hour"))
    with django_assert_num_queries(3) as asked:
        report.totals()
        report.by_weekday_and_hour()
        report.latency_series("hour")
    assert [UsageEvent._meta.db_table in query["sql"] for query in asked.captured_queries] == [False, False, True]


def test_what_a_cube_tells_together_is_asked_once(
    ledger: list[UsageEvent], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """A person's tables by model, project, expert, template and feature are one pass over the cube of the person."""
    ann = User.objects.filter(handle="ann")[0]
    report = Report(EVERYTHING.narrowed_to(ann), RANGE, OVERVIEW_QUESTIONS)
    with django_assert_num_queries(1):
        for dimension in ("model", "project_id", "expert_id", "template_id", "feature"):
            report.sums_by(dimension)


def test_a_condition_is_put_together_once_and_never_for_somebody_else(admin: User, user: User, outsider: User) -> None:
    days = Selection(date(2026, 11, 1), date(2026, 11, 22), {"model": ("priced/a",)})
    first, again = (
        [rows_of(Viewer.of(who), replace(days), OF_EACH[-1]) for who in (admin, user, outsider)] for _ in range(2)
    )
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert len({rows.parameters for rows in first if rows}) == 3
    assert rows_of(Viewer.nobody(), days, None) is None


def test_latency_buckets_rise_without_gaps() -> None:
    assert list(BUCKET_BOUNDS_MS) == sorted(set(BUCKET_BOUNDS_MS))
    assert len(BUCKET_BOUNDS_MS) == BUCKETS - 1


def test_the_day_furthest_ahead_is_today(globex: Organization) -> None:
    """Kolkata is on the next day while UTC is not: its calls of this hour belong on the page."""
    viewer = replace(EVERYTHING, organization_ids=frozenset({globex.pk}))
    assert reports.today(viewer) == datetime.now(ZoneInfo(globex.time_zone)).date()
    assert reports.today(EVERYTHING) >= reports.today(viewer)


def test_the_version_changes_with_every_event(acme: Organization) -> None:
    before = reports.number_recorded(EVERYTHING)
    record([call()])
    assert reports.number_recorded(EVERYTHING) != before


def test_csv_defuses_formulas_and_survives_odd_text(acme: Organization) -> None:
    evil = ["=1+1", "+1", "-1", "@SUM(A1)"]
    record([call(expert_id=text, error_message='a "quoted", \n line', project="=cmd", user="@me") for text in evil])
    rows = list(csv_rows(Report(EVERYTHING, Selection(date(2026, 11, 2), date(2026, 11, 2)))))
    assert {row["expert_id"] for row in rows} == {f"'{text}" for text in evil}
    assert {row["error_message"] for row in rows} == {'a "quoted", \n line'}
    assert {(row["project"], row["user"]) for row in rows} == {("'=cmd", "'@me")}


def test_csv_costs_sum_to_the_card(ledger: list[UsageEvent]) -> None:
    report = Report(EVERYTHING, RANGE)
    assert sum(Decimal(row["cost_usd"] or 0) for row in csv_rows(report)) == report.totals().cost_usd


def test_csv_tells_utc_and_the_local_day(globex: Organization) -> None:
    record([call(organization=globex.slug, at=datetime(2026, 11, 2, 20, 0, tzinfo=UTC))])
    row = next(csv_rows(Report(EVERYTHING, Selection(date(2026, 11, 1), date(2026, 11, 4)))))
    assert (row["timestamp"], row["day"]) == ("2026-11-02T20:00:00.000000Z", "2026-11-03")


drawn_calls = st.builds(
    dict,
    model=st.sampled_from(["priced/a", "priced/b", "unpriced/c"]),
    at=st.integers(0, 60 * 24 * 10).map(lambda minute: START + timedelta(minutes=minute)),
    latency_ms=st.integers(0, 2_000_000),
    project=st.sampled_from(["", "p1", "p2"]),
    usage=st.integers(0, 10**9 // 2).map(lambda tokens: usage(tokens, tokens // 3)),
    status=st.sampled_from(["success", "error"]),
    error_code=st.sampled_from(["", "timeout", "rate_limit_exceeded"]),
)


@given(st.lists(st.lists(drawn_calls, max_size=8), max_size=4))
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_rollups_equal_events_whatever_was_recorded(prices: None, batches: list[list[dict[str, Any]]]) -> None:
    """Each example in an organization of its own. The last batch is in the tail before all are folded."""
    slug = f"org-{uuid.uuid4()}"
    organization = Organization.objects.create(slug=slug, name=slug, time_zone="Asia/Kathmandu")
    for batch in batches:
        fold_now()
        record([call(organization=slug, **drawn) for drawn in batch])
    viewer = replace(EVERYTHING, organization_ids=frozenset({organization.pk}))
    events = list(UsageEvent.objects.filter(organization=organization))
    report = Report(viewer, Selection(date(2026, 10, 1), date(2026, 11, 30)))
    assert report.totals() == summed(events)
    fold_now()
    for cube in OF_EACH:
        in_cube = Rollup.objects.filter(cube=cube.number, organization=organization)
        assert sum(row.requests for row in in_cube) == len(events)
        assert sum(row.cost_usd for row in in_cube) == report.totals().cost_usd
    for row in report.breakdown("model"):
        assert row.totals == summary(event for event in events if event.model == row.value)
