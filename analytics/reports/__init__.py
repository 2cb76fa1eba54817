"""The one reader: every figure on a page, in an export, in the API comes from here, always through a Viewer."""

from analytics.reports.calendar import first_day, today, version
from analytics.reports.percentiles import Percentiles
from analytics.reports.report import Report
from analytics.reports.scope import selected, snapshot, visible
from analytics.reports.sums import Choice, Point, Row, Summary, Totals

__all__ = [
    "Choice",
    "Percentiles",
    "Point",
    "Report",
    "Row",
    "Summary",
    "Totals",
    "first_day",
    "selected",
    "snapshot",
    "today",
    "version",
    "visible",
]
