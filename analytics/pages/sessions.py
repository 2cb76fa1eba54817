"""Sessions: conversations."""

from typing import Any

from analytics.filters import Filters
from analytics.pages import Page
from analytics.reports import Report


def results(report: Report, asked: Filters) -> dict[str, Any]:
    return {"totals": report.totals()}


SESSIONS = Page("sessions", "Sessions", "analytics/sessions/results.html", results)
