"""Replay of the journals of ended processes into the ledger, and of its dead letters."""

import json
import logging
import sys
from pathlib import Path

from django.conf import settings

from groq_client.journal.call_json import call_from_json
from groq_client.journal.replay import Replayed, replay, taken
from ledger.journal.dead_letters import DEAD_LETTERS, append_dead_letter, note_conflicts
from ledger.journal.settle import Ledger
from ledger.recording.record import record

logger = logging.getLogger("usage.journal")


def replay_journals(directory: Path | None = None, *, files: int = sys.maxsize) -> Replayed:
    """Replay at most ``files`` journals of ended processes into the ledger, which records each call only once."""
    directory = directory or settings.JOURNAL_DIR
    return replay(directory, Ledger(directory), files=files)


def replay_dead_letters(directory: Path | None = None) -> tuple[int, int]:
    """Try to record the dead letters again. Returns the numbers of calls that are recorded now, and that stay dead
    letters."""
    directory = directory or settings.JOURNAL_DIR
    path, retried = directory / DEAD_LETTERS, directory / f"{DEAD_LETTERS}.retried"
    if not retried.exists():  # if this file exists, an earlier retry was interrupted and has to be repeated
        if not path.exists():
            return 0, 0
        path.rename(retried)
    with taken(retried) as file:
        if file is None:  # another process is retrying the dead letters
            return 0, 0
        recorded = kept = 0
        for line in file.read().decode(errors="replace").splitlines():
            try:
                note_conflicts(record([call_from_json(json.dumps(json.loads(line)["call"]))]).conflicts)
                recorded += 1
            except Exception as error:  # the call is kept, whether it is wrong itself or the database fails
                logger.warning("The call is a dead letter still: %s", error)
                append_dead_letter(directory, line)
                kept += 1
        retried.unlink()
    return recorded, kept
