"""Filters of the log."""

import logging


class NotOfHealth(logging.Filter):
    """Drops the error line that Django logs for each red answer of ``/health/``, because ``ledger.health`` logs the
    problem once. Lines with a traceback stay."""

    def filter(self, record: logging.LogRecord) -> bool:
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        is_health = match is not None and match.view_name == "health"
        return not is_health or getattr(record, "status_code", None) != 503 or record.exc_info is not None
