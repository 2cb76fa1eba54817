"""Locking an organization and the sums while recorded events or sums change, and an organization's first day whose
events are all kept.

Two locks are taken, always in this order: the organization's row (``holding``), which keeps out everything else that
changes its recorded events, and the lock of the fold (``hold_sums``), without which nothing changes stored sums.

Recording takes neither lock, so events may be recorded between any two statements. Each of them comes with a row of the
tail, which nobody can fold meanwhile. So as long as the sums are held, the events that are folded stay the same ones.
All upkeep changes only those, together with the sums, and leaves an event in the tail as it is, with its row. Both of
them therefore always agree, and the stored sums are those of the folded events whenever a transaction ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import TypeVar

from django.db import connection, transaction

from accounts.models import Organization
from ledger.citus import is_distributed
from ledger.rollups import shard_fold
from ledger.rollups.fold import AT_ONCE, LOCK, SETTINGS, move

RETAINED = "%(retained_from)s::date"
"""The SQL parameter for the organization's first day whose events are all kept; ``first_retained`` gives its value."""


def first_retained(organization_id: int) -> date:
    """The first day whose events are all kept, for RETAINED. Retention may move this day, except inside ``holding``."""
    return Organization.objects.values_list("retained_from", flat=True).get(pk=organization_id) or date.min


T = TypeVar("T")


def of_retained(organization_id: int, ask: Callable[[date], T]) -> T:
    """The result of ``ask`` for the days from the first retained day on. ``ask`` gets that day as its argument, and is
    called again if retention has moved the day meanwhile. Retention moves the day before it deletes events, so the
    result never covers days whose events were partly deleted."""
    first = first_retained(organization_id)
    while True:
        answer, asked = ask(first), first
        first = first_retained(organization_id)
        if first == asked:
            return answer


@contextmanager
def holding(organization_id: int) -> Iterator[Organization]:
    """A transaction that locks the organization, so that no other process changes its settings (such as its time zone)
    or its first retained day.

    All code that changes recorded events or rebuilds sums uses this lock. Recording new calls does not wait for it.
    """
    with transaction.atomic():
        yield Organization.objects.select_for_update(no_key=True).get(pk=organization_id)


def hold_sums(organization_id: int) -> None:
    """Lock all stored sums until the transaction ends, and move the organization's tail into them. A fold that runs now
    ends first. Call this inside ``holding``, before sums or recorded events change.

    From then on the stored sums change only in this transaction. They are those of the events for which
    ``tail.is_folded`` is true; events that are recorded meanwhile stay in the tail. No other organization's tail can be
    folded meanwhile, so do what takes long before.
    """
    _lock_sums()
    with connection.cursor() as cursor:
        if not is_distributed():
            move(cursor, organization_id)
            return
        while shard_fold.move(cursor, organization_id, AT_ONCE) == AT_ONCE:
            pass


@contextmanager
def holding_sums() -> Iterator[None]:
    """A transaction that locks all stored sums, for changes that concern no single organization."""
    with transaction.atomic():
        _lock_sums()
        yield


def _lock_sums() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute(SETTINGS)
