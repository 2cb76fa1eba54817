"""The only code that aggregates the ledger: every figure on a page or in an export comes from here, for a Viewer."""

from analytics.reports.bills import Amounts, Bill, Item, bills
from analytics.reports.calendar import first_day, local_dates, number_recorded, today
from analytics.reports.counters import Counted, Counts, RateLimit, Times, counts
from analytics.reports.event_log import Log, LogCursor, LogPage, event_of, event_with, with_request_id
from analytics.reports.grouped_table import MAX_ROWS, GroupedRow, GroupedTable, Period, TooManyRowsError
from analytics.reports.health import Health, provider_health
from analytics.reports.largest_first import MEASURES, LargestCursor, Measure, largest, measures_of
from analytics.reports.model_usage import MODEL_QUESTIONS, ModelUsage, by_whole_price, models_used, not_used
from analytics.reports.newest import newest_since
from analytics.reports.percentiles import LatencyPoint, Percentiles
from analytics.reports.planner import Question
from analytics.reports.report import Report, Value
from analytics.reports.retained import RetainedFrom, retained_from
from analytics.reports.savings import CacheSavings, cache_savings
from analytics.reports.scope import is_scattered, selected, snapshot, visible
from analytics.reports.session_averages import SessionAverages, session_averages
from analytics.reports.session_messages import Messages, message_sums, messages, selection_of
from analytics.reports.sessions import Conversation, Sessions, session_at, session_of
from analytics.reports.totals import Point, Row, Summary, Totals, added, remainder

__all__ = [
    "MAX_ROWS",
    "MEASURES",
    "MODEL_QUESTIONS",
    "Amounts",
    "Bill",
    "CacheSavings",
    "Conversation",
    "Counted",
    "Counts",
    "GroupedRow",
    "GroupedTable",
    "Health",
    "Item",
    "LargestCursor",
    "LatencyPoint",
    "Log",
    "LogCursor",
    "LogPage",
    "Measure",
    "Messages",
    "ModelUsage",
    "Percentiles",
    "Period",
    "Point",
    "Question",
    "RateLimit",
    "Report",
    "RetainedFrom",
    "Row",
    "SessionAverages",
    "Sessions",
    "Summary",
    "Times",
    "TooManyRowsError",
    "Totals",
    "Value",
    "added",
    "bills",
    "by_whole_price",
    "cache_savings",
    "counts",
    "event_of",
    "event_with",
    "first_day",
    "is_scattered",
    "largest",
    "local_dates",
    "measures_of",
    "message_sums",
    "messages",
    "models_used",
    "newest_since",
    "not_used",
    "number_recorded",
    "provider_health",
    "remainder",
    "retained_from",
    "selected",
    "selection_of",
    "session_at",
    "session_averages",
    "session_of",
    "snapshot",
    "today",
    "visible",
    "with_request_id",
]
