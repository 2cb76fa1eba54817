"""The state of the tail: how long it is, how old, when the last fold ended, and who changes sums now."""

from dataclasses import dataclass

from django.db import connection

from ledger.models import Fold
from ledger.rollups.fold import LOCK
from ledger.wording import counted

MOST = 100_000
"""At most this many rows are counted, so that even a look at a very long tail is quick."""

LENGTH = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)
FROM (SELECT received_at FROM ledger_tail LIMIT %s) AS counted
"""
HOLDERS = """
SELECT pid, application_name, extract(epoch FROM clock_timestamp() - xact_start)
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid, objid, objsubid) = (0, %s, 1) AND granted
"""


@dataclass(frozen=True, slots=True)
class TailState:
    """The number of events in the tail, the age of the oldest of those that were counted, and the last fold."""

    events: int
    age_seconds: float
    last_fold: Fold | None

    @property
    def is_counted(self) -> bool:
        """Whether all events were counted. Otherwise there are more than MOST."""
        return self.events <= MOST

    def __str__(self) -> str:
        if not self.events:
            return "All events are in the sums."
        number = counted(self.events, "event") if self.is_counted else f"more than {MOST:,} events"
        return f"Not in the sums yet: {number}, the oldest for {counted(round(self.age_seconds), 'second')}."


def look() -> TailState:
    """The state of the tail now."""
    with connection.cursor() as cursor:
        cursor.execute(LENGTH, [MOST + 1])
        events, age_seconds = cursor.fetchone()
    return TailState(events, float(age_seconds), Fold.objects.first())


@dataclass(frozen=True, slots=True)
class Holder:
    """A connection that changes sums now, and for how long its transaction has been running."""

    pid: int
    application: str
    seconds: float

    def __str__(self) -> str:
        time = counted(round(self.seconds), "second")
        return f"{self.application or 'a program'} (server process {self.pid}, for {time})"


def holder() -> Holder | None:
    """Who changes sums now; None if nobody does."""
    with connection.cursor() as cursor:
        cursor.execute(HOLDERS, [LOCK])
        found = cursor.fetchone()
    return Holder(found[0], found[1] or "", float(found[2] or 0)) if found else None
