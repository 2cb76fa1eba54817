"""The planner: it decides which table answers a question, and which questions one query answers together.

Each question goes to the smallest cube that has its dimensions, or, where none has them, to the events themselves.
"""

from collections.abc import Collection, Sequence
from dataclasses import fields
from operator import itemgetter
from typing import TypeVar

from accounts.viewer import Viewer
from analytics.reports.grouped_sums import Group, Key, Values, grouped_sums
from analytics.reports.percentiles import Bucket
from analytics.reports.scope import is_scattered, rows_of, scope_of
from analytics.reports.selection import Selection
from analytics.reports.totals import DatedTotals, Summary, Totals
from ledger.rollups.cubes import Cube, smallest_with

Kind = type[Summary] | type[Totals] | type[DatedTotals] | type[Bucket]
Question = tuple[Group, Kind]
"""The dimensions that rows are grouped by, and the class of sums that is wanted of each group."""
Answer = list[tuple[Key, Values]]
DERIVED = frozenset({"weekday", "month"})
"""Dimensions that are computed from one that every cube has, the day."""
COST_SUMS = frozenset({"cost_usd", "tool_cost_usd", "unpriced", "without_tool_fees"})
"""The sums that are hidden from viewers who may not see cost."""

S = TypeVar("S", Summary, Totals, DatedTotals, Bucket)


class Planner:
    """Answers questions for a viewer. Answers about the planner's own selection are kept, so each is read once."""

    def __init__(self, viewer: Viewer, selection: Selection, together: Sequence[Question] = ()) -> None:
        """``together`` are questions that will be asked about the selection. The first one that is asked also loads the
        answers to all others with the same source."""
        self._viewer = viewer
        self._selection = selection
        self._together = together
        self._answers: dict[Question, Answer] = {}

    @property
    def answered(self) -> Collection[Group]:
        """The groups of the questions that have been answered."""
        return {group for group, _ in self._answers}

    def cube(self, selection: Selection, group: Group) -> Cube | None:
        """The smallest cube that has the dimensions of the group and the filters; None if only the events have them."""
        return smallest_with((scope_of(self._viewer) | {*group, *selection.chosen}) - DERIVED)

    def grouped(self, selection: Selection, group: Group, kind: type[S]) -> list[tuple[Key, S]]:
        """The sums for each key (combination of values) of the group, as instances of ``kind``."""
        return [(key, kind(*sums)) for key, sums in self._answer(selection, (group, kind))]

    def some(self, selection: Selection, group: Group, kind: type[S], at_most: int) -> list[tuple[Key, S]]:
        """As ``grouped``, but for at most this number of keys, any of them. The answer is not kept."""
        question: Question = (group, kind)
        return [(key, kind(*sums)) for key, sums in self._ask(selection, [question], at_most)[question]]

    def _answer(self, selection: Selection, question: Question) -> Answer:
        if selection is not self._selection:
            return self._ask(selection, [question])[question]
        if question not in self._answers:
            source = self._source(selection, question)
            others = {other for other in self._together if self._source(selection, other) == source}
            others -= {question, *self._answers}
            self._answers |= self._ask(selection, [question, *sorted(others, key=str)])
        return self._answers[question]

    def _source(self, selection: Selection, question: Question) -> tuple[Cube | None, Kind | None]:
        """The source of an answer; one query answers all questions with the same source. These are questions for the
        same sums of the same cube, and all questions to the events, because reading those rows costs most."""
        group, kind = question
        cube = self.cube(selection, group)
        return (cube, kind) if cube else (None, None)

    def _ask(
        self, selection: Selection, questions: Sequence[Question], at_most: int | None = None
    ) -> dict[Question, Answer]:
        """The answers to questions that all have the same source."""
        cube, _ = self._source(selection, questions[0])
        rows = rows_of(self._viewer, selection, cube)
        groups = list(dict.fromkeys(group for group, _ in questions))
        names = list(dict.fromkeys(name for _, kind in questions for name in _names(kind)))
        hidden = () if self._viewer.sees_cost else COST_SUMS
        at_once = not is_scattered(self._viewer, selection)
        found = grouped_sums(rows, groups, names, hidden, at_once=at_once, at_most=at_most)
        return {(group, kind): _only(_names(kind), names, found[group]) for group, kind in questions}


def _names(kind: Kind) -> list[str]:
    return [field.name for field in fields(kind)]


def _only(wanted: Sequence[str], names: Sequence[str], found: Answer) -> Answer:
    """The answers reduced from the sums ``names`` to the ``wanted`` ones, of which there are at least two."""
    if wanted == names:
        return found
    pick = itemgetter(*(names.index(name) for name in wanted))
    return [(key, pick(sums)) for key, sums in found]
