"""The one reader: every figure on a page, in an export, in the API comes from here, always through a Viewer."""

from analytics.reports.calendar import first_day, today, version
from analytics.reports.percentiles import LatencyPoint, Percentiles
from analytics.reports.report import Report, chart_groups
from analytics.reports.scope import selected, snapshot, visible
from analytics.reports.sums import Choice, Point, Row, Summary, Totals

__all__ = [
    "Choice",
    "LatencyPoint",
    "Percentiles",
    "Point",
    "Report",
    "Row",
    "Summary",
    "Totals",
    "chart_groups",
    "first_day",
    "selected",
    "snapshot",
    "today",
    "version",
    "visible",
]
