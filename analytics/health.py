"""Whether the ledger can be trusted at this moment: what ``/health/`` and ``manage.py health`` tell."""

import fcntl
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import F
from django.utils import timezone

from analytics import settling
from analytics.journal import SUFFIX
from analytics.models import Reconciliation
from analytics.tasks import last_heartbeat, waiting_since

logger = logging.getLogger("usage.health")

BACKLOG_SECONDS = 180
"""The worker replays journals every minute: one that lies for so long is not being replayed."""
STALE_SECONDS = 3_600
HEARTBEAT_SECONDS = 60
"""A worker says that it lives every ten."""
WAITING_SECONDS = 900
CACHE_SECONDS = 5


class Level(IntEnum):
    OK = 0
    WARNING = 1
    RED = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what to do about it."""

    name: str
    level: Level
    text: str
    hint: str = ""


_last: tuple[float, list[Finding]] | None = None
_told: frozenset[str] = frozenset()
"""What was red when this process last said so in its log."""


def health() -> list[Finding]:
    """All findings, the database's first. Looked at again after some seconds: anybody may ask, and often."""
    global _last
    last = _last
    if last is None or time.monotonic() - last[0] > CACHE_SECONDS:
        _last = last = time.monotonic(), examine()
        _tell_change(last[1])
    return last[1]


def _tell_change(findings: list[Finding]) -> None:
    """In the log when something else is red than before, and not each time that a monitor asks."""
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
    """All findings as of now."""
    return [_database(), _journal_directory(), *_journals(), *_set_aside(), *_worker(), *_drift()]


def worst(findings: list[Finding]) -> Level:
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
    """Files of processes that are gone, and the size of all."""
    size, left = 0, []
    for path in settings.JOURNAL_DIR.glob(f"*{SUFFIX}"):
        with suppress(OSError), path.open("rb") as file:
            size += path.stat().st_size
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its process lives
            left.append(time.time() - path.stat().st_mtime)
    oldest = max(left, default=0.0)
    if oldest > BACKLOG_SECONDS:
        level = Level.RED if oldest > STALE_SECONDS else Level.WARNING
        text = f"{len(left)} journals of ended processes wait to be replayed, the oldest for {oldest / 60:.0f} minutes."
        yield Finding(
            "backlog", level, text, "manage.py worker replays journals every minute, manage.py replay_journal at once."
        )
    else:
        yield Finding("backlog", Level.OK, "No journal waits to be replayed.")
    limit = settings.JOURNAL_LIMIT_MB * 1_000_000
    if size > limit:
        text = f"Journals take {size / 1e6:,.0f} MB of the {limit / 1e6:,.0f} allowed."
        yield Finding("journal size", Level.RED, text, "Is the database away? Calls are lost when memory is full, too.")


def _set_aside() -> Iterator[Finding]:
    path = settings.JOURNAL_DIR / settling.REFUSED
    lines = 0
    with suppress(OSError), path.open("rb") as file:
        lines = sum(1 for _ in file)
    if lines:
        hint = f"Look into {path}, then manage.py replay_journal --refused, or remove the file."
        yield Finding("set aside", Level.RED, f"{lines} calls could not be recorded and were set aside.", hint)
    elif settling.lost_calls:
        hint = "Each is in the log, whole."
        yield Finding("set aside", Level.RED, f"{settling.lost_calls} calls could not even be kept in a file.", hint)
    else:
        yield Finding("set aside", Level.OK, "Every call could be recorded.")


def _worker() -> Iterator[Finding]:
    """Nothing is lost without one, but nothing is replayed, compared, moved or deleted by itself either."""
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


def _drift() -> Iterator[Finding]:
    """What comparing sums with events found: the newest comparison of everything, and those of a part since. Nothing
    where none was made yet, or nobody can be asked."""
    with suppress(DatabaseError):
        newest_first = Reconciliation.objects.order_by("-pk")
        whole = newest_first.filter(organization=None, first_day=None, last_day=None).first()
        since = newest_first if whole is None else newest_first.filter(pk__gte=whole.pk)
        wrong = since.filter(drifted__gt=F("repaired")).first()
        if wrong is not None:
            hint = "manage.py reconcile shows each difference; manage.py reconcile --repair makes all sums right."
            yield Finding("sums", Level.RED, f"They differ from the events: {wrong}.", hint)
        elif whole is not None:
            yield Finding("sums", Level.OK, f"They are those of the events: {whole}.")
