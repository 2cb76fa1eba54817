"""Sums of a selection, as a viewer sees them.

Each question goes to the smallest cube that has its dimensions, or, where none has them, to the events themselves.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from operator import itemgetter
from typing import Literal, TypeVar

from django.db.models import Q, QuerySet

from accounts.viewer import Viewer
from analytics.cubes import Cube, smallest_with
from analytics.models import Rollup, UsageEvent
from analytics.reports import names, percentiles
from analytics.reports.detail_end import DetailEnd, detail_ends
from analytics.reports.grouped_sums import Group, Key, Values, grouped_sums
from analytics.reports.percentiles import Bucket, Histogram, LatencyPoint, Percentiles
from analytics.reports.scope import is_scattered, selected, visible
from analytics.reports.sums import DatedTotals, Point, Row, Summary, Totals, added
from analytics.selection import Dimension, Grain, Selection

EXACT_PERCENTILES_UP_TO = 1_000
"""So many requests or fewer: percentiles come from the events and not from the histogram."""
Kind = type[Summary] | type[Totals] | type[DatedTotals] | type[Bucket]
Question = tuple[Group, Kind]
"""What the rows are grouped by, and which of their sums are wanted."""
OVERVIEW_QUESTIONS: tuple[Question, ...] = (
    ((), Totals), (("day",), Totals), (("model",), Summary), (("project_id",), Summary), (("user_id",), Summary),
    (("expert_id",), Summary), (("template_id",), Summary), (("feature",), Summary), (("organization_id",), Summary),
    (("provider",), Summary), (("status",), Summary),
)  # fmt: skip
LATENCY = "latency_bucket"
HEAT: Group = ("weekday", "hour")
DERIVED = frozenset({"weekday"})
"""What follows from a dimension that every cube has."""
COST_SUMS = frozenset({"cost_usd", "unpriced"})
"""Hidden where the viewer may not see cost."""
FEW_EVENTS = 50_000
"""So many events are read quickly, whatever is asked of them."""


Value = str | int
"""Of a dimension: a name, or an id."""
S = TypeVar("S", Summary, Totals, DatedTotals, Bucket)
M = TypeVar("M", Totals, Histogram)


class Report:
    """What a viewer sees of a selection. Asks nothing before it is asked, and each thing once.

    ``together`` are questions that will be asked of it: those that have their answers in the same rows are answered in
    one pass over these. Whoever ``compares`` with the period before will ask for its totals: then one pass
    over the days of both answers for each day and for each period.
    """

    def __init__(
        self, viewer: Viewer, selection: Selection, together: Sequence[Question] = (), *, compares: bool = False
    ) -> None:
        self.viewer = viewer
        self.selection = selection
        self._together = together
        self._compares = compares
        self._breakdowns: dict[Dimension, Mapping[Value, Summary]] = {}
        self._answers: dict[Question, list[tuple[Key, Values]]] = {}
        self._names = names.Names(viewer)
        self._known_histograms: dict[Group, dict[Key, Histogram]] = {}

    def totals(self) -> Totals:
        return self._totals

    @cached_property
    def _totals(self) -> Totals:
        if self._days is not None:
            return self._of_days(self._days, self.selection)
        return self._sum(self.selection)

    def previous_totals(self) -> Totals | None:
        """The same for the period of the same length before this one. None where only requests could tell, and some
        of them are no longer there."""
        return self._previous_totals

    @cached_property
    def _previous_totals(self) -> Totals | None:
        previous = self.selection.previous()
        if self._days is not None:
            return self._of_days(self._days, previous)
        if smallest_with(self._needed(previous, ())) is None and detail_ends(self.viewer, previous):
            return None
        return self._sum(previous)

    @cached_property
    def _days(self) -> dict[date, Totals] | None:
        """Of this period and the one before. None where nobody compares them, or only the events know."""
        if not self._compares or smallest_with(self._needed(self.selection, ())) is None:
            return None
        both = replace(self.selection, first_day=self.selection.previous().first_day)
        return {key[0]: totals for key, totals in self._grouped(both, ("day",), Totals)}

    def _of_days(self, days: Mapping[date, Totals], period: Selection) -> Totals:
        in_period = (days[day] for day, _ in period.moments("day") if day in days)
        return added(in_period, self._nothing)

    @cached_property
    def detail_ends(self) -> Sequence[DetailEnd]:
        """The organizations that have not all of the requests of this range any more."""
        return detail_ends(self.viewer, self.selection)

    @property
    def leaves_out(self) -> Literal["", "some", "all"]:
        """Which of the figures given so far leave out the requests that are no longer there: those that no cube knows,
        if there are such requests. All, if not even the totals are known."""
        given = {group for group, kind in self._answers if self._source(self.selection, (group, kind))[0] is None}
        if not given or not self.detail_ends:
            return ""
        return "all" if () in given else "some"

    def series(self, grain: Grain | None = None) -> Sequence[Point]:
        """A point for every day (or hour) of the range, zeros where nothing happened."""
        grain = grain or self.selection.default_grain
        if grain == "day" and self._days is not None:
            return [Point(day, None, self._days.get(day, self._nothing)) for day, _ in self.selection.moments(grain)]
        found = _by_moment(dict(self._grouped(self.selection, _moments_of(grain), Totals)))
        nothing = self._nothing
        return [Point(*moment, found.get(moment, nothing)) for moment in self.selection.moments(grain)]

    def by_weekday_and_hour(self) -> dict[Key, Summary]:
        """For each ISO weekday (1 is Monday) and hour, as in the organizations' calendars, when something happened."""
        return dict(self._grouped(self.selection, HEAT, Summary))

    def breakdown(self, dimension: Dimension) -> Sequence[Row]:
        """A row with its name for each value, most requests first."""
        sums = self.sums_by(dimension)
        names = self.names(dimension, sums)
        return [Row(value, names[value], totals) for value, totals in sums.items()]

    def sums_by(self, dimension: Dimension) -> Mapping[Value, Summary]:
        """What each value adds up to, most requests first; without the names, of which there may be thousands."""
        if dimension not in self._breakdowns:
            self._breakdowns[dimension] = self._most_first(self.selection, dimension)
        return self._breakdowns[dimension]

    def names(self, dimension: Dimension, values: Iterable[Value]) -> dict[Value, str]:
        """What people call these values. For values that occur: it does not ask who may see them."""
        return self._names.of(dimension, values)

    def matching(self, dimension: Dimension, values: Iterable[Value], text: str) -> list[Value]:
        """Those of the values whose names have each of the text's words, in their order."""
        return names.matching(self.viewer, dimension, values, text)

    def totals_by(self, *names: str) -> dict[Key, DatedTotals]:
        """The totals of each combination of dimensions that occurs."""
        return dict(self._grouped(self.selection, names, DatedTotals))

    def top_model(self) -> Row | None:
        """The model with the most requests."""
        return next(iter(self.breakdown("model")), None)

    def choices(self, dimension: Dimension) -> dict[Value, int]:
        """What occurs in the range, whatever else is chosen in this dimension, with its requests; most first."""
        if dimension in self.selection.chosen:
            found: Mapping[Value, Summary] = self._most_first(self.selection.without(dimension), dimension)
        else:
            found = self.sums_by(dimension)
        return {value: sums.requests for value, sums in found.items()}

    def has_costly_choices(self, dimension: Dimension) -> bool:
        """Whether what else there is to choose takes a pass of its own over the events."""
        chosen = self.selection.chosen
        return (
            dimension in chosen and smallest_with(self._needed(self.selection.without(dimension), (dimension,))) is None
        )

    def latency_percentiles(self) -> Percentiles | None:
        """Of latency in ms; exact for small numbers of requests, else from a histogram (within about 3 %). None where
        nothing is known."""
        requests = self.totals().requests
        if not requests:
            return None
        if requests <= EXACT_PERCENTILES_UP_TO and self._events_are_few() and not self.detail_ends:
            return percentiles.exact(sorted(self.events().values_list("latency_ms", flat=True)))
        known = next(iter(self._known_histograms), ())
        whole = percentiles.merged(self._histograms(known).values())
        return percentiles.from_histogram(whole) if whole else None

    def latency_percentiles_by(self, *names: str) -> dict[Key, Percentiles]:
        """The same from the histogram for each combination of ``day``, ``hour`` or a dimension that occurs."""
        return {key: percentiles.from_histogram(found) for key, found in self._histograms(names).items()}

    def latency_series(self, grain: Grain) -> Sequence[LatencyPoint]:
        """A point for every day (or hour) of the range, from the histogram; one of nothing where nothing happened."""
        found = _by_moment(self._histograms(_moments_of(grain)))
        return [
            LatencyPoint(*moment, percentiles.from_histogram(found[moment]), percentiles.average_ttft(found[moment]))
            if moment in found
            else LatencyPoint(*moment, None, None)
            for moment in self.selection.moments(grain)
        ]

    def _histograms(self, names: Group) -> dict[Key, Histogram]:
        if names not in self._known_histograms:
            histograms: dict[Key, dict[int, Bucket]] = defaultdict(dict)
            for (*key, number), bucket in self._grouped(self.selection, (*names, LATENCY), Bucket):
                histograms[tuple(key)][number] = bucket
            self._known_histograms[names] = dict(histograms)
        return self._known_histograms[names]

    def events(self) -> "QuerySet[UsageEvent]":
        """The events of the selection that the viewer may see: for the log, the export and the drill-down."""
        return UsageEvent.objects.filter(visible(self.viewer) & selected(self.selection, UsageEvent))

    def _events_are_few(self) -> bool:
        everything = Selection(self.selection.first_day, self.selection.last_day)
        return not self.selection.chosen or self._sum(everything).requests <= FEW_EVENTS

    def _most_first(self, selection: Selection, dimension: Dimension) -> dict[Value, Summary]:
        grouped = [(key[0], sums) for key, sums in self._grouped(selection, (dimension,), Summary)]
        return dict(sorted(grouped, key=lambda pair: (-pair[1].requests, pair[0])))

    def _sum(self, selection: Selection) -> Totals:
        return next((totals for _, totals in self._grouped(selection, (), Totals)), self._nothing)

    def _grouped(self, selection: Selection, group: Group, kind: type[S]) -> list[tuple[Key, S]]:
        """The sums of each key of the group: from the smallest cube that can tell, else from the events."""
        return [(key, kind(*sums)) for key, sums in self._answer(selection, (group, kind))]

    def _answer(self, selection: Selection, question: Question) -> list[tuple[Key, Values]]:
        """Of the report's own selection, what was asked for together comes together."""
        if selection is not self.selection:
            return self._ask(selection, [question])[question]
        if question not in self._answers:
            source = self._source(selection, question)
            others = {other for other in self._together if self._source(selection, other) == source}
            self._answers |= self._ask(
                selection, [question, *sorted(others - {question} - self._answers.keys(), key=str)]
            )
        return self._answers[question]

    def _source(self, selection: Selection, question: Question) -> tuple[Cube | None, Kind | None]:
        """What is asked in one pass: the cube and the sums; the events, whose rows cost more than any sum of them."""
        group, kind = question
        cube = smallest_with(self._needed(selection, group))
        return (cube, kind) if cube else (None, None)

    def _ask(self, selection: Selection, questions: Sequence[Question]) -> dict[Question, list[tuple[Key, Values]]]:
        """All of them have one source."""
        cube, _ = self._source(selection, questions[0])
        rows: QuerySet[UsageEvent] | QuerySet[Rollup]
        if cube is None:
            rows = UsageEvent.objects.filter(visible(self.viewer) & selected(selection, UsageEvent))
        else:
            rows = Rollup.objects.filter(Q(cube=cube.number) & visible(self.viewer) & selected(selection, Rollup))
        groups = list(dict.fromkeys(group for group, _ in questions))
        names = list(dict.fromkeys(name for _, kind in questions for name in _names(kind)))
        hidden = () if self.viewer.sees_cost else COST_SUMS
        found = grouped_sums(rows, groups, names, hidden, at_once=not is_scattered(self.viewer, selection))
        return {(group, kind): _only(_names(kind), names, found[group]) for group, kind in questions}

    def _needed(self, selection: Selection, group: Group) -> frozenset[str]:
        """The dimensions that a cube has to have: of the groups, the filters and the viewer's scope."""
        scope = {"user_id"} if self.viewer.user_ids is not None else set()
        return frozenset({*group, *selection.chosen} | scope) - DERIVED

    @cached_property
    def _nothing(self) -> Totals:
        return Totals(cost_usd=Decimal(0) if self.viewer.sees_cost else None)


def chart_questions(grain: Grain) -> tuple[Question, ...]:
    """Those of the charts that come after the page."""
    return (((), Totals), (HEAT, Summary), ((*_moments_of(grain), LATENCY), Bucket))


def _names(kind: Kind) -> list[str]:
    return [field.name for field in fields(kind)]


def _only(wanted: Sequence[str], names: Sequence[str], found: list[tuple[Key, Values]]) -> list[tuple[Key, Values]]:
    """The wanted sums, two or more, of answers that have the sums of these names."""
    if wanted == names:
        return found
    pick = itemgetter(*(names.index(name) for name in wanted))
    return [(key, pick(sums)) for key, sums in found]


def _moments_of(grain: Grain) -> Group:
    return ("day", "hour") if grain == "hour" else ("day",)


def _by_moment(found: Mapping[Key, M]) -> dict[tuple[date, int | None], M]:
    """By day and hour, which is None where the keys have only days."""
    return {(key[0], key[1] if len(key) > 1 else None): value for key, value in found.items()}
