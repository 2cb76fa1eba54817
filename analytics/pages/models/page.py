"""The page Models: providers, the catalogue of models with their usage and prices, some models side by side, and a
what-if calculation of costs."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from analytics.display import retention_notice
from analytics.filters.filters import Filters
from analytics.pages import Page
from analytics.pages.models import cards, what_if
from analytics.pages.models.cards import Shelf, known_models
from analytics.pages.models.comparison import SIDES, comparison
from analytics.pages.models.prices import of_chosen_providers
from analytics.pages.models.providers import provider_cards
from analytics.pages.models.table import model_table
from analytics.pages.models.what_if import WhatIfForm
from analytics.reports import MODEL_QUESTIONS, ModelUsage, Report, by_whole_price, models_used
from analytics.reports.prices import prices_in_force
from pricing.catalogue import Catalogue


def results(report: Report, filters: Filters) -> dict[str, Any]:
    viewer, used, now = report.viewer, models_used(report), timezone.now()
    all_prices, catalogue = prices_in_force(viewer, filters.selection), Catalogue.load()
    prices = of_chosen_providers(all_prices, filters.selection)
    whole, rest = _by_whole_price(report, used)
    known = known_models(used, prices, catalogue, filters.selection, now.date())
    form = WhatIfForm(used, prices, filters) if used and viewer.sees_cost else None
    asked = form if form and form.is_valid() else None
    return {
        "totals": report.totals(),
        "retention_notice": retention_notice.of_figures(report),
        "providers": provider_cards(report, filters, all_prices, catalogue, now),
        "catalogue": cards.cards(Shelf(viewer, filters, catalogue, prices, known, whole, now.date())),
        "table": model_table(used, prices, catalogue, filters, viewer),
        "comparison": comparison(known, prices, catalogue, filters, viewer),
        "form": form,
        "what_if": what_if.what_if(asked.traffic(whole), asked.price(), asked.traffic(rest)) if asked else None,
    }


def _by_whole_price(report: Report, used: Sequence[ModelUsage]) -> tuple[Sequence[ModelUsage], Sequence[ModelUsage]]:
    """The traffic that can be compared by cost, and the rest. One more question is only asked if there is a rest."""
    totals = report.totals()
    has_rest = totals.unpriced > totals.without_tool_fees
    return by_whole_price(report, used) if has_rest else (used, [])


MODELS = Page(
    "models",
    "Models",
    "analytics/models/results.html",
    results,
    settings=("sort", "page", *SIDES, *what_if.FIELDS, *cards.FIELDS),
    styles=("css/models.css",),
    script="js/models.js",
    questions=MODEL_QUESTIONS,
    ages=True,
)
