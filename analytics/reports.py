"""The one reader: every figure on a page, in an export, in the API comes from here, always through a Viewer.

Each question goes to the smallest cube that has its dimensions, or, where none has them, to the events themselves.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from accounts.models import Organization, Project, User
from accounts.viewer import Viewer
from analytics.cubes import BUCKET_BOUNDS_MS, smallest_with
from analytics.event_sums import Group, Key, Sums, sums_of_events
from analytics.measures import COST_SUMS, PREFIX, ROLLUP_MEASURES
from analytics.models import Rollup, UsageEvent
from analytics.selection import Dimension, Grain, Selection

NONE_LABEL = "(none)"
NULLABLE_IN_EVENTS = {"project_id", "user_id"}
EXACT_PERCENTILES_UP_TO = 1_000
"""So many requests or fewer: percentiles come from the events and not from the histogram."""
PAGE_GROUPS: tuple[Group, ...] = (
    (), ("day",), ("model",), ("project_id",), ("user_id",), ("expert_id",), ("template_id",), ("feature",),
    ("organization_id",), ("provider",), ("status",),
)  # fmt: skip
"""The questions that come together."""
DECIMAL_SUMS = frozenset({"cost_usd", "audio_seconds"})
FEW_EVENTS = 50_000
"""So many events are read quickly, whatever is asked of them."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The sums that a table shows.

    ``cost_usd`` is None where the viewer may not see cost, and the sum of what is priced otherwise: ``unpriced`` tells
    how many events are missing from it. Latency is in milliseconds; averages and rates are None without requests.
    """

    requests: int = 0
    errors: int = 0
    unpriced: int = 0
    estimated: int = 0
    total_tokens: int = 0
    cost_usd: Decimal | None = None
    latency_ms_sum: int = 0

    @property
    def avg_latency_ms(self) -> float | None:
        return self.latency_ms_sum / self.requests if self.requests else None

    @property
    def error_rate(self) -> float | None:
        """Share of requests that ended in an error, 0 to 1."""
        return self.errors / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class Totals(Summary):
    """All sums. Cached tokens are part of the input, reasoning tokens part of the output."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0
    latency_ms_min: int | None = None
    latency_ms_max: int | None = None
    ttft_ms_sum: int = 0
    ttft_count: int = 0

    @property
    def avg_ttft_ms(self) -> float | None:
        return self.ttft_ms_sum / self.ttft_count if self.ttft_count else None


@dataclass(frozen=True, slots=True)
class Point:
    """One day, or one hour of a local day, of a series."""

    day: date
    hour: int | None
    totals: Totals

    @property
    def label(self) -> str:
        """ISO local date, with the hour where the grain is hours: ``2026-11-22`` or ``2026-11-22T14:00``."""
        return self.day.isoformat() if self.hour is None else f"{self.day.isoformat()}T{self.hour:02}:00"


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a dimension, its name for people, and its sums."""

    value: str | int
    label: str
    totals: Summary


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a filter offers: it occurs in the range and the viewer may see it."""

    value: str | int
    label: str
    requests: int


@dataclass(frozen=True, slots=True)
class Percentiles:
    p50: float
    p95: float
    p99: float


S = TypeVar("S", bound=Summary)


class Report:
    """What a viewer sees of a selection. Asks nothing before it is asked, and each thing once."""

    def __init__(self, viewer: Viewer, selection: Selection) -> None:
        self.viewer = viewer
        self.selection = selection
        self._breakdowns: dict[tuple[Dimension, bool], tuple[Row, ...]] = {}
        self._event_sums: dict[Selection, dict[Group, list[tuple[Key, Sums]]]] = {}

    def totals(self) -> Totals:
        return self._totals

    @cached_property
    def _totals(self) -> Totals:
        return self._sum(self.selection)

    def previous_totals(self) -> Totals:
        """The same for the period of the same length before this one."""
        return self._previous_totals

    @cached_property
    def _previous_totals(self) -> Totals:
        return self._sum(self.selection.previous())

    def series(self, grain: Grain | None = None) -> Sequence[Point]:
        """A point for every day (or hour) of the range, zeros where nothing happened."""
        hourly = (grain or self.selection.default_grain) == "hour"
        group = ("day", "hour") if hourly else ("day",)
        found = dict(self._grouped(self.selection, group, Totals))
        nothing = self._as(Totals, {})
        days = (self.selection.first_day + timedelta(days=n) for n in range(self.selection.days))
        if hourly:
            return [Point(day, hour, found.get((day, hour), nothing)) for day in days for hour in range(24)]
        return [Point(day, None, found.get((day,), nothing)) for day in days]

    def breakdown(self, dimension: Dimension) -> Sequence[Row]:
        """A row for each value, most requests first."""
        return self._rows(dimension, within_choice=True)

    def top_model(self) -> Row | None:
        """The model with the most requests."""
        return next(iter(self.breakdown("model")), None)

    def choices(self, dimension: Dimension) -> Sequence[Choice]:
        """What occurs in the range, whatever else is chosen in this dimension."""
        rows = self._rows(dimension, within_choice=False)
        return [Choice(row.value, row.label, row.totals.requests) for row in rows]

    def latency_percentiles(self) -> Percentiles | None:
        """Of latency in ms; exact for small numbers of requests, else from a histogram (within about 3 %)."""
        requests = self.totals().requests
        if not requests:
            return None
        if requests <= EXACT_PERCENTILES_UP_TO and self._events_are_few():
            latencies = sorted(self.events().values_list("latency_ms", flat=True))
            return Percentiles(*(latencies[_rank(share, len(latencies))] for share in SHARES))
        histogram = {
            key[0]: totals.requests for key, totals in self._grouped(self.selection, ("latency_bucket",), Summary)
        }
        return _percentiles(histogram, self.totals())

    def events(self) -> "QuerySet[UsageEvent]":
        """The events of the selection that the viewer may see: for the log, the export and the drill-down."""
        return UsageEvent.objects.filter(visible(self.viewer) & selected(self.selection, UsageEvent))

    def _events_are_few(self) -> bool:
        everything = Selection(self.selection.first_day, self.selection.last_day)
        return not self.selection.chosen or self._sum(everything).requests <= FEW_EVENTS

    def _rows(self, dimension: Dimension, *, within_choice: bool) -> tuple[Row, ...]:
        chosen = self.selection.chosen
        within_choice = within_choice or dimension not in chosen
        if (dimension, within_choice) not in self._breakdowns:
            selection = self.selection if within_choice else self.selection.without(dimension)
            grouped = [(key[0], totals) for key, totals in self._grouped(selection, (dimension,), Summary)]
            labels = _labels(self.viewer, dimension, [value for value, _ in grouped])
            rows = [Row(value, labels.get(value, str(value)), totals) for value, totals in grouped]
            rows.sort(key=lambda row: (-row.totals.requests, str(row.label)))
            self._breakdowns[dimension, within_choice] = tuple(rows)
        return self._breakdowns[dimension, within_choice]

    def _sum(self, selection: Selection) -> Totals:
        return next((totals for _, totals in self._grouped(selection, (), Totals)), self._as(Totals, {}))

    def _grouped(self, selection: Selection, group: Group, kind: type[S]) -> list[tuple[Key, S]]:
        """The sums of each key of the group: from the smallest cube that can tell, else from the events."""
        cube = smallest_with(self._needed(selection, group))
        if cube is None:
            return [(key, self._as(kind, sums)) for key, sums in self._from_events(selection, group)]
        rows = Rollup.objects.filter(Q(cube=cube.number) & visible(self.viewer) & selected(selection, Rollup))
        measures = {PREFIX + field.name: ROLLUP_MEASURES[PREFIX + field.name] for field in fields(kind)}
        if not group:
            return [((), self._as(kind, _sums(rows.aggregate(**measures))))]
        grouped = rows.order_by().values(*group).annotate(**measures)
        return [(tuple(row[name] for name in group), self._as(kind, _sums(row))) for row in grouped]

    def _from_events(self, selection: Selection, group: Group) -> list[tuple[Key, Sums]]:
        """What a page asks for of one selection comes from one pass over its events."""
        known = self._event_sums.setdefault(selection, {})
        if group not in known:
            groups = {group}
            if selection is self.selection:
                groups |= {other for other in PAGE_GROUPS if smallest_with(self._needed(selection, other)) is None}
            events = UsageEvent.objects.filter(visible(self.viewer) & selected(selection, UsageEvent))
            known |= sums_of_events(events, sorted(groups - known.keys()))
        return known[group]

    def _needed(self, selection: Selection, group: Group) -> frozenset[str]:
        """The dimensions that a cube has to have: of the groups, the filters and the viewer's scope."""
        scope = {"user_id"} if self.viewer.user_ids is not None else set()
        return frozenset({*group, *selection.chosen} | scope)

    def _as(self, kind: type[S], sums: Mapping[str, Any]) -> S:
        """Sums as they come from the database: NULL is 0; what the viewer may not see is absent."""
        hidden = frozenset() if self.viewer.sees_cost else COST_SUMS
        names = {field.name for field in fields(kind)} - hidden
        said: dict[str, Any] = {
            name: _exact(name, value) for name, value in sums.items() if value is not None and name in names
        }
        if self.viewer.sees_cost:
            said.setdefault("cost_usd", Decimal(0))
        return kind(**said)


def visible(viewer: Viewer) -> Q:
    """The rows of events or rollups that a viewer may see: the scope of everything here."""
    scope = Q()
    if viewer.organization_ids is not None:
        scope &= Q(organization_id__in=viewer.organization_ids)
    if viewer.user_ids is not None:
        scope &= Q(user_id__in=viewer.user_ids)
    return scope


def selected(selection: Selection, model: type[UsageEvent] | type[Rollup]) -> Q:
    """The selection as a condition on events or rollups."""
    condition = Q(day__range=(selection.first_day, selection.last_day))
    for dimension, values in selection.chosen.items():
        one_of = Q(**{f"{dimension}__in": values})
        if model is UsageEvent and dimension in NULLABLE_IN_EVENTS and 0 in values:
            one_of |= Q(**{f"{dimension}__isnull": True})
        condition &= one_of
    return condition


def _exact(name: str, value: Any) -> int | Decimal:
    """PostgreSQL's sum of integers is a decimal number."""
    return Decimal(value) if name in DECIMAL_SUMS else int(value)


def _sums(row: Mapping[str, Any]) -> dict[str, Any]:
    """The sums among the columns of an aggregated row."""
    return {name.removeprefix(PREFIX): value for name, value in row.items() if name.startswith(PREFIX)}


def _labels(viewer: Viewer, dimension: Dimension, values: Sequence[Any]) -> dict[Any, str]:
    """Names for people. What a call did not say is "(none)". Two organizations may each have a project "web" or an Ann,
    so that somebody who sees several is told whose."""
    none: dict[Any, str] = {0: NONE_LABEL, "": NONE_LABEL}
    if dimension == "organization_id":
        return none | dict(Organization.objects.filter(pk__in=values).order_by().values_list("pk", "name"))
    if dimension not in ("project_id", "user_id"):
        return none
    whose: dict[int | None, str] = {}
    if viewer.organization_ids is None:
        whose |= dict(Organization.objects.values_list("pk", "name"))
    named: QuerySet[Project] | QuerySet[User]
    if dimension == "project_id":
        named = Project.objects.filter(pk__in=values).only("name", "organization_id").order_by()
    else:
        named = User.objects.filter(pk__in=values).only("first_name", "last_name", "handle", "organization_id")
    return none | {
        one.pk: " · ".join(filter(None, [one.display_name, whose.get(one.organization_id)])) for one in named
    }


SHARES = (0.50, 0.95, 0.99)


def _rank(share: float, count: int) -> int:
    """Index of the nearest-rank percentile in a sorted list."""
    return max(0, math.ceil(share * count) - 1)


def _percentiles(histogram: Mapping[int, int], totals: Totals) -> Percentiles:
    """Log-linear between the bounds of the bucket that a percentile falls into, and within the true extremes."""
    return Percentiles(*(_percentile(share, histogram, totals) for share in SHARES))


def _percentile(share: float, histogram: Mapping[int, int], totals: Totals) -> float:
    wanted, below = share * sum(histogram.values()), 0
    shortest, longest = totals.latency_ms_min or 0, totals.latency_ms_max or 0
    for bucket, count in sorted(histogram.items()):
        if below + count >= wanted:
            low = max(shortest, BUCKET_BOUNDS_MS[bucket - 1] if bucket else 0, 1)
            high = max(low, min(longest, BUCKET_BOUNDS_MS[bucket] if bucket < len(BUCKET_BOUNDS_MS) else longest))
            return float(low * (high / low) ** ((wanted - below) / count))
        below += count
    return float(longest)


@contextmanager
def snapshot(timeout_ms: int | None = None) -> Iterator[None]:
    """All questions inside see the ledger as of one moment, so that no two figures of a page disagree, and none takes
    longer than ``timeout_ms`` (``REPORT_TIMEOUT_MS``; 0 for no limit): django.db.OperationalError."""
    if connection.in_atomic_block:  # a test's transaction: it sees one state anyway
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true)",
            [str(settings.REPORT_TIMEOUT_MS if timeout_ms is None else timeout_ms)],
        )
        yield


def first_day(viewer: Viewer) -> date | None:
    """The earliest day with an event that the viewer may see; None without any."""
    return _rollups_by_day(viewer).order_by("day").values_list("day", flat=True).first()


def today(viewer: Viewer) -> date:
    """The date in the visible organization that is furthest ahead, so that nobody's calls of this hour are missing."""
    organizations = Organization.objects.all()
    if viewer.organization_ids is not None:
        organizations = organizations.filter(pk__in=viewer.organization_ids)
    now = timezone.now()
    zones = organizations.values_list("time_zone", flat=True).distinct()
    return max((now.astimezone(ZoneInfo(zone)).date() for zone in zones), default=now.date())


def version(viewer: Viewer) -> str:
    """Changes whenever something that the viewer may see was recorded: what a live page asks before it asks more."""
    sums = _rollups_by_day(viewer).aggregate(requests=Sum("requests"))
    return str(sums["requests"] or 0)


def _rollups_by_day(viewer: Viewer) -> "QuerySet[Rollup]":
    cube = smallest_with(frozenset() if viewer.user_ids is None else frozenset({"user_id"}))
    assert cube is not None
    return Rollup.objects.filter(Q(cube=cube.number) & visible(viewer))
