"""The one reader: every figure on a page, in an export, in the API comes from here, always through a Viewer."""

from analytics.reports.calendar import first_day, today, version
from analytics.reports.event_sums import Group
from analytics.reports.models import MODEL_GROUPS, ModelUsage, models_used
from analytics.reports.percentiles import LatencyPoint, Percentiles
from analytics.reports.report import PAGE_GROUPS, Report, chart_groups
from analytics.reports.scope import selected, snapshot, visible
from analytics.reports.sums import Choice, Point, Row, Summary, Totals

__all__ = [
    "MODEL_GROUPS",
    "PAGE_GROUPS",
    "Choice",
    "Group",
    "LatencyPoint",
    "ModelUsage",
    "Percentiles",
    "Point",
    "Report",
    "Row",
    "Summary",
    "Totals",
    "chart_groups",
    "first_day",
    "models_used",
    "selected",
    "snapshot",
    "today",
    "version",
    "visible",
]
