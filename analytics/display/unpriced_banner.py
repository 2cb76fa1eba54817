"""The banner about requests without a price or without tool fees: their models, and links to mend that."""

from dataclasses import dataclass

from django.urls import reverse

from analytics.display import figures
from analytics.filters.filters import UNPRICED, Filters
from analytics.filters.query_string import QueryString
from analytics.reports import Report

NAMED = 3


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    requests: int
    edit_link: str
    """The address where a price for the model can be added; empty if the viewer may not edit prices."""


@dataclass(frozen=True, slots=True)
class Unpriced:
    requests: int
    without_tool_fees: int
    """The part of ``requests`` whose tokens have a price, so that only the fees for tools are missing."""
    models: tuple[Model, ...]
    """At most ``NAMED`` models, those with the most such requests first."""
    others: int
    """The number of further models with such requests."""
    link: str
    """The address of the list of these requests."""

    @property
    def title(self) -> str:
        without_price = self.requests - self.without_tool_fees
        if not self.without_tool_fees:
            return f"{_requests(without_price)} without a price."
        if not without_price:
            return f"{_requests(self.without_tool_fees)} without tool fees."
        return f"{_requests(without_price)} without a price, {figures.count(self.without_tool_fees)} without tool fees."

    @property
    def consequence(self) -> str:
        its = "Its" if self.requests == 1 else "Their"
        if not self.without_tool_fees:
            return f"{its} cost is not in the figures below"
        if self.requests == self.without_tool_fees:
            return f"Only what {its.lower()} tokens cost is in the figures below, built-in tools have no price"
        return f"{its} cost is not in the figures below, or only that of tokens"


def unpriced(report: Report, filters: Filters) -> Unpriced | None:
    """The content of the banner. None if every request has a whole price, or if the viewer may not see cost."""
    if not report.viewer.sees_cost or not report.totals().unpriced:
        return None
    rows = sorted(
        (row for row in report.breakdown("model") if row.totals.unpriced),
        key=lambda row: row.totals.unpriced,
        reverse=True,
    )
    may_edit = report.viewer.may_edit_pricing
    named = (
        Model(row.label or "(none)", row.totals.unpriced, _edit_link(str(row.value)) if may_edit else "")
        for row in rows[:NAMED]
    )
    totals = report.totals()
    return Unpriced(totals.unpriced, totals.without_tool_fees, tuple(named), len(rows[NAMED:]), unpriced_link(filters))


def unpriced_link(filters: Filters) -> str:
    """The address of the requests without a whole price, under the same filters."""
    return reverse("requests") + str(filters.shared.replaced(UNPRICED, ("1",)))


def _requests(number: int) -> str:
    return f"{figures.count(number)} request{'' if number == 1 else 's'}"


def _edit_link(model: str) -> str:
    return f"{reverse('pricing-edit')}{QueryString((('add', model),))}" if model else ""
