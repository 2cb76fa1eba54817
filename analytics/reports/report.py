"""The figures of a selection, as a viewer sees them. The planner decides which table each figure is read from."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Literal, TypeVar

from django.db.models import QuerySet

from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.reports import names, percentiles
from analytics.reports.calendar import first_day
from analytics.reports.grouped_sums import Group, Key
from analytics.reports.grouped_table import MAX_ROWS, TooManyRowsError
from analytics.reports.percentiles import Bucket, Histogram, LatencyPoint, Percentiles
from analytics.reports.planner import Planner, Question
from analytics.reports.retained import RetainedFrom, retained_from
from analytics.reports.scope import selected, visible
from analytics.reports.selection import Dimension, Grain, Selection
from analytics.reports.totals import DatedTotals, Point, Row, Summary, Totals, added
from ledger.models import Outcome, UsageEvent

EXACT_PERCENTILES_UP_TO = 1_000
"""At most this number of requests gets exact percentiles from the events. More requests use the histogram."""
LATENCY = "latency_bucket"
HEAT: Group = ("weekday", "hour")
FEW_ORGANIZATIONS = 100
"""The sums of each of at most this number of organizations, their people and projects can be read quickly."""
FEW_EVENTS = 50_000
"""At most this number of events can be read quickly with any filter."""


Value = str | int
"""A value of a dimension: a name, or an id."""
When = tuple[date, int | None]
"""A local day, with an hour or without."""
M = TypeVar("M", Totals, Histogram)


class Report:
    """The figures of a selection that a viewer may see. Each figure is read when it is first wanted, and only once.

    ``together`` are questions that will be asked: those whose answers are in the same rows are answered in one query.
    With ``compares``, the totals of this period and of the previous one come from one query by day.
    """

    def __init__(
        self, viewer: Viewer, selection: Selection, together: Sequence[Question] = (), *, compares: bool = False
    ) -> None:
        self.viewer = viewer
        self.selection = selection
        self._together = together
        self._planner = Planner(viewer, selection, together)
        self._compares = compares
        self._breakdowns: dict[Dimension, Mapping[Value, Summary]] = {}
        self._names = names.Names(viewer)
        self._known_histograms: dict[Group, dict[Key, Histogram]] = {}
        self._known_of_both: dict[Grain, Mapping[When, Totals]] = {}

    def totals(self) -> Totals:
        return self._totals

    @cached_property
    def _totals(self) -> Totals:
        if (days := self._of_both("day")) is not None:
            return self._added(days, self.selection)
        return self._sum(self.selection)

    def previous_totals(self) -> Totals | None:
        """The totals of the previous period, which has the same length. None if only the events could tell and some of
        them were deleted."""
        return self._previous_totals

    @cached_property
    def covered_from(self) -> date | None:
        """The first day with anything that the viewer may see, under whatever filters; None if there is nothing. A
        period that begins before this day is not covered by data, so comparing with it would mislead."""
        return first_day(self.viewer)

    @property
    def covers_previous(self) -> bool:
        """Whether the previous period is covered by data from its first day on."""
        return self.covered_from is not None and self._previous.selection.first_day >= self.covered_from

    def previous_sums_by(self, dimension: Dimension) -> Mapping[Value, Summary] | None:
        """The sums of each value in the previous period, most requests first. None if only the events could tell and
        some of them were deleted."""
        previous = self._previous
        if self._planner.cube(previous.selection, (dimension,)) is None and previous.retained_from:
            return None
        return previous.sums_by(dimension)

    @cached_property
    def _previous(self) -> "Report":
        return Report(self.viewer, self.selection.previous(), self._together)

    @cached_property
    def _previous_totals(self) -> Totals | None:
        previous = self._previous
        if (days := self._of_both("day")) is not None:
            return self._added(days, previous.selection)
        if self._planner.cube(previous.selection, ()) is None and previous.retained_from:
            return None
        return self._sum(previous.selection)

    def _of_both(self, grain: Grain) -> Mapping[When, Totals] | None:
        """The totals of each day (or hour) of this period and the previous one. None if the periods are not compared,
        or if no cube has these totals."""
        group = moments_of(grain)
        if not self._compares or self._planner.cube(self.selection, group) is None:
            return None
        if grain not in self._known_of_both:
            both = replace(self.selection, first_day=self.selection.previous().first_day)
            self._known_of_both[grain] = _by_moment(dict(self._planner.grouped(both, group, Totals)))
        return self._known_of_both[grain]

    def _added(self, days: Mapping[When, Totals], period: Selection) -> Totals:
        return added((days[day] for day in period.moments("day") if day in days), self._nothing)

    @cached_property
    def retained_from(self) -> Sequence[RetainedFrom]:
        """The ends of detail of the organizations from which requests of this range were deleted."""
        return retained_from(self.viewer, self.selection)

    @property
    def leaves_out(self) -> Literal["", "some", "all"]:
        """Whether the figures given so far leave deleted requests out: "some" if a figure comes from events, because no
        cube has it; "all" if even the totals do; empty if none does or no request was deleted."""
        given = {group for group in self._planner.answered if self._planner.cube(self.selection, group) is None}
        if not given or not self.retained_from:
            return ""
        return "all" if () in given else "some"

    def series(self, grain: Grain | None = None) -> Sequence[Point]:
        """A point for every day (or hour) of the range, with zeros for one without requests."""
        grain = grain or self.selection.default_grain
        found = self._of_both(grain)
        if found is None:
            found = _by_moment(dict(self._planner.grouped(self.selection, moments_of(grain), Totals)))
        nothing = self._nothing
        return [Point(*moment, found.get(moment, nothing)) for moment in self.selection.moments(grain)]

    def previous_series(self, grain: Grain) -> Sequence[Totals] | None:
        """The totals of each day (or hour) of the previous period; None if the periods are not compared, or if there
        were no requests in it. Hours are those of each organization's clock, so that every day has 24."""
        both = self._of_both(grain)
        if both is None:
            return None
        found = [both.get(moment, self._nothing) for moment in self.selection.previous().moments(grain)]
        return found if any(totals.requests for totals in found) else None

    def series_by(self, dimension: Dimension, values: Sequence[Value], grain: Grain) -> dict[Value, list[Summary]]:
        """For each of these values of a dimension its sums at every day (or hour) of the range."""
        narrowed = replace(self.selection, chosen={**self.selection.chosen, dimension: tuple(values)})
        moments = list(self.selection.moments(grain))
        nothing = Summary(cost_usd=self._nothing.cost_usd)
        found: dict[Value, dict[When, Summary]] = {value: {} for value in values}
        if values:
            for (*moment, value), sums in self._planner.grouped(narrowed, (*moments_of(grain), dimension), Summary):
                found[value][moment[0], moment[1] if grain == "hour" else None] = sums
        return {value: [sums.get(moment, nothing) for moment in moments] for value, sums in found.items()}

    def people_active(self, days: Iterable[int]) -> dict[int, int]:
        """For each of these numbers of days up to the last day of the range, the number of people with requests.
        Requests that name no person do not count."""
        longest = max(days := list(days))
        first_day = self.selection.last_day - timedelta(days=longest - 1)
        people = self._planner.grouped(replace(self.selection, first_day=first_day), ("user_id",), DatedTotals)
        last_days = [totals.last_day for (user_id,), totals in people if user_id and totals.last_day]
        return {
            number: sum(day > self.selection.last_day - timedelta(days=number) for day in last_days) for number in days
        }

    def by_weekday_and_hour(self) -> dict[Key, Summary]:
        """The sums of each ISO weekday (1 is Monday) and local hour that has requests."""
        return dict(self._planner.grouped(self.selection, HEAT, Summary))

    def breakdown(self, dimension: Dimension) -> Sequence[Row]:
        """A row with a name for each value of the dimension, most requests first."""
        sums = self.sums_by(dimension)
        names = self.names(dimension, sums)
        return [Row(value, names[value], totals) for value, totals in sums.items()]

    def sums_by(self, dimension: Dimension) -> Mapping[Value, Summary]:
        """The sums of each value, most requests first; without names, because there may be thousands of values."""
        if dimension not in self._breakdowns:
            self._breakdowns[dimension] = self._most_first(self.selection, dimension)
        return self._breakdowns[dimension]

    def names(self, dimension: Dimension, values: Iterable[Value]) -> dict[Value, str]:
        """The names of these values. The caller passes only values that occur in the report, because this does not
        check whether the viewer may see them."""
        return self._names.of(dimension, values)

    def matching(self, dimension: Dimension, values: Iterable[Value], text: str) -> list[Value]:
        """The values whose names contain every word of the text, in the given order."""
        return names.matching(self.viewer, dimension, values, text)

    def totals_by(self, *names: str) -> dict[Key, DatedTotals]:
        """The totals of each occurring combination of values of these dimensions."""
        return dict(self._planner.grouped(self.selection, names, DatedTotals))

    def combinations(self, *names: Dimension) -> list[tuple[Key, Summary]]:
        """The sums of each occurring combination of values of these dimensions. TooManyRowsError beyond MAX_ROWS."""
        found = self._planner.some(self.selection, names, Summary, MAX_ROWS + 1)
        if len(found) > MAX_ROWS:
            raise TooManyRowsError
        return found

    def top_model(self) -> Row | None:
        """The model with the most requests; None without requests."""
        return next(iter(self.breakdown("model")), None)

    def choices(self, dimension: Dimension) -> dict[Value, int]:
        """The values of a dimension with their numbers of requests, most first. The report's own filter on this
        dimension does not apply, so that a menu also offers what is not chosen."""
        if dimension in self.selection.chosen:
            found: Mapping[Value, Summary] = self._most_first(self.selection.without(dimension), dimension)
        else:
            found = self.sums_by(dimension)
        requests = {value: sums.requests for value, sums in found.items()}
        if dimension == "status" and Outcome.TIMEOUT in requests:  # The filter by errors includes time-outs.
            requests[Outcome.ERROR] = requests.get(Outcome.ERROR, 0) + requests[Outcome.TIMEOUT]
        return requests

    def has_costly_choices(self, dimension: Dimension) -> bool:
        """Whether ``choices`` of this dimension would need a separate query over the events."""
        is_chosen = dimension in self.selection.chosen
        return is_chosen and self._planner.cube(self.selection.without(dimension), (dimension,)) is None

    def is_slow(self, dimension: Dimension) -> bool:
        """Whether the sums by this dimension take long though the totals do not, because they are put together from the
        sums of each of many organizations."""
        return self.reads_each(dimension) and self._are_organizations_many

    def reads_each(self, dimension: Dimension) -> bool:
        """Whether the totals are the sums over all organizations, while the sums by this dimension have to be put
        together from those of each organization."""
        whole, cube = (self._planner.cube(self.selection, group) for group in ((), (dimension,)))
        return whole is not None and whole.is_of_all and (cube is None or not cube.is_of_all)

    @cached_property
    def _are_organizations_many(self) -> bool:
        return Organization.objects.count() > FEW_ORGANIZATIONS

    def latency_percentiles(self) -> Percentiles | None:
        """The percentiles of latency in milliseconds: exact for few requests, else from a histogram (within about 3 %).
        None without data."""
        requests = self.totals().requests
        if not requests:
            return None
        if requests <= EXACT_PERCENTILES_UP_TO and self._events_are_few() and not self.retained_from:
            return percentiles.exact(sorted(self.events().values_list("latency_ms", flat=True)))
        whole = self.latency_histogram()
        return percentiles.from_histogram(whole) if whole else None

    def latency_histogram(self) -> Histogram:
        """The requests in each bucket of latency."""
        known = next(iter(self._known_histograms), ())
        return percentiles.merged(self._histograms(known).values())

    def latency_histograms_by(self, *names: str) -> dict[Key, Histogram]:
        """The requests in each bucket of latency, for each occurring combination of these dimensions."""
        return self._histograms(names)

    def latency_percentiles_by(self, *names: str) -> dict[Key, Percentiles]:
        """The percentiles from the histogram of each occurring combination of these dimensions, ``day`` or ``hour``."""
        return {key: percentiles.from_histogram(found) for key, found in self._histograms(names).items()}

    def latency_series(self, grain: Grain) -> Sequence[LatencyPoint]:
        """A point for every day (or hour) of the range, from the histogram; its figures are None without requests."""
        found = _by_moment(self._histograms(moments_of(grain)))
        return [
            LatencyPoint(*moment, percentiles.from_histogram(found[moment]), percentiles.average_ttft(found[moment]))
            if moment in found
            else LatencyPoint(*moment, None, None)
            for moment in self.selection.moments(grain)
        ]

    def _histograms(self, names: Group) -> dict[Key, Histogram]:
        if names not in self._known_histograms:
            histograms: dict[Key, dict[int, Bucket]] = defaultdict(dict)
            for (*key, number), bucket in self._planner.grouped(self.selection, (*names, LATENCY), Bucket):
                histograms[tuple(key)][number] = bucket
            self._known_histograms[names] = dict(histograms)
        return self._known_histograms[names]

    def events(self) -> "QuerySet[UsageEvent]":
        """The events of the selection that the viewer may see."""
        return UsageEvent.objects.filter(visible(self.viewer) & selected(self.selection, UsageEvent))

    def _events_are_few(self) -> bool:
        everything = Selection(self.selection.first_day, self.selection.last_day)
        return not self.selection.chosen or self._sum(everything).requests <= FEW_EVENTS

    def _most_first(self, selection: Selection, dimension: Dimension) -> dict[Value, Summary]:
        grouped = [(key[0], sums) for key, sums in self._planner.grouped(selection, (dimension,), Summary)]
        return dict(sorted(grouped, key=lambda pair: (-pair[1].requests, pair[0])))

    def _sum(self, selection: Selection) -> Totals:
        return next((totals for _, totals in self._planner.grouped(selection, (), Totals)), self._nothing)

    @cached_property
    def _nothing(self) -> Totals:
        nothing = Decimal(0) if self.viewer.sees_cost else None
        return Totals(cost_usd=nothing, tool_cost_usd=nothing)


def moments_of(grain: Grain) -> Group:
    """The dimensions of time for a grain."""
    return ("day", "hour") if grain == "hour" else ("day",)


def _by_moment(found: Mapping[Key, M]) -> dict[When, M]:
    """The values by day and hour; the hour is None if the keys have only days."""
    return {(key[0], key[1] if len(key) > 1 else None): value for key, value in found.items()}
