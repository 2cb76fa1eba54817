"""The findings that ``/health/`` and ``manage.py health`` show: whether the ledger can be trusted at this moment."""

import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from groq_client import sdk
from ledger.citus import is_distributed, silent_nodes
from ledger.journal import dead_letters
from ledger.journal.files import journals_now, number_of_lines
from ledger.models import Reconciliation
from ledger.rollups import tail_state
from ledger.tasks import last_heartbeat, waiting_since
from ledger.wording import counted

logger = logging.getLogger("usage.health")

BACKLOG_SECONDS = 180
"""The worker replays journals every minute, so a journal older than this is not being replayed."""
STALE_SECONDS = 3_600
HEARTBEAT_SECONDS = 60
"""A worker writes a heartbeat every 10 seconds; after this time without one, it counts as not running."""
WAITING_SECONDS = 900
OLD_TAIL_SECONDS = 30
"""Events are in the tail for about a second. Older ones mean that nobody folds, or that sums are changed for long."""
STUCK_TAIL_SECONDS = 120
"""The worker folds each minute, so events of this age mean that folds fail."""
CACHE_SECONDS = 5
NODES_TIMEOUT_MS = 3_000
"""The limit for checking all nodes of a cluster together, so that a silent node does not delay a probe for long."""


class Level(IntEnum):
    OK = 0
    WARNING = 1
    RED = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, with a hint that says what to do."""

    name: str
    level: Level
    text: str
    hint: str = ""


_looking = threading.Lock()
_last: tuple[float, list[Finding]] | None = None
_told: frozenset[str] = frozenset()
"""The names of the findings that were red when this process last logged its health."""


def health() -> list[Finding]:
    """All findings, with that of the database first. The findings are cached for CACHE_SECONDS, since anybody may ask
    often.

    A silent database or node delays only one thread. Other threads get the previous findings meanwhile.
    """
    global _last
    last = _last
    if last is None or time.monotonic() - last[0] > CACHE_SECONDS:
        if not _looking.acquire(blocking=last is None) and last is not None:
            return last[1]
        try:
            if _last is last:  # otherwise another thread has looked meanwhile
                findings = examine()
                _last = time.monotonic(), findings
                _tell_change(findings)
        finally:
            _looking.release()
    assert _last is not None
    return _last[1]


def _tell_change(findings: list[Finding]) -> None:
    """Log the red findings, but only if other checks are red than the last time."""
    global _told
    red = {finding.name: finding.text for finding in findings if finding.level == Level.RED}
    if red.keys() == _told:
        return
    _told = frozenset(red)
    if red:
        logger.error("Health is red. %s", " ".join(f"{name}: {text}" for name, text in red.items()))
    else:
        logger.warning("Health is no longer red.")


def examine() -> list[Finding]:
    """All findings as of now, without the cache."""
    return [
        _database(),
        *_nodes(),
        _journal_directory(),
        *_journals(),
        *_dead_letters(),
        _conflicts(),
        *_worker(),
        *_tail(),
        *_drift(),
        _sdk(),
    ]


def worst(findings: list[Finding]) -> Level:
    """The highest level among the findings."""
    return max(finding.level for finding in findings)


def _database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            (is_standby,) = cursor.fetchone() or (False,)
    except DatabaseError as error:
        return Finding("database", Level.RED, f"It does not answer: {error}".strip(), "Calls wait in the journal.")
    if is_standby:
        return Finding("database", Level.RED, "It is a standby that takes no writes.", "Calls wait in the journal.")
    return Finding("database", Level.OK, "It answers.")


def _nodes() -> Iterator[Finding]:
    """A finding that tells whether the coordinator of a Citus cluster can reach all nodes. There is no finding if the
    database is not a cluster or does not answer."""
    with suppress(DatabaseError):
        if is_distributed():
            yield _of_nodes()


def _of_nodes() -> Finding:
    try:
        silent = silent_nodes(NODES_TIMEOUT_MS)
    except DatabaseError as error:
        text = f"They cannot be asked: {error}".strip()
    else:
        if silent == []:
            return Finding("nodes", Level.OK, "All nodes of the cluster answer.")
        text = f"They have not all answered within {NODES_TIMEOUT_MS / 1000:g} seconds."
        if silent:
            text = f"These do not answer: {', '.join(silent)}."
    hint = "Calls of the organizations there wait in the journal. SELECT * FROM citus_check_cluster_node_health();"
    return Finding("nodes", Level.RED, text, hint)


def _journal_directory() -> Finding:
    directory: Path = settings.JOURNAL_DIR
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0" * 4096)
            file.flush()
    except OSError as error:
        hint = "Make room or mend its permissions: until then calls are only in the memory of their process."
        return Finding("journal", Level.RED, f"{directory} cannot be written: {error.strerror}.", hint)
    return Finding("journal", Level.OK, f"{directory} can be written.")


def _journals() -> Iterator[Finding]:
    """Findings about journals of ended processes that wait to be replayed, and about the size of all journals."""
    journals = journals_now()
    if journals.oldest_seconds > BACKLOG_SECONDS:
        level = Level.RED if journals.oldest_seconds > STALE_SECONDS else Level.WARNING
        text = (
            f"{counted(journals.waiting, 'journal')} of ended processes to be replayed,"
            f" the oldest for {counted(round(journals.oldest_seconds / 60), 'minute')}."
        )
        yield Finding(
            "backlog", level, text, "manage.py worker replays journals every minute, manage.py replay_journal at once."
        )
    else:
        yield Finding("backlog", Level.OK, "No journal waits to be replayed.")
    if journals.bytes > journals.limit_bytes:
        text = f"Journals take {journals.bytes / 1e6:,.0f} MB of the {journals.limit_bytes / 1e6:,.0f} allowed."
        yield Finding("journal size", Level.RED, text, "Is the database away? Calls are lost when memory is full, too.")


def _dead_letters() -> Iterator[Finding]:
    path = settings.JOURNAL_DIR / dead_letters.DEAD_LETTERS
    if lines := number_of_lines(path):
        hint = f"Look into {path}, then manage.py replay_journal --dead-letters, or remove the file."
        yield Finding("dead letters", Level.RED, f"{counted(lines, 'call')} could not be recorded: dead letters.", hint)
    elif dead_letters.number_kept:
        hint = "Each is in the log, whole."
        text = f"{counted(dead_letters.number_kept, 'call')} could not even be kept in a file."
        yield Finding("dead letters", Level.RED, text, hint)
    else:
        yield Finding("dead letters", Level.OK, "Every call could be recorded.")


def _conflicts() -> Finding:
    """A finding about calls that are in no sums, because another call with the same request id was recorded first."""
    path = settings.JOURNAL_DIR / dead_letters.CONFLICTS
    if not (lines := number_of_lines(path)):
        return Finding("request ids", Level.OK, "No two calls had one.")
    text = f"Not recorded: {counted(lines, 'call')}, because the request id is recorded with other figures."
    hint = f"Give each call an id of its own. {path} has these calls; remove it when you have looked into it."
    return Finding("request ids", Level.WARNING, text, hint)


def _worker() -> Iterator[Finding]:
    """A finding that tells whether a worker runs. Without a worker no calls are lost, but the tasks in ``ledger.tasks``
    are not done."""
    with suppress(DatabaseError):
        now, heartbeat, since = timezone.now(), last_heartbeat(), waiting_since()
        if heartbeat is None or now - heartbeat > timedelta(seconds=HEARTBEAT_SECONDS):
            text = (
                "None runs." if heartbeat is None else f"None has been heard of since {heartbeat:%Y-%m-%d %H:%M} UTC."
            )
            yield Finding("worker", Level.WARNING, text, "Start manage.py worker, and keep it running.")
        elif since is not None and now - since > timedelta(seconds=WAITING_SECONDS):
            text = f"A job has waited since {since:%Y-%m-%d %H:%M} UTC."
            yield Finding("worker", Level.WARNING, text, "Its log tells what it does; several workers share the work.")
        else:
            yield Finding("worker", Level.OK, "It runs.")


def _tail() -> Iterator[Finding]:
    """A finding that tells whether the tail is folded. There is no finding if the database does not answer."""
    with suppress(DatabaseError):
        tail = tail_state.look()
        text = f"{tail} The last fold: {tail.last_fold}." if tail.last_fold else str(tail)
        if tail.age_seconds <= OLD_TAIL_SECONDS:
            yield Finding("tail", Level.OK, text)
            return
        if holder := tail_state.holder():
            text = f"{text} Sums are changed now by {holder}."
        hint = (
            "Pages are right, but slower. manage.py fold moves the events, or says why it cannot, as do the logs of"
            " processes that record. If who changes sums hangs, SELECT pg_terminate_backend(…) ends it without a loss."
        )
        yield Finding("tail", Level.RED if tail.age_seconds > STUCK_TAIL_SECONDS else Level.WARNING, text, hint)


def _drift() -> Iterator[Finding]:
    """A finding that tells whether the sums equalled the events in the newest full comparison and in all partial
    comparisons since then.

    Days that a comparison left wrong count until a later one has checked the same days of that organization. There is
    no finding if no comparison was made yet, or if the database does not answer.
    """
    with suppress(DatabaseError):
        newest_first = Reconciliation.objects.order_by("-pk")
        whole = newest_first.filter(organization=None, first_day=None, last_day=None).first()
        since = newest_first if whole is None else newest_first.filter(pk__gte=whole.pk)
        wrong = _unsettled(list(since))
        if wrong is not None:
            hint = "manage.py reconcile shows each difference; manage.py reconcile --repair makes all sums right."
            yield Finding("sums", Level.RED, f"They differ from the events: {wrong}.", hint)
        elif whole is not None:
            yield Finding("sums", Level.OK, f"They are those of the events: {whole}.")


def _unsettled(newest_first: list[Reconciliation]) -> Reconciliation | None:
    """The newest comparison that left some days wrong, if no later comparison has checked these days; None if there is
    no such comparison."""
    for number, comparison in enumerate(newest_first):
        for left in comparison.open_ranges:
            if not any(later.covers(*left) for later in newest_first[:number]):
                return comparison
    return None


def _sdk() -> Finding:
    """A finding that tells whether calls can be recorded with the groq package of this process. A program in another
    environment reports such a problem in its own log."""
    lacking = sdk.problems()
    if lacking:
        text = f"Nothing is recorded with groq {sdk.version()}. {' '.join(lacking)}"
        return Finding("groq", Level.RED, text, f"{sdk.ADVICE} Then start all processes again.")
    return Finding("groq", Level.OK, f"Calls are recorded with groq {sdk.version()}.")
