"""What a month will come to: the average of its finished days, for all of its days."""

from calendar import monthrange
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Self

from analytics.display import figures
from analytics.reports import Point, Totals


@dataclass(frozen=True, slots=True)
class Outlook:
    """The finished days of a month that goes on, and the last day of the month."""

    finished: tuple[Totals, ...]
    last_day: date

    @classmethod
    def of(cls, points: Sequence[Point], today: date) -> Self | None:
        """The outlook from a point for each day of the month so far. Days before ``today`` are finished; ``today`` is
        the earliest of several local dates. None if no day is finished."""
        finished = tuple(point.totals for point in points if point.day < today)
        if not finished:
            return None
        first = points[0].day
        return cls(finished, first.replace(day=monthrange(first.year, first.month)[1]))

    def whole(self, amount: Callable[[Totals], int | Decimal | None]) -> Decimal:
        """The sum of the whole month, if its other days are like the average of the finished ones."""
        total = sum((Decimal(amount(totals) or 0) for totals in self.finished), Decimal(0))
        return total * self.last_day.day / len(self.finished)

    @property
    def is_part(self) -> bool:
        """Whether a finished day has requests without a whole cost, so that the month costs more than its outlook."""
        return any(totals.unpriced for totals in self.finished)

    @property
    def explanation(self) -> str:
        days = len(self.finished)
        average = "the finished day of this month" if days == 1 else f"the {days} finished days of this month"
        return f"By {figures.day(self.last_day)}: the average of {average}, for all {self.last_day.day} days."
