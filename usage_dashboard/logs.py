"""Filters of the log, and its form as JSON."""

import logging
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from accounts.current_request import current_request

FIELDS = (
    "time", "level", "logger", "message", "request_id", "key_id", "organization", "method", "route", "status", "ms",
    "exc_info",
)  # fmt: skip


class NotOfHealth(logging.Filter):
    """Drops the error line that Django logs for each red answer of ``/health/``, because ``ledger.health`` logs the
    problem once. Lines with a traceback stay."""

    def filter(self, record: logging.LogRecord) -> bool:
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        is_health = match is not None and match.view_name == "health"
        return not is_health or getattr(record, "status_code", None) != 503 or record.exc_info is not None


class OfRequest(logging.Filter):
    """Adds to each line which request it is about, and who has sent that; None where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = current_request()
        record.request_id = request.id if request else None
        record.key_id = request.key_id if request else None
        record.organization = (request.organization or None) if request else None
        return True


class JsonLines(JsonFormatter):
    """One JSON object a line, with the same fields always and those of a request at its end. Other fields that a
    program attaches are left out, since nobody has looked at what they tell."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in log_data.items() if name in FIELDS}
