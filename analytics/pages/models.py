"""Models: what each did and costs, two of them side by side, and what the traffic would have cost elsewhere."""

from typing import Any

from analytics import detail_notice, what_if
from analytics.comparison import SIDES, comparison
from analytics.filters import Filters
from analytics.model_prices import prices_in_force
from analytics.model_table import model_table, unused
from analytics.pages import Page
from analytics.reports import MODEL_QUESTIONS, Report, models_used
from analytics.what_if import WhatIfForm


def results(report: Report, asked: Filters) -> dict[str, Any]:
    viewer, models = report.viewer, models_used(report)
    prices = prices_in_force(viewer, asked.selection)
    context: dict[str, Any] = {"totals": report.totals(), "unused": unused(models, prices)}
    context["detail_notice"] = detail_notice.of_figures(report)
    if not models:
        return context
    context |= {
        "table": model_table(models, prices, asked, viewer),
        "comparison": comparison(models, prices, asked, viewer),
    }
    if viewer.sees_cost:
        form = WhatIfForm(models, prices, asked)
        context["form"] = form
        if form.is_valid():
            context["what_if"] = what_if.what_if(form.traffic(models), form.price())
    return context


MODELS = Page(
    "models",
    "Models",
    "analytics/models/results.html",
    results,
    settings=("sort", "page", *SIDES, *what_if.FIELDS),
    style="css/models.css",
    questions=MODEL_QUESTIONS,
)
