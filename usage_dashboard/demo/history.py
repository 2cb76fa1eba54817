"""Ninety days of invented calls, always the same ones, recorded by the ledger's one writer.

A call's request id consists of its company's local day and its number within the day. The newest id therefore tells
which calls are recorded, and loading continues after them if it was interrupted or runs again some days later.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

from django.conf import settings

from accounts.models import Organization
from groq_client.call import Call
from ledger.models import UsageEvent
from ledger.recording.record import record
from usage_dashboard.demo.calls import OVER_CAPACITY, SWITCHED_OFF, Conversation, calls_of
from usage_dashboard.demo.people import ACME
from usage_dashboard.demo.scenarios import SHARES, Scenario, attribution_of, model_for, pick_scenario

SEED = "groq-ledger"
PREFIX = "demo-"
BATCH_SIZE = 2_500
RECENT = timedelta(hours=6)
"""A history whose last call is at most this old is complete, because live calls follow it."""

# The relative number of calls from Monday to Sunday.
WEEKS = {
    "acme-robotics": (1.0, 1.08, 1.1, 1.05, 0.85, 0.16, 0.12),
    "globex-media": (1.0, 1.02, 1.05, 1.03, 0.95, 0.5, 0.45),
    "": (1.0,) * 7,
}
GROWTH = 1.4
"""The growth of the calls per day over the 90 days: the last day has 1 + GROWTH times the first day's calls."""
ERROR_RATE = 0.026
OUTAGE_ERROR_RATE = 0.4
OUTAGE_DAYS_AGO = 19
OUTAGE_HOURS = range(13, 16)  # UTC


@dataclass(frozen=True, slots=True)
class Window:
    """The days of the history. At first they end with the demonstration's first start; the days since are added."""

    first_started: datetime
    days: int
    events: int

    def progress(self, zone: ZoneInfo, day: date) -> float:
        """The share of the days that is over: 0 on the first day, 1 on the last day and later."""
        age = (self.last(zone) - day).days
        return min(1.0, 1 - age / max(1, self.days - 1))

    def first(self, zone: ZoneInfo) -> date:
        return self.last(zone) - timedelta(days=self.days - 1)

    def last(self, zone: ZoneInfo) -> date:
        return self.first_started.astimezone(zone).date()

    @property
    def outage(self) -> date:
        """A working day on which Groq was over capacity for some hours."""
        day = self.first_started.date() - timedelta(days=OUTAGE_DAYS_AGO)
        return day - timedelta(days=max(0, day.weekday() - 4))


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of calls: one company, or the scripts that name no company (an empty slug)."""

    slug: str
    organization: Organization
    newest_id: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.organization.time_zone)


def load(days: int, events: int, now: datetime, show: Callable[[int, int], None]) -> int:
    """Record the missing calls until ``now`` and return their number. Tells ``show`` the numbers done and to do."""
    sources = list(_sources())
    newest = _newest_event(sources)
    if newest is not None and now - newest < RECENT:
        return 0
    window = Window(Organization.objects.get(slug=ACME.slug).created_at, days, events)
    missing = [_Missing(source, window, now) for source in sources]
    total = round(sum(part.expected for part in missing))
    added = done = 0
    for batch in _batches(_in_turn(missing)):
        added += record(batch).events
        done += len(batch)
        show(done, max(total, done))
    return added


class _Missing:
    """The calls of one source that are not recorded yet."""

    def __init__(self, source: Source, window: Window, now: datetime) -> None:
        self.source, self.window, self.now = source, window, now
        shape = {day: _shape(source, window, day) for day in self._days(window.first(source.zone), window.days)}
        self._per_shape = window.events * SHARES[source.slug] / sum(shape.values())

    @property
    def days(self) -> list[date]:
        zone, newest = self.source.zone, self.source.newest_id
        today = self.now.astimezone(zone).date()
        start = _day_of(newest) if newest else self.window.first(zone)
        return self._days(start, (today - start).days + 1)

    @property
    def expected(self) -> float:
        return sum(map(self._count, self.days))

    def calls(self, day: date) -> Iterator[Call]:
        """The day's past calls that are not in the ledger."""
        for call in _calls_of_day(self.source, self.window, day, self._count(day)):
            if call.started_at > self.now - timedelta(minutes=2):
                return
            if call.attribution.request_id > self.source.newest_id:
                yield call

    def _count(self, day: date) -> int:
        return round(self._per_shape * _shape(self.source, self.window, day))

    @staticmethod
    def _days(start: date, count: int) -> list[date]:
        return [start + timedelta(days=number) for number in range(count)]


def _sources() -> Iterator[Source]:
    for slug in SHARES:
        organization = Organization.objects.get(slug=slug or settings.DEFAULT_ORGANIZATION)
        yield Source(slug, organization, _newest_id(organization))


def _newest_id(organization: Organization) -> str:
    own = UsageEvent.objects.filter(organization=organization, request_id__startswith=PREFIX)
    return own.order_by("-request_id").values_list("request_id", flat=True).first() or ""


def _newest_event(sources: Iterable[Source]) -> datetime | None:
    """The time of the newest event of all sources."""
    newest = (
        UsageEvent.objects.filter(organization=source.organization, request_id=source.newest_id)
        .values_list("timestamp", flat=True)
        .first()
        for source in sources
    )
    return max((at for at in newest if at), default=None)


def _day_of(request_id: str) -> date:
    return datetime.strptime(request_id.removeprefix(PREFIX)[:8], "%Y%m%d").replace(tzinfo=UTC).date()


def _in_turn(missing: list[_Missing]) -> Iterator[Call]:
    """The missing calls of all sources day by day, so that after an interruption all companies are equally complete."""
    for day in sorted({day for part in missing for day in part.days}):
        for part in missing:
            if day in part.days:
                yield from part.calls(day)


def _batches(calls: Iterator[Call]) -> Iterator[list[Call]]:
    while batch := list(islice(calls, BATCH_SIZE)):
        yield batch


def _shape(source: Source, window: Window, day: date) -> float:
    """The relative number of the source's calls on a day."""
    noise = Random(f"{SEED}:{source.slug}:{day}:noise").lognormvariate(0, 0.1)
    return WEEKS[source.slug][day.weekday()] * (1 + GROWTH * max(0.0, window.progress(source.zone, day))) * noise


def _calls_of_day(source: Source, window: Window, day: date, count: int) -> list[Call]:
    """The day's calls in order of their start, with numbered request ids."""
    random = Random(f"{SEED}:{source.slug}:{day}")
    calls: list[Call] = []
    while len(calls) < count:
        calls += _conversation_of_day(source, window, day, random)
    calls = sorted(calls[:count], key=lambda call: call.started_at)
    for number, call in enumerate(calls):
        request_id = f"{PREFIX}{day:%Y%m%d}-{number:06d}"
        call.request_id = request_id
        call.attribution = replace(call.attribution, request_id=request_id)
    return calls


def _conversation_of_day(source: Source, window: Window, day: date, random: Random) -> Iterator[Call]:
    scenario = pick_scenario(source.slug, random)
    model, exists = model_for(scenario.models, window.progress(source.zone, day), random)
    start = _moment(day, scenario, source.zone, random)
    is_outage = start.date() == window.outage and start.hour in OUTAGE_HOURS
    outage = OVER_CAPACITY if is_outage and random.random() < OUTAGE_ERROR_RATE else None
    conversation = Conversation(
        random=random,
        scenario=scenario,
        model=model,
        attribution=attribution_of(source.slug, scenario, random),
        failure=outage if exists else SWITCHED_OFF,
        error_rate=ERROR_RATE,
    )
    return calls_of(conversation, start)


def _moment(day: date, scenario: Scenario, zone: ZoneInfo, random: Random) -> datetime:
    """A call's start in UTC: at any time of the local day for a program, else in the morning, afternoon or evening."""
    kind = random.random()
    if scenario.is_automatic or kind < 0.04:
        hours = random.uniform(0, 24)
    elif kind < 0.10:
        hours = random.uniform(18, 23)
    else:
        hours = random.gauss(10.4, 1.2) if kind < 0.55 else random.gauss(15.1, 1.4)
    seconds = min(max(hours, 0.0), 23.9) * 3600
    midnight = datetime.combine(day, time.min, zone)
    # Python adds to the local clock's time, so that a change of daylight saving time on this day does not matter.
    return (midnight + timedelta(seconds=seconds)).astimezone(UTC)
