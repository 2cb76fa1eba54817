"""The tables of a month report: the largest values of a dimension, all others in one line, and the total."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from analytics.display.sorting import share
from analytics.filters.facets import Facet, facets_of
from analytics.pages.overview.layers import others_named
from analytics.reports import Report, Summary, added, remainder

ROWS = 10
TABLES = ("organization", "model", "project", "user", "feature")
DELETED = "Requests of which only sums are kept"
NONE = "(none)"


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    totals: Summary
    share: float
    """The part of the table's total: of its cost, or of its tokens if the viewer may not see cost."""


@dataclass(frozen=True, slots=True)
class Table:
    label: str
    rows: Sequence[Row]
    total: Summary


def tables(report: Report) -> list[Table]:
    """A table for each dimension that the viewer can filter by and that has values."""
    return [_table(report, facet) for facet in _facets(report) if any(report.sums_by(facet.dimension))]


def left_out(report: Report) -> list[str]:
    """The dimensions without a table, because their sums would have to be put together from those of too many
    organizations."""
    return [facet.label.lower() for facet in _offered(report) if report.is_slow(facet.dimension)]


def _facets(report: Report) -> list[Facet]:
    return [facet for facet in _offered(report) if not report.is_slow(facet.dimension)]


def _offered(report: Report) -> list[Facet]:
    offered = [facet for facet in facets_of(report.viewer) if facet.name in TABLES]
    return sorted(offered, key=lambda facet: TABLES.index(facet.name))


def _table(report: Report, facet: Facet) -> Table:
    """The rows of a table add up to the totals of the report."""
    sums = report.sums_by(facet.dimension)
    ordered = sorted(sums, key=lambda value: (sums[value].cost_usd or 0, sums[value].total_tokens), reverse=True)
    shown, rest = ordered[:ROWS], ordered[ROWS:]
    names = report.names(facet.dimension, shown)
    named = [(names[value] or NONE, sums[value]) for value in shown]
    if rest:
        named.append((others_named(len(rest)), added((sums[value] for value in rest), Summary())))
    total = report.totals()
    deleted = remainder(total, list(sums.values()))
    if deleted.requests:
        named.append((DELETED, deleted))
    whole = _measure(total)
    return Table(facet.label, [Row(name, one, share(_measure(one), whole)) for name, one in named], total)


def _measure(sums: Summary) -> Decimal | int:
    return sums.total_tokens if sums.cost_usd is None else sums.cost_usd
