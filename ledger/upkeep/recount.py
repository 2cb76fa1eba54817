"""Raising the counters for metrics to the events that are there, for a ledger that has events from before it had
counters."""

from django.db import connection

from ledger.rollups import counters
from ledger.rollups.tail import is_folded
from ledger.upkeep.hold import holding_sums

_ALL = counters.sums(
    f"(SELECT 1 AS sign, event.* FROM ledger_usageevent AS event WHERE {is_folded('event')}) AS counted"  # noqa: S608
)


def recount() -> None:
    """Raise counters that are lower than the events in detail tell. No counter is lowered. It reads every event once,
    and nothing is folded meanwhile."""
    with holding_sums(), connection.cursor() as cursor:
        cursor.execute(_ALL)
        ((counted,),) = cursor.fetchall()
        counters.catch_up(cursor, counted)
