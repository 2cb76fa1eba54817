"""Requests: the event log."""

from typing import Any

from analytics.filters import Filters
from analytics.pages import Page
from analytics.reports import Report


def results(report: Report, asked: Filters) -> dict[str, Any]:
    return {"totals": report.totals()}


REQUESTS = Page("requests", "Requests", "analytics/requests/results.html", results)
