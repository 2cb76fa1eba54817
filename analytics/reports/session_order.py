"""The orders that sessions are listed in, and places in them."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from accounts.viewer import Viewer
from analytics.models import class_bounds
from pricing.fields import LARGEST, from_nano, to_nano

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sort:
    """An order, the largest first, by a column and first of all by the indexed column that is a coarser form of it."""

    key: str
    label: str
    column: str
    coarse_column: str
    coarse: Callable[[Any], Any]
    """The coarser form of a value."""
    number: Callable[[Any], int]
    """A value as a number, for an address."""
    value: Callable[[int], Any]
    """The value of such a number. ValueError or OverflowError where it is none."""
    is_of_cost: bool = False


def _class_of(measure: str) -> Callable[[int], int]:
    bounds = class_bounds(measure)
    return lambda value: bisect_right(bounds, value)


def _utc_day(value: datetime) -> date:
    return value.astimezone(UTC).date()


def _microseconds(value: datetime) -> int:
    return (value - EPOCH) // timedelta(microseconds=1)


def _by_count(key: str, label: str, column: str, coarse_column: str) -> Sort:
    return Sort(key, label, column, coarse_column, _class_of(column), int, int)


SORTS = (
    Sort(
        "recent", "Most recent", "last_at", "last_utc_day", _utc_day, _microseconds,
        lambda number: EPOCH + timedelta(microseconds=number),
    ),
    Sort(
        "cost", "Cost", "cost_usd", "cost_class", lambda value: _class_of("cost_usd")(to_nano(value)), to_nano,
        from_nano, is_of_cost=True,
    ),
    _by_count("tokens", "Tokens", "total_tokens", "tokens_class"),
    _by_count("messages", "Messages", "requests", "requests_class"),
)  # fmt: skip
RECENT = SORTS[0]


def sorts_of(viewer: Viewer) -> tuple[Sort, ...]:
    """The orders that a viewer may have: one by a hidden cost would tell it."""
    return tuple(sort for sort in SORTS if viewer.sees_cost or not sort.is_of_cost)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session stands in an order. Keys tell those of equal value apart."""

    number: int
    organization_id: int
    user_id: int
    session_id: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What ``str`` made; None for anything else."""
        parts = text.split("_", 3)
        if len(parts) < 4 or not all(_is_number(part) for part in parts[:3]):
            return None
        number, organization_id, user_id, session_id = parts
        return cls(int(number), int(organization_id), int(user_id), session_id)

    def __str__(self) -> str:
        return f"{self.number}_{self.organization_id}_{self.user_id}_{self.session_id}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= LARGEST
