"""The outcome of a call, by which sums are kept: ``success``, ``timeout``, or ``error`` for every other failure.

An event has a status, ``success`` or ``error``, and the code of its error. This is the only place that decides which
codes mean that an answer did not come in time.
"""

TIMEOUT_CODES = r"time[d_ -]*out|deadline_?exceeded|^(http_)?(408|504)$"
"""A pattern, without regard to case, of the codes of time-outs: ours (``timeout``), Groq's and gateways'
(``request_timeout``, ``http_504``), and the names of exceptions of other programs (``APITimeoutError``)."""

IS_TIMEOUT = f"status = 'error' AND error_code ~* '{TIMEOUT_CODES}'"
"""SQL of the condition that an event is a time-out."""

OUTCOME = f"CASE WHEN {IS_TIMEOUT} THEN 'timeout'::varchar ELSE status END"
"""SQL of the outcome of an event."""
