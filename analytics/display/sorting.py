"""The order and the pages of a table, which the query string chooses, and the links that change them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Generic, TypeVar

from analytics.filters.query_string import QueryString

NAME = "name"
"""The key of the first column, which every table has."""
Amount = float | Decimal | None
Subject = TypeVar("Subject")
Measured = TypeVar("Measured")


@dataclass(frozen=True, slots=True)
class Column(Generic[Measured]):
    """A column that a table can be sorted by. ``adds_up``: shares of the column's sum make sense. ``is_of_cost``: only
    viewers who see costs may see the column or sort by it."""

    key: str
    label: str
    amount: Callable[[Measured], Amount]
    adds_up: bool = False
    is_of_cost: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    key: str = "requests"
    descending: bool = True

    def __str__(self) -> str:
        return f"{'-' if self.descending else ''}{self.key}"


@dataclass(frozen=True, slots=True)
class Header:
    label: str
    link: QueryString
    direction: str
    """``ascending`` or ``descending`` if the table is sorted by this column, else empty."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The page that is shown: the slice of all rows from ``start`` to ``end``, and links to the pages beside it."""

    start: int
    end: int
    back: QueryString | None
    on: QueryString | None


@dataclass(frozen=True, slots=True)
class TableSettings:
    """The settings of one table in the query string. On a page with several tables each table has a prefix:
    ``sort=model:-requests`` sets ``-requests`` for the table of models."""

    query: QueryString
    prefix: str = ""

    def sort(self, columns: Iterable[Column[Measured]]) -> Sort:
        """The order in the query string; the default order if it names none of these columns."""
        text = self._get("sort")
        key = text.removeprefix("-")
        return Sort(key, text.startswith("-")) if key in {NAME, *(column.key for column in columns)} else Sort()

    def headers(self, name: str, columns: Iterable[Column[Measured]], sort: Sort) -> tuple[Header, ...]:
        """The headers of all columns; ``name`` is the label of the first column."""
        named = [(NAME, name), *((column.key, column.label) for column in columns)]
        return tuple(self._header(key, label, sort) for key, label in named)

    def pages(self, total: int, size: int) -> Pages:
        """The page in the query string, where ``total`` rows are shown ``size`` to a page. A page number beyond the
        last page gives the last page."""
        last = max(1, -(-total // size))
        text = self._get("page")
        page = min(max(1, int(text)) if text.isdecimal() and len(text) < 10 else 1, last)
        return Pages(
            start=(page - 1) * size,
            end=page * size,
            back=self._to_page(page - 1) if page > 1 else None,
            on=self._to_page(page + 1) if page < last else None,
        )

    def _header(self, key: str, label: str, sort: Sort) -> Header:
        """A header whose link sorts by its column. The first click sorts numbers from the largest and names from A, the
        second click reverses the order."""
        wanted = Sort(key, not sort.descending if key == sort.key else key != NAME)
        first_page = TableSettings(self._to_page(1), self.prefix)
        link = first_page._replaced("sort", "" if wanted == Sort() else str(wanted))
        direction = ("descending" if sort.descending else "ascending") if key == sort.key else ""
        return Header(label, link, direction)

    def _to_page(self, page: int) -> QueryString:
        return self._replaced("page", str(page) if page > 1 else "")

    def _get(self, name: str) -> str:
        values = (value for value in self.query.values(name) if value.startswith(self.prefix))
        return next(values, "").removeprefix(self.prefix)

    def _replaced(self, name: str, setting: str) -> QueryString:
        others = [value for value in self.query.values(name) if not value.startswith(self.prefix)]
        return self.query.replaced(name, [*others, f"{self.prefix}{setting}"] if setting else others)


def in_order(
    subjects: Iterable[Subject],
    sort: Sort,
    columns: Iterable[Column[Measured]],
    measured: Callable[[Subject], Measured],
    name: Callable[[Subject], str],
) -> list[Subject]:
    """The subjects, sorted. Subjects with equal amounts keep their given order. Subjects without an amount come last in
    both directions."""
    if sort.key == NAME:
        return sorted(subjects, key=lambda subject: name(subject).casefold(), reverse=sort.descending)
    amount = next(column.amount for column in columns if column.key == sort.key)
    amounts = [(amount(measured(subject)), subject) for subject in subjects]
    known = [(number, subject) for number, subject in amounts if number is not None]
    known.sort(key=itemgetter(0), reverse=sort.descending)
    return [subject for _, subject in known] + [subject for number, subject in amounts if number is None]


def measure_of(sort: Sort, columns: Sequence[Column[Measured]]) -> Column[Measured]:
    """The column whose shares are shown: the one that the table is sorted by if its amounts add up, else the first."""
    return next((column for column in columns if column.key == sort.key and column.adds_up), columns[0])


def share(amount: Amount, whole: Amount) -> float:
    return float(amount or 0) / float(whole) if whole else 0.0
