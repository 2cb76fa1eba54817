"""Models: what each model did."""

from typing import Any

from analytics.filters import Filters
from analytics.pages import Page
from analytics.reports import Report


def results(report: Report, asked: Filters) -> dict[str, Any]:
    return {"totals": report.totals()}


MODELS = Page("models", "Models", "analytics/models/results.html", results)
