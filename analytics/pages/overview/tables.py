"""The tables of the Overview: one for each dimension, with the order and the page that the query string chooses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from analytics.display.colors import colors_apart
from analytics.display.sorting import NAME, Column, Header, Sort, TableSettings, in_order, measure_of, share
from analytics.filters.facets import Facet, facets_of
from analytics.filters.filters import LONGEST_SEARCH, Filters
from analytics.filters.query_string import QueryString
from analytics.pages.overview import comparison
from analytics.pages.overview.comparison import Compared, Gone
from analytics.reports import Report, Summary, Value

ROWS = 10
TABLES = ("model", "project", "user", "expert", "template", "feature", "organization")
FIND = {name: f"find-{name}" for name in TABLES}
"""For each table, the name in a query string of its search."""


COLUMNS: tuple[Column[Compared], ...] = (
    Column("requests", "Requests", lambda c: c.now.requests, adds_up=True),
    Column("requests_change", "Change of requests", lambda c: c.requests),
    Column("total_tokens", "Tokens", lambda c: c.now.total_tokens, adds_up=True),
    Column("cost_usd", "Cost", lambda c: c.now.cost_usd, adds_up=True, is_of_cost=True),
    Column("cost_change", "Change of cost", lambda c: c.cost, is_of_cost=True),
    Column("avg_latency_ms", "Avg Latency", lambda c: c.now.avg_latency_ms),
    Column("error_rate", "Error Rate", lambda c: c.now.error_rate),
)
CHANGES = frozenset({"requests_change", "cost_change"})
"""The columns that only a table with changes has."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its label with a link, its sums, and its share of the measure in the table's bars."""

    label: str
    link: QueryString
    sums: Compared
    share: float
    color: int


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    label: str
    headers: tuple[Header, ...]
    rows: tuple[TableRow, ...]
    total: int
    """The number of rows on all pages."""
    first: int
    find: str
    """The name of the search field; empty if all rows fit on one page."""
    wanted: str
    """The text that is searched."""
    share_of: str
    back: QueryString | None
    on: QueryString | None
    has_changes: bool
    gone: Gone | None
    """The values without requests in this period; None without changes, or if there are no such values."""

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


ALL_AT_ONCE = "tables"
"""The name in a query string for a page that has the slow tables from the start, for browsers without JavaScript."""


def tables(report: Report, filters: Filters) -> list[Table]:
    """The tables that the page has from the start."""
    late = late_facets(report, filters)
    return _tables(report, filters, [facet for facet in _facets(report) if facet not in late])


def late_tables(report: Report, filters: Filters) -> list[Table]:
    """The tables that the page loads after itself."""
    return _tables(report, filters, late_facets(report, filters))


def late_facets(report: Report, filters: Filters) -> list[Facet]:
    """The dimensions whose tables come later, because their sums are slow."""
    if filters.query.first(ALL_AT_ONCE):
        return []
    return [facet for facet in _facets(report) if report.is_slow(facet.dimension)]


def _facets(report: Report) -> list[Facet]:
    """The dimensions of tables that the viewer can filter by, in their order."""
    shown = (facet for facet in facets_of(report.viewer) if facet.name in TABLES)
    return sorted(shown, key=lambda facet: TABLES.index(facet.name))


def _tables(report: Report, filters: Filters, facets: Sequence[Facet]) -> list[Table]:
    """A table for each dimension, except dimensions whose only value is "(none)"."""
    return [_table(facet, report, filters) for facet in facets if any(report.sums_by(facet.dimension))]


def _table(facet: Facet, report: Report, filters: Filters) -> Table:
    before = comparison.sums_before(report, filters, facet)
    hidden = CHANGES if before is None else frozenset()
    columns = [
        column for column in COLUMNS if column.key not in hidden and (report.viewer.sees_cost or not column.is_of_cost)
    ]
    sums = _compared(report, facet, before or {})
    settings = TableSettings(filters.query, f"{facet.name}:")
    sort, wanted = settings.sort(columns), filters.query.first(FIND[facet.name]).strip()[:LONGEST_SEARCH]
    values = _sorted(report, facet, wanted, sort, columns, sums)
    pages, measure = settings.pages(len(values), ROWS), measure_of(sort, columns)
    return Table(
        name=facet.name,
        label=facet.label,
        headers=settings.headers(facet.label, columns, sort),
        rows=_rows(facet, report, values[pages.start : pages.end], measure, filters, sums),
        total=len(values),
        first=pages.start + 1,
        find=FIND[facet.name] if wanted or len(values) > ROWS else "",
        wanted=wanted,
        share_of=measure.label.lower(),
        back=pages.back,
        on=pages.on,
        has_changes=before is not None,
        gone=comparison.gone(report, facet, before) if before and not wanted else None,
    )


def _compared(report: Report, facet: Facet, before: Mapping[Value, Summary]) -> dict[Value, Compared]:
    return {value: Compared(sums, before.get(value)) for value, sums in report.sums_by(facet.dimension).items()}


def _rows(
    facet: Facet,
    report: Report,
    values: Sequence[Value],
    measure: Column[Compared],
    filters: Filters,
    sums: Mapping[Value, Compared],
) -> tuple[TableRow, ...]:
    names = report.names(facet.dimension, values)
    # The report's totals may include deleted requests, which these sums leave out, so shares are of their own sum.
    whole = sum(Decimal(measure.amount(one) or 0) for one in sums.values())
    colors = colors_apart(map(str, values)) if facet.name == "model" else {}
    return tuple(
        TableRow(
            label=names[value],
            link=filters.only(facet, (facet.text(value),)),
            sums=sums[value],
            share=share(measure.amount(sums[value]), whole),
            color=colors.get(str(value), 0),
        )
        for value in values
    )


def _sorted(
    report: Report,
    facet: Facet,
    wanted: str,
    sort: Sort,
    columns: Sequence[Column[Compared]],
    sums: Mapping[Value, Compared],
) -> list[Value]:
    """The values to show, in order; values with equal amounts are sorted by requests, most first."""
    values = report.matching(facet.dimension, sums, wanted) if wanted else list(sums)
    names = report.names(facet.dimension, values) if sort.key == NAME else {}
    return in_order(values, sort, columns, sums.__getitem__, names.__getitem__)
