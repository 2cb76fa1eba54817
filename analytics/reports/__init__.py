"""The one reader: every figure on a page, in an export, in the API comes from here, always through a Viewer."""

from analytics.reports.calendar import first_day, today, version
from analytics.reports.detail_end import DetailEnd, detail_ends
from analytics.reports.log import Log, LogPage, Place, event_of, with_request_id
from analytics.reports.models import MODEL_QUESTIONS, ModelUsage, models_used
from analytics.reports.percentiles import LatencyPoint, Percentiles
from analytics.reports.report import OVERVIEW_QUESTIONS, Question, Report, Value, chart_questions
from analytics.reports.scope import is_scattered, selected, snapshot, visible
from analytics.reports.session_averages import SessionAverages, session_averages
from analytics.reports.sessions import Conversation, Sessions, session_of
from analytics.reports.sums import Point, Row, Summary, Totals

__all__ = [
    "MODEL_QUESTIONS",
    "OVERVIEW_QUESTIONS",
    "Conversation",
    "DetailEnd",
    "LatencyPoint",
    "Log",
    "LogPage",
    "ModelUsage",
    "Percentiles",
    "Place",
    "Point",
    "Question",
    "Report",
    "Row",
    "SessionAverages",
    "Sessions",
    "Summary",
    "Totals",
    "Value",
    "chart_questions",
    "detail_ends",
    "event_of",
    "first_day",
    "is_scattered",
    "models_used",
    "selected",
    "session_averages",
    "session_of",
    "snapshot",
    "today",
    "version",
    "visible",
    "with_request_id",
]
