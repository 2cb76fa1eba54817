"""The table for finance: the sums of each day or month and each combination of one or two dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from accounts.viewer import Viewer
from analytics.reports.names import Names
from analytics.reports.planner import Planner
from analytics.reports.retained import RetainedFrom, retained_from
from analytics.reports.selection import Dimension, Selection
from analytics.reports.totals import Totals

Period = Literal["day", "month"]
MAX_ROWS = 50_000
"""A table is made and sorted in memory. This number of rows takes about 45 MB, and five seconds to write as XLSX."""


class TooManyRowsError(Exception):
    """The table would have more than MAX_ROWS rows."""


@dataclass(frozen=True, slots=True)
class GroupedRow:
    """The sums of one day, or of the month that begins on ``day``, for one value of each dimension."""

    day: date
    values: tuple[Any, ...]
    labels: tuple[str, ...]
    totals: Totals


@dataclass(frozen=True, slots=True)
class GroupedTable:
    """A table of the requests of a selection that a viewer may see. Days and months are those of each organization's
    own time zone; a month at an end of the range has only its days within the range."""

    viewer: Viewer
    selection: Selection
    period: Period
    dimensions: tuple[Dimension, ...]

    def rows(self) -> list[GroupedRow]:
        """The rows with requests, ordered by day and names. TooManyRowsError beyond MAX_ROWS."""
        planner = Planner(self.viewer, self.selection)
        found = planner.some(self.selection, self._group, Totals, MAX_ROWS + 1)
        if len(found) > MAX_ROWS:
            raise TooManyRowsError
        names = Names(self.viewer)
        labels = [
            names.of(dimension, {key[place] for key, _ in found}) for place, dimension in enumerate(self.dimensions, 1)
        ]
        rows = [
            GroupedRow(day, tuple(values), tuple(map(dict.__getitem__, labels, values)), totals)
            for (day, *values), totals in found
        ]
        return sorted(rows, key=lambda row: (row.day, row.labels, row.values))

    @property
    def leaves_out(self) -> Sequence[RetainedFrom]:
        """The ends of detail, if deleted requests are missing in this table because only events can tell its sums."""
        if Planner(self.viewer, self.selection).cube(self.selection, self._group) is not None:
            return ()
        return retained_from(self.viewer, self.selection)

    @property
    def _group(self) -> tuple[str, ...]:
        return (self.period, *self.dimensions)
