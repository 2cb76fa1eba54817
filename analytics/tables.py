"""The tables: one for each dimension, sorted and paged as the query string says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter

from analytics.charts import tone
from analytics.filters import LONGEST_SEARCH, Facet, Filters, facets_of
from analytics.query import Query
from analytics.reports import Report, Summary, Value

ROWS = 10
TABLES = ("model", "project", "user", "expert", "template", "feature", "organization")
FIND = {name: f"find-{name}" for name in TABLES}
"""In a query string: what is looked for in a table."""


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
    find: str
    """The name of the search field; empty where all rows are on one page anyway."""
    wanted: str
    """What is looked for."""
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
    return [_table(facet, report, filters) for facet in ordered if any(report.sums_by(facet.dimension))]


def _table(facet: Facet, report: Report, filters: Filters) -> Table:
    columns = [column for column in COLUMNS if report.viewer.sees_cost or column.key != COST]
    sort, wanted = _sort(filters.query, facet, columns), _wanted(filters.query, facet)
    values = _sorted(report, facet, wanted, sort, columns)
    pages = max(1, -(-len(values) // ROWS))
    page = min(_page(filters.query, facet), pages)
    measure = next((c for c in columns if c.key == sort.key and c.adds_up), columns[0])
    return Table(
        name=facet.name,
        label=facet.label,
        headers=_headers(facet, columns, sort, filters.query),
        lines=_lines(facet, report, values[(page - 1) * ROWS : page * ROWS], measure, filters),
        total=len(values),
        first=(page - 1) * ROWS + 1,
        find=FIND[facet.name] if wanted or pages > 1 else "",
        wanted=wanted,
        share_of=measure.label.lower(),
        back=_to_page(filters.query, facet, page - 1) if page > 1 else None,
        on=_to_page(filters.query, facet, page + 1) if page < pages else None,
    )


def _lines(
    facet: Facet, report: Report, values: Sequence[Value], measure: Column, filters: Filters
) -> tuple[Line, ...]:
    names, sums = report.names(facet.dimension, values), report.sums_by(facet.dimension)
    # Not the report's totals, which may be of more: of requests, too, that only sums know of.
    whole = sum(Decimal(measure.amount(one) or 0) for one in sums.values())
    return tuple(
        Line(
            label=names[value],
            link=filters.only(facet, (facet.text(value),)),
            totals=sums[value],
            share=_share(measure.amount(sums[value]), whole),
            tone=tone(str(value)) if facet.name == "model" else 0,
        )
        for value in values
    )


def _share(amount: float | Decimal | None, whole: float | Decimal | None) -> float:
    return float(amount or 0) / float(whole) if whole else 0.0


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


def _wanted(query: Query, facet: Facet) -> str:
    return next(iter(query.values(FIND[facet.name])), "").strip()[:LONGEST_SEARCH]


def _to_page(query: Query, facet: Facet, page: int) -> Query:
    return _with_setting(query, "page", facet, str(page) if page > 1 else "")


def _sorted(report: Report, facet: Facet, wanted: str, sort: Sort, columns: Sequence[Column]) -> list[Value]:
    """The values to show. Ties by requests. What has no amount comes last, whichever the direction."""
    sums = report.sums_by(facet.dimension)
    values = report.matching(facet.dimension, sums, wanted) if wanted else list(sums)
    if sort.key == NAME:
        names = report.names(facet.dimension, values)
        return sorted(values, key=lambda value: names[value].casefold(), reverse=sort.descending)
    amount = next(column.amount for column in columns if column.key == sort.key)
    amounts = {value: amount(sums[value]) for value in values}
    known = [(number, value) for value, number in amounts.items() if number is not None]
    known.sort(key=itemgetter(0), reverse=sort.descending)
    return [value for _, value in known] + [value for value, number in amounts.items() if number is None]


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
