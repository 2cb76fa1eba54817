"""The changes of the Overview's tables against the previous period, for readers who ask for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from analytics.display import figures, missing_cost
from analytics.display.change import Change, change
from analytics.filters.facets import Facet
from analytics.filters.filters import Filters
from analytics.filters.menus import Choosable
from analytics.reports import Report, Summary, Value

CHANGE = "change"
"""The name in a query string for tables with changes."""
NAMED = 3
"""The number of values without requests in this period that are named."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The change of one figure of a row: the difference as text, and the relative change if there is one to tell."""

    text: str
    relative: Change | None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """The sums of a row in this period and in the previous one; ``before`` is None without requests then."""

    now: Summary
    before: Summary | None = None

    @property
    def requests(self) -> int:
        return self.now.requests - (self.before.requests if self.before else 0)

    @property
    def cost(self) -> Decimal | None:
        """The difference of the known costs; None if the viewer may not see cost, if a cost is not known at all, or if
        both are incomplete, so that the difference would say nothing."""
        before = self.before or Summary(cost_usd=Decimal(0))
        if self.now.cost_usd is None or before.cost_usd is None or (self.now.unpriced and before.unpriced):
            return None
        if any(sums.unpriced and not sums.cost_usd for sums in (self.now, before)):
            return None
        return self.now.cost_usd - before.cost_usd

    @property
    def moved_requests(self) -> Moved:
        before = self.before.requests if self.before else 0
        return Moved(
            f"{self.requests:+,}" if self.requests else "0",
            change(self.now.requests, before, "good"),
            f"{figures.count(before)} requests in the previous period",
        )

    @property
    def moved_cost(self) -> Moved:
        before, difference = self.before or Summary(cost_usd=Decimal(0)), self.cost
        title = f"{missing_cost.told(before, figures.exact_money)} in the previous period"
        if difference is None:
            return Moved(figures.NOTHING, None, title)
        text = f"{'+' if difference > 0 else ''}{figures.money(difference)}"
        if self.now.unpriced or before.unpriced:  # The true difference is larger, or smaller.
            return Moved(f"{'≥' if self.now.unpriced else '≤'} {text}", None, title)
        return Moved(text, change(self.now.cost_usd, before.cost_usd, "bad"), title)


@dataclass(frozen=True, slots=True)
class Gone:
    """The values of a table that had requests in the previous period and have none in this one, most requests first."""

    names: tuple[str, ...]
    """The names of the first ones."""
    others: int
    requests: int
    cost: str
    """The cost of all of them then; empty if the viewer may not see cost."""


def choices(report: Report, filters: Filters) -> list[Choosable]:
    """Tables without and with changes; empty if there is no previous period to compare with."""
    if not filters.has_previous or not report.covers_previous:
        return []
    is_on = is_asked(filters)
    return [
        Choosable("", "Figures", not is_on, filters.query.without(CHANGE)),
        Choosable("1", "With changes", is_on, filters.query.replaced(CHANGE, ("1",))),
    ]


def is_asked(filters: Filters) -> bool:
    return bool(filters.query.first(CHANGE))


def sums_before(report: Report, filters: Filters, facet: Facet) -> Mapping[Value, Summary] | None:
    """The sums of the previous period; None if nobody asked for them, or if a comparison would mislead."""
    if not is_asked(filters) or not filters.has_previous or not report.covers_previous:
        return None
    return report.previous_sums_by(facet.dimension)


def gone(report: Report, facet: Facet, before: Mapping[Value, Summary]) -> Gone | None:
    """None if every value has requests in this period as well."""
    now = report.sums_by(facet.dimension)
    values = [value for value in before if value not in now]
    if not values:
        return None
    named = report.names(facet.dimension, values[:NAMED])
    sums = [before[value] for value in values]
    whole = Summary(
        requests=sum(one.requests for one in sums),
        unpriced=sum(one.unpriced for one in sums),
        cost_usd=sum((one.cost_usd or Decimal(0) for one in sums), Decimal(0)),
    )
    cost = missing_cost.told(whole) if report.viewer.sees_cost else ""
    return Gone(tuple(named.values()), len(values) - len(named), whole.requests, cost)
