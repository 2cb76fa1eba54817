"""The orders in which sessions are listed, and cursors in these orders."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from accounts.viewer import Viewer
from ledger.models import class_bounds
from pricing.fields import LARGEST, from_nano, to_nano

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sort:
    """An order by a column, largest first. The rows are first sorted by ``coarse_column``, an indexed and coarser form
    of the column: a larger coarse value always means a larger value."""

    key: str
    label: str
    column: str
    coarse_column: str
    coarse: Callable[[Any], Any]
    """The coarser form of a value."""
    number: Callable[[Any], int]
    """The value as a whole number, for the address of a page."""
    value: Callable[[int], Any]
    """The value that a number stands for. ValueError or OverflowError if there is no such value."""
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
    _by_count("requests", "Requests", "requests", "requests_class"),
)  # fmt: skip
RECENT = SORTS[0]


def sorts_of(viewer: Viewer) -> tuple[Sort, ...]:
    """The orders that a viewer may choose. An order by cost would reveal a hidden cost."""
    return tuple(sort for sort in SORTS if viewer.sees_cost or not sort.is_of_cost)


@dataclass(frozen=True, slots=True)
class SessionCursor:
    """The place of a session in an order. The session's key orders sessions of equal value."""

    number: int
    organization_id: int
    user_id: int
    session_id: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor that ``str`` wrote; None for any other text."""
        parts = text.split("_", 3)
        if len(parts) < 4 or not all(_is_number(part) for part in parts[:3]):
            return None
        number, organization_id, user_id, session_id = parts
        return cls(int(number), int(organization_id), int(user_id), session_id)

    def __str__(self) -> str:
        return f"{self.number}_{self.organization_id}_{self.user_id}_{self.session_id}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= LARGEST
