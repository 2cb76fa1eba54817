"""What the Overview's notice and the other pages' mark say about requests without a price or without tool fees."""

from dataclasses import dataclass

from django.urls import reverse

from analytics.display import figures
from analytics.filters.filters import UNPRICED, Filters
from analytics.filters.query_string import QueryString
from analytics.reports import Report


@dataclass(frozen=True, slots=True)
class Unpriced:
    requests: int
    without_tool_fees: int
    """The part of ``requests`` whose tokens have a price, so that only the fees for tools are missing."""
    model: str
    """The model with the most such requests."""
    requests_of_model: int
    others: int
    """The number of further models with such requests."""
    link: str
    """The address of the list of these requests."""
    edit_link: str
    """The address where a price for the model can be added; empty if the viewer may not edit prices."""

    @property
    def title(self) -> str:
        without_price = self.requests - self.without_tool_fees
        if not self.without_tool_fees:
            return f"{_requests(without_price)} without a price."
        if not without_price:
            return f"{_requests(self.without_tool_fees)} without tool fees."
        return f"{_requests(without_price)} without a price, {figures.count(self.without_tool_fees)} without tool fees."

    @property
    def reason(self) -> str:
        """A sentence with what this means for the figures, and the model that it is mostly about."""
        and_others = f" and {self.others} more model{'' if self.others == 1 else 's'}" if self.others else ""
        return f"{self._consequence}: {self.model or '(none)'} ({figures.compact(self.requests_of_model)}){and_others}."

    @property
    def _consequence(self) -> str:
        its = "Its" if self.requests == 1 else "Their"
        if not self.without_tool_fees:
            return f"{its} cost is not in the figures"
        if self.requests == self.without_tool_fees:
            return f"Only what {its.lower()} tokens cost is in the figures, built-in tools have no price"
        return f"{its} cost is not in the figures, or only that of tokens"


def unpriced(report: Report, filters: Filters) -> Unpriced | None:
    """What there is to say. None if every request has a whole price, or if the viewer may not see cost."""
    totals = report.totals()
    if not report.viewer.sees_cost or not totals.unpriced:
        return None
    rows = [row for row in report.breakdown("model") if row.totals.unpriced]
    first = max(rows, key=lambda row: row.totals.unpriced)
    edit_link = _edit_link(str(first.value)) if report.viewer.may_edit_pricing else ""
    return Unpriced(
        totals.unpriced,
        totals.without_tool_fees,
        first.label,
        first.totals.unpriced,
        len(rows) - 1,
        unpriced_link(filters),
        edit_link,
    )


def unpriced_link(filters: Filters) -> str:
    """The address of the requests without a whole price, under the same filters."""
    return reverse("requests") + str(filters.shared.replaced(UNPRICED, ("1",)))


def _requests(number: int) -> str:
    return f"{figures.count(number)} request{'' if number == 1 else 's'}"


def _edit_link(model: str) -> str:
    return f"{reverse('pricing-edit')}{QueryString((('add', model),))}" if model else ""
