"""The sums of local days add up to the total in every time zone, also after an organization has changed its zone."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command

from accounts.models import Organization, Role
from accounts.viewer import Viewer
from analytics.reports import Report
from analytics.reports.selection import Selection
from ledger.models import Rollup, Session, UsageEvent
from ledger.recording.record import record
from ledger.upkeep import day_moves
from ledger.upkeep.day_moves import change_days, spans
from ledger.upkeep.reconciliation import reconcile
from tests.ledger.calls import NOON, call, summed
from tests.ledger.folding import fold_now
from tests.ledger.recording_meanwhile import recording_meanwhile

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = Viewer(Role.SUPER_ADMIN, None, None, sees_cost=True, may_export=True, may_edit_pricing=True)
ZONES = (
    "UTC", "America/Los_Angeles", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Pacific/Chatham",
    "Australia/Lord_Howe", "Pacific/Kiritimati", "Etc/GMT+12",
)  # fmt: skip


def move(organization: Organization, zone: str) -> int:
    Organization.objects.filter(pk=organization.pk).update(time_zone=zone)
    return change_days(organization.pk)


def spread(organization: Organization, start: datetime, count: int = 100, minutes: int = 47) -> None:
    """Calls at irregular times over about three days, in sessions that last some hours."""
    record(
        call(
            organization=organization.slug,
            at=start + timedelta(minutes=minutes * n),
            session_id=f"s{n // 7}",
            user=("", "ann")[n // 7 % 2],
            latency_ms=1 + 37 * n % 1_000,
        )
        for n in range(count)
    )


def assert_placed(organization: Organization) -> None:
    """Assert that each event has the day and hour that the writer would give it now, and that all sums are right."""
    zone = ZoneInfo(Organization.objects.get(pk=organization.pk).time_zone)
    events = list(UsageEvent.objects.filter(organization=organization))
    local = [event.timestamp.astimezone(zone) for event in events]
    assert [(event.day, event.hour) for event in events] == [(at.date(), at.hour) for at in local]
    first, last = min(event.day for event in events), max(event.day for event in events)
    report = Report(replace(EVERYTHING, organization_ids=frozenset({organization.pk})), Selection(first, last))
    assert report.totals() == summed(events)
    for grain in ("day", "hour"):
        points = report.series(grain)  # type: ignore[arg-type]
        assert sum(point.totals.requests for point in points) == len(events)
        assert sum(point.totals.cost_usd or 0 for point in points) == summed(events).cost_usd
    assert reconcile().drifted == 0


@pytest.mark.parametrize("zone", ZONES)
def test_the_sum_of_days_is_the_total_in_any_zone(acme: Organization, zone: str) -> None:
    Organization.objects.update(time_zone=zone)
    spread(acme, NOON)
    assert_placed(acme)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/Los_Angeles", date(2026, 3, 8), 23),
        ("America/Los_Angeles", date(2026, 11, 1), 25),
        ("America/St_Johns", date(2026, 3, 8), 23),
        ("America/St_Johns", date(2026, 11, 1), 25),
        ("Pacific/Chatham", date(2026, 9, 27), 23),
        ("Pacific/Chatham", date(2026, 4, 5), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
    ],
)
def test_short_and_long_days_add_up(acme: Organization, zone: str, day: date, hours: float) -> None:
    """There is a call every ten minutes, recorded in UTC and moved into a zone whose clock changes on that day."""
    Organization.objects.update(time_zone="UTC")
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    spread(acme, midnight - timedelta(hours=5), count=210, minutes=10)
    move(acme, zone)
    assert UsageEvent.objects.filter(day=day).count() == round(6 * hours)
    assert_placed(acme)


def test_a_clock_that_steps_back_leaves_no_gap(acme: Organization) -> None:
    """Later calls have earlier start times. Each counts once, on the day of its start time."""
    for minutes in (0, -90, 5, -1_500, 10):
        record([call(organization="acme", at=NOON + timedelta(minutes=minutes), session_id="s")])
    assert_placed(acme)
    session = Session.objects.get()
    assert (session.requests, session.first_at) == (5, NOON - timedelta(minutes=1_500))


@pytest.mark.parametrize("start", [datetime(2026, 10, 30, 21, tzinfo=UTC), datetime(2026, 3, 28, 2, tzinfo=UTC)])
def test_from_zone_to_zone_and_back(acme: Organization, start: datetime) -> None:
    """All sums are the same at the end as at first, and right in between."""
    Organization.objects.update(time_zone="UTC")
    spread(acme, start)
    fold_now()
    at_first = [list(table.objects.order_by("pk").values()) for table in (Rollup, Session)]
    for zone in (*ZONES[1:], "UTC"):
        assert move(acme, zone) > 0
        assert_placed(acme)
    assert [list(table.objects.order_by("pk").values()) for table in (Rollup, Session)] == at_first


def test_the_second_time_there_is_nothing_to_do(acme: Organization, globex: Organization) -> None:
    spread(acme, NOON)
    spread(globex, NOON)
    assert move(acme, "Asia/Tokyo") == 100
    assert change_days(acme.pk) == 0
    assert_placed(globex)


def test_what_was_broken_off_goes_on(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    spread(acme, NOON)
    total = Report(EVERYTHING, Selection(date(2026, 11, 1), date(2026, 11, 8))).totals()
    real, turns = day_moves.move_day, iter(range(2))
    with monkeypatch.context() as patched:
        patched.setattr(day_moves, "move_day", lambda *given: (next(turns), real(*given))[1])
        with pytest.raises(StopIteration):
            move(acme, "Pacific/Chatham")
    assert Report(EVERYTHING, Selection(date(2026, 11, 1), date(2026, 11, 8))).totals() == total
    left = reconcile().drifts
    assert left
    assert all("events day and hour" in drift for drift in left), "sums and sessions are right in between as well"
    assert change_days(acme.pk) > 0
    assert_placed(acme)


def test_days_that_are_no_longer_in_detail_stay_as_they_are(acme: Organization) -> None:
    """The first retained day keeps the events that would move to the day before, so that no total changes."""
    Organization.objects.update(time_zone="UTC")
    spread(acme, NOON)
    fold_now()
    boundary = date(2026, 11, 4)
    Organization.objects.update(retained_from=boundary)
    UsageEvent.objects.filter(day__lt=boundary)._raw_delete("default")
    frozen = list(Rollup.objects.filter(day__lt=boundary).order_by("pk").values())
    everything = Selection(date(2026, 10, 30), date(2026, 11, 9))
    total = Report(EVERYTHING, everything).totals()
    for zone in ("America/Los_Angeles", "Asia/Kolkata", "UTC"):
        move(acme, zone)
        assert list(Rollup.objects.filter(day__lt=boundary).order_by("pk").values()) == frozen
        assert Report(EVERYTHING, everything).totals() == total
        assert not UsageEvent.objects.filter(day__lt=boundary).exists()
        assert reconcile().drifted == 0


def test_recording_goes_on_in_the_new_zone(acme: Organization) -> None:
    spread(acme, NOON)
    with recording_meanwhile([acme], NOON) as written:
        for zone in ("Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati", "Pacific/Chatham"):
            move(acme, zone)
    change_days(acme.pk)  # calls recorded in the old zone after their day was moved
    assert UsageEvent.objects.count() == 100 + len(written)
    assert_placed(acme)


def test_the_command_tells_how_many(acme: Organization) -> None:
    spread(acme, NOON)
    Organization.objects.update(time_zone="Asia/Kathmandu")
    out = StringIO()
    call_command("move_days", organization="acme", stdout=out)
    assert "Moved 100 events to the days of Asia/Kathmandu." in out.getvalue()


@pytest.mark.parametrize("zone", [*ZONES, "Africa/Monrovia", "Europe/Dublin"])
def test_spans_are_what_the_clock_does(zone: str) -> None:
    first, last = datetime(2026, 3, 1, 7, 23, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)
    clock = spans(zone, first, last)
    assert clock[0].begin <= first
    assert clock[-1].end > last
    assert all(one.end == following.begin for one, following in pairwise(clock))
    hits: Counter[int] = Counter()
    for minutes in range(0, 60 * 24 * 61, 5):
        at = first + timedelta(minutes=minutes)
        (index,) = [n for n, span in enumerate(clock) if span.begin <= at < span.end]
        hits[index] += 1
        assert clock[index].offset == at.astimezone(ZoneInfo(zone)).utcoffset()
    assert len(hits) == len(clock)
