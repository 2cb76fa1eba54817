"""The meaning of a query string: a range of days and the chosen values of each dimension."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Literal

Dimension = Literal[
    "organization_id",
    "provider",
    "model",
    "project_id",
    "user_id",
    "expert_id",
    "template_id",
    "feature",
    "status",
    "session_id",
]
Grain = Literal["hour", "day"]

HOURLY_UP_TO_DAYS = 3


@dataclass(frozen=True, slots=True)
class Selection:
    """A range of days in each organization's own calendar, both ends included, and filters.

    ``chosen`` maps a dimension to its allowed values. An event has to match one value in each dimension. The value 0 or
    "" stands for events that name no project, user, expert and so on.
    """

    first_day: date
    last_day: date
    chosen: Mapping[Dimension, tuple[str | int, ...]] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.first_day, self.last_day, frozenset(self.chosen.items())))

    @property
    def days(self) -> int:
        return (self.last_day - self.first_day).days + 1

    @property
    def default_grain(self) -> Grain:
        return "hour" if self.days <= HOURLY_UP_TO_DAYS else "day"

    def moments(self, grain: Grain) -> Iterator[tuple[date, int | None]]:
        """Every day of the range, or every hour of these days, with or without requests."""
        hours: tuple[int | None, ...] = tuple(range(24)) if grain == "hour" else (None,)
        for number in range(self.days):
            yield from ((self.first_day + timedelta(days=number), hour) for hour in hours)

    def previous(self) -> "Selection":
        """The same filters for the period of the same length that ends the day before this one begins."""
        span = timedelta(days=self.days)
        return replace(self, first_day=self.first_day - span, last_day=self.last_day - span)

    def without(self, dimension: Dimension) -> "Selection":
        """This selection without the filter on one dimension."""
        return replace(self, chosen={name: values for name, values in self.chosen.items() if name != dimension})
