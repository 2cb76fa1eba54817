"""The banner about messages without a price: whose models they are, and where to go from there."""

from dataclasses import dataclass

from django.urls import reverse

from analytics.filters import UNPRICED, Filters
from analytics.query import Query
from analytics.reports import Report

NAMED = 3


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    messages: int
    edit_link: str
    """Where its price can be added; empty for whoever may not."""


@dataclass(frozen=True, slots=True)
class Unpriced:
    messages: int
    models: tuple[Model, ...]
    """Those with the most such messages."""
    others: int
    """How many models more."""
    link: str
    """To the messages themselves."""


def unpriced(report: Report, asked: Filters) -> Unpriced | None:
    """None where everything has a price, or the viewer may not see cost."""
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
    return Unpriced(report.totals().unpriced, tuple(named), len(rows[NAMED:]), unpriced_link(asked))


def unpriced_link(asked: Filters) -> str:
    """To the messages without a price, under the same filters."""
    return reverse("requests") + str(asked.shared.replaced(UNPRICED, ("1",)))


def _edit_link(model: str) -> str:
    return f"{reverse('pricing-edit')}{Query((('add', model),))}" if model else ""
