"""What is kept out of the log."""

import logging


class NotOfHealth(logging.Filter):
    """Drops Django's error line for each answer of ``/health/`` that says red: ``analytics.health`` says so once."""

    def filter(self, record: logging.LogRecord) -> bool:
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        return match is None or match.view_name != "health" or getattr(record, "status_code", None) != 503
