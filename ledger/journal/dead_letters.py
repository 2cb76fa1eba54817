"""Files beside the journals that keep the calls that cannot be recorded, so that an operator can examine them.

Dead letters are calls that the ledger can never take. Conflicts are calls whose request id is recorded already, with
other figures.
"""

import json
import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from groq_client.call import Call
from groq_client.journal.call_json import call_to_json
from groq_client.journal.set_aside import append_line
from ledger.recording import figures
from ledger.recording.record import Conflict

logger = logging.getLogger("usage.recording")

DEAD_LETTERS = "dead_letters.jsonl"
"""The file of dead letters, one in each line. Health is red as long as the file has lines."""

CONFLICTS = "conflicts.jsonl"
"""The file of conflicts, one in each line. Health warns as long as the file has lines."""
MAX_CONFLICTS_BYTES = 1_000_000
"""The limit of the file of conflicts, so that a program that gives all its calls the same id cannot fill the disk.
Conflicts beyond the limit are only in the log."""
MAX_NOTED = 10_000

_noted: set[int] = set()
"""Hashes of the conflicts that this process has reported. While the database cannot take an organization's calls, the
same calls are tried again and again, and their conflicts would be reported each time."""

number_kept = 0
"""The number of dead letters since the process began, whether or not the file could take them."""


def keep_dead_letter(call: Call, why: str) -> None:
    """Count a call that cannot be recorded, log the call with all its values, and keep it in a file, so that an
    operator can have it recorded later."""
    global number_kept
    number_kept += 1
    logger.error("A call %s: %s", why, Described(call), exc_info=sys.exc_info()[0] is not None)
    line = json.dumps({"reason": f"{why}: {sys.exc_info()[1] or ''}", "call": json.loads(_described(call))})
    try:
        append_dead_letter(settings.JOURNAL_DIR, line)
    except OSError as error:
        logger.error("It cannot be kept in a file either: %s", error)


def note_conflicts(conflicts: Sequence[Conflict]) -> None:
    """Log a warning for each call that is not recorded because of its request id, and keep these calls in a file."""
    for conflict in conflicts:
        call = conflict.call
        key = hash((call.attribution.organization, call.request_id, figures.of_call(call)))
        if key in _noted:
            continue
        if len(_noted) >= MAX_NOTED:
            _noted.clear()
        _noted.add(key)
        reason = f"The request id {call.request_id} is recorded already, with other figures: {conflict.differing}."
        logger.warning("%s This call is not recorded: %s", reason, Described(call))
        line = json.dumps({"reason": reason, "call": json.loads(_described(call))})
        with suppress(OSError):  # the log has the call in any case
            append_line(settings.JOURNAL_DIR / CONFLICTS, line, MAX_CONFLICTS_BYTES)


def append_dead_letter(directory: Path, line: str) -> None:
    """Add a line to the file of dead letters and sync it to the disk. OSError if the disk has no room, or if the file
    is larger than JOURNAL_LIMIT_MB."""
    append_line(directory / DEAD_LETTERS, line, settings.JOURNAL_LIMIT_MB * 1_000_000)


class Described:
    """An argument for a log message that shows a call as one line of JSON. The line is made only if the message is
    really written."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __str__(self) -> str:
        return _described(self.call)


def _described(call: Call) -> str:
    """The call as JSON, or only its request id if the call cannot be encoded."""
    try:
        return call_to_json(call)
    except Exception as error:
        return json.dumps({"request_id": str(call.request_id), "unreadable": repr(error)})
