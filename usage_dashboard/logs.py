"""What is kept out of the log."""

import logging


class NotOfHealth(logging.Filter):
    """Drops Django's error line for each answer of ``/health/`` that says red: ``analytics.health`` says so once. What
    has a traceback is another matter."""

    def filter(self, record: logging.LogRecord) -> bool:
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        is_health = match is not None and match.view_name == "health"
        return not is_health or getattr(record, "status_code", None) != 503 or record.exc_info is not None
