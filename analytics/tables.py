"""The tables: one for each dimension, sorted and paged as the query string says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from accounts.viewer import Viewer
from analytics.charts import tone
from analytics.filters import Facet, Filters, facets_of
from analytics.query import Query
from analytics.reports import Report, Row, Summary

ROWS = 10
TABLES = ("model", "project", "user", "expert", "template", "organization")


@dataclass(frozen=True, slots=True)
class Column:
    """What a table can be sorted by. ``adds_up`` where shares of it make sense."""

    key: str
    label: str
    amount: Callable[[Summary], float | Decimal | None]
    adds_up: bool = False


COLUMNS = (
    Column("requests", "Requests", lambda t: t.requests, adds_up=True),
    Column("total_tokens", "Tokens", lambda t: t.total_tokens, adds_up=True),
    Column("cost_usd", "Cost", lambda t: t.cost_usd, adds_up=True),
    Column("avg_latency_ms", "Avg Latency", lambda t: t.avg_latency_ms),
    Column("error_rate", "Error Rate", lambda t: t.error_rate),
)
NAME = "name"
COST = "cost_usd"


@dataclass(frozen=True, slots=True)
class Sort:
    key: str = "requests"
    descending: bool = True

    def __str__(self) -> str:
        return f"{'-' if self.descending else ''}{self.key}"


@dataclass(frozen=True, slots=True)
class Header:
    label: str
    link: Query
    direction: str
    """``ascending`` or ``descending`` where the table is sorted by this column, else empty."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row: its name, where the name leads, its sums, and its share of what the table is sorted by."""

    label: str
    link: Query
    totals: Summary
    share: float
    tone: int


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    label: str
    headers: tuple[Header, ...]
    lines: tuple[Line, ...]
    total: int
    """How many rows there are on all pages."""
    first: int
    share_of: str
    back: Query | None
    on: Query | None

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def tables(report: Report, filters: Filters) -> list[Table]:
    """A table for each dimension that the viewer can compare; those that know only "none" are left out."""
    shown = (facet for facet in facets_of(report.viewer) if facet.name in TABLES)
    ordered = sorted(shown, key=lambda facet: TABLES.index(facet.name))
    made = ((facet, report.breakdown(facet.dimension)) for facet in ordered)
    return [_table(facet, rows, filters, report.viewer) for facet, rows in made if any(row.value for row in rows)]


def _table(facet: Facet, rows: Sequence[Row], filters: Filters, viewer: Viewer) -> Table:
    columns = [column for column in COLUMNS if viewer.sees_cost or column.key != COST]
    sort = _sort(filters.query, facet, columns)
    rows = _sorted(rows, sort, columns)
    pages = max(1, -(-len(rows) // ROWS))
    page = min(_page(filters.query, facet), pages)
    measure = next((c for c in columns if c.key == sort.key and c.adds_up), columns[0])
    total = sum((_number(measure.amount(row.totals)) for row in rows), Decimal(0))
    return Table(
        name=facet.name,
        label=facet.label,
        headers=_headers(facet, columns, sort, filters.query),
        lines=tuple(_line(facet, row, filters, measure, total) for row in rows[(page - 1) * ROWS : page * ROWS]),
        total=len(rows),
        first=(page - 1) * ROWS + 1,
        share_of=measure.label.lower(),
        back=_to_page(filters.query, facet, page - 1) if page > 1 else None,
        on=_to_page(filters.query, facet, page + 1) if page < pages else None,
    )


def _line(facet: Facet, row: Row, filters: Filters, measure: Column, total: Decimal) -> Line:
    share = _number(measure.amount(row.totals)) / total if total else Decimal(0)
    colour = tone(str(row.value)) if facet.name == "model" else 0
    link = filters.only(facet, (facet.text(row.value),))
    return Line(row.label or "(none)", link, row.totals, float(share), colour)


def _number(amount: float | Decimal | None) -> Decimal:
    return Decimal(amount or 0)


def _setting(query: Query, name: str, facet: Facet) -> str:
    """The present setting of one table: ``sort=model:-requests`` says ``-requests`` for the table of models."""
    prefix = f"{facet.name}:"
    found = (value.removeprefix(prefix) for value in query.values(name) if value.startswith(prefix))
    return next(found, "")


def _with_setting(query: Query, name: str, facet: Facet, setting: str) -> Query:
    others = [value for value in query.values(name) if not value.startswith(f"{facet.name}:")]
    return query.replaced(name, [*others, f"{facet.name}:{setting}"] if setting else others)


def _sort(query: Query, facet: Facet, columns: Sequence[Column]) -> Sort:
    """As asked; the default for a column that is unknown or may not be seen."""
    text = _setting(query, "sort", facet)
    key = text.removeprefix("-")
    return Sort(key, text.startswith("-")) if key in {NAME, *(column.key for column in columns)} else Sort()


def _page(query: Query, facet: Facet) -> int:
    text = _setting(query, "page", facet)
    return max(1, int(text)) if text.isdecimal() and len(text) < 10 else 1


def _to_page(query: Query, facet: Facet, page: int) -> Query:
    return _with_setting(query, "page", facet, str(page) if page > 1 else "")


def _sorted(rows: Sequence[Row], sort: Sort, columns: Sequence[Column]) -> list[Row]:
    """Ties by name. Rows that have no value come last, whichever the direction."""
    by_name = sorted(rows, key=lambda row: row.label.casefold(), reverse=sort.key == NAME and sort.descending)
    if sort.key == NAME:
        return by_name
    amount = next(column.amount for column in columns if column.key == sort.key)
    sign = -1 if sort.descending else 1
    return sorted(by_name, key=lambda row: (amount(row.totals) is None, sign * _number(amount(row.totals))))


def _headers(facet: Facet, columns: Sequence[Column], sort: Sort, query: Query) -> tuple[Header, ...]:
    named = [(NAME, facet.label), *((column.key, column.label) for column in columns)]
    return tuple(_header(facet, key, label, sort, query) for key, label in named)


def _header(facet: Facet, key: str, label: str, sort: Sort, query: Query) -> Header:
    """Sorts by this column; numbers from the largest and names from A first, then the other way round."""
    descending = not sort.descending if key == sort.key else key != NAME
    wanted = Sort(key, descending)
    link = _with_setting(_to_page(query, facet, 1), "sort", facet, "" if wanted == Sort() else str(wanted))
    direction = ("descending" if sort.descending else "ascending") if key == sort.key else ""
    return Header(label, link, direction)
