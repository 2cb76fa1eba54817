"""Calls are settled when they are in the ledger, or set aside because it can never take them."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from django.conf import settings

from analytics.call_json import call_to_json
from analytics.recording import MAY_PASS, record
from groq_client.call import Call

logger = logging.getLogger("usage.recording")

REFUSED = "refused.jsonl"
"""Beside the journals: calls that were set aside, a line each. Health is red until somebody has looked at them."""

lost_calls = 0
"""Calls that were set aside since the process began. Health and metrics tell it."""


def settle(calls: Sequence[Call]) -> int:
    """Write calls, and tell how many from the first on are done with: all, unless the database is away.

    If the ledger refuses a batch for what is in it, its calls are written one by one, to lose no more than must be.
    """
    if not calls:
        return 0
    try:
        recorded = record(calls)
    except MAY_PASS as error:
        logger.warning("The database takes no calls now, they wait: %s", error)
        return 0
    except Exception:
        if len(calls) == 1:
            set_aside(calls[0], "could not be recorded")
            return 1
        return sum(takewhile(bool, (settle([call]) for call in calls)))
    if recorded.duplicates:
        logger.info("%s calls were recorded before under their request ids and are not again.", recorded.duplicates)
    for call in calls:
        logger.info("recorded %s", _Described(call))
    return len(calls)


def set_aside(call: Call, why: str) -> None:
    """Count a call that is not in the ledger, log all of it, and keep it in a file, so that it can still be entered."""
    global lost_calls
    lost_calls += 1
    logger.error("A call %s: %s", why, _Described(call), exc_info=sys.exc_info()[0] is not None)
    line = json.dumps({"reason": f"{why}: {sys.exc_info()[1] or ''}", "call": json.loads(_described(call))})
    try:
        append_refused(settings.JOURNAL_DIR, line)
    except OSError as error:
        logger.error("It cannot be kept in a file either: %s", error)


def append_refused(directory: Path, line: str) -> None:
    """One line more in the file of what was set aside, on the disk when this returns. OSError if it cannot be, for want
    of room or beyond JOURNAL_LIMIT_MB."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(directory / REFUSED, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if os.fstat(fd).st_size > settings.JOURNAL_LIMIT_MB * 1_000_000:
            raise OSError(f"{REFUSED} has reached its limit")
        os.write(fd, f"{line}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)


class _Described:
    """A call as one line of JSON, made only if the line is really logged. A call holds neither prompts nor keys."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __str__(self) -> str:
        return _described(self.call)


def _described(call: Call) -> str:
    """The call as JSON; of one that cannot be written so, what it is known by."""
    try:
        return call_to_json(call)
    except Exception as error:
        return json.dumps({"request_id": str(call.request_id), "unreadable": repr(error)})
