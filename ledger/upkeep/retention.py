"""Retention: deleting the requests that an organization no longer keeps, while their sums stay.

Other modules (``reconciliation``, ``day_moves``) rebuild sums from events, but never for days before an organization's
``retained_from``. So retention moves ``retained_from`` before it deletes events. Retention and rebuilds both lock the
organization's row (FOR NO KEY UPDATE), so that ``retained_from`` does not move during a rebuild. A call that is
recorded after its day has expired is added to the sums, and its event is deleted the next night.

Only folded events are deleted. Otherwise the same call could come again while the row of the tail is there, and would
be refused because of that row.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.utils import timezone

from accounts.audit import record
from accounts.models import Organization
from ledger.rollups.tail import is_folded
from ledger.upkeep.hold import hold_sums, holding

logger = logging.getLogger("usage.retention")

BATCH = 5_000
Position = tuple[date, datetime]
BEGINNING: Position = (date(1, 1, 1), datetime(1, 1, 1, tzinfo=ZoneInfo("UTC")))

# Every statement names one organization, and uses the index (organization, day, timestamp). Each batch begins where the
# one before ended, because the index still has entries of deleted rows, and reading them again takes longer each time.
COUNT = "SELECT count(*) FROM ledger_usageevent WHERE organization_id = %s AND day < %s"
NEXT = f"""
    SELECT id, day, timestamp FROM ledger_usageevent AS event
    WHERE organization_id = %(organization)s AND day < %(before)s AND (day, timestamp) >= (%(day)s, %(at)s)
      AND {is_folded("event", "%(organization)s")}
    ORDER BY day, timestamp LIMIT %(size)s
"""  # noqa: S608 - no outside input
DELETE = "DELETE FROM ledger_usageevent WHERE organization_id = %s AND id = ANY(%s)"


def first_kept_day(organization: Organization) -> date | None:
    """The first local day whose requests the organization keeps today; None if it keeps all requests."""
    if organization.retention_days is None:
        return None
    today = timezone.now().astimezone(ZoneInfo(organization.time_zone)).date()
    return today - timedelta(days=organization.retention_days)


def count_expired(organization_id: int, before_day: date) -> int:
    """The number of requests on local days before ``before_day``."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [organization_id, before_day])
        (count,) = cursor.fetchone()
    return int(count)


def delete_expired(
    organization_id: int, before_day: date, batch: int = BATCH, should_stop: Callable[[], bool] = lambda: False
) -> int:
    """Delete the requests of local days before ``before_day``, with a commit after each batch. Returns their number.

    The audit record is written before the first batch, with the number of requests to delete. The deletion ends early
    if ``should_stop`` returns True before a batch.
    """
    expired = count_expired(organization_id, before_day)
    if not expired:
        return 0
    _end_detail(organization_id, before_day, expired)
    deleted = 0
    for ids in _batches(organization_id, before_day, batch):
        if should_stop():
            break
        # All other code that changes events holds the organization too, so the two cannot deadlock at rows of events.
        with holding(organization_id), connection.cursor() as cursor:
            cursor.execute(DELETE, [organization_id, ids])
            deleted += cursor.rowcount
    return deleted


def delete_expired_everywhere(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Delete the expired requests of every organization by its own settings. Returns their number. If organizations
    fail, the others are still done, and the last error is raised at the end."""
    deleted, failure = 0, None
    for organization in Organization.objects.exclude(retention_days=None).order_by("pk"):
        if should_stop():
            break
        before_day = first_kept_day(organization)
        assert before_day is not None
        try:
            deleted += delete_expired(organization.pk, before_day, should_stop=should_stop)
        except Exception as error:
            logger.exception("Expired requests of %s could not be deleted.", organization.slug)
            failure = error
    if failure is not None:
        raise failure
    return deleted


def _end_detail(organization_id: int, before_day: date, expired: int) -> None:
    """Move ``retained_from`` to ``before_day``, so that no code relies on earlier requests, write the audit record, and
    fold the tail. ``retained_from`` never moves back, because deleted requests cannot come back."""
    with holding(organization_id) as organization:
        changes: dict[str, tuple[object, object]] = {"requests_to_delete": (None, expired)}
        if organization.retained_from is None or organization.retained_from < before_day:
            Organization.objects.filter(pk=organization_id).update(retained_from=before_day)
            changes["retained_from"] = (organization.retained_from, before_day)
        record("requests.delete", str(organization), by=None, organization=organization, changes=changes)
        hold_sums(organization_id)


def _batches(organization_id: int, before_day: date, size: int) -> Iterator[list[int]]:
    """The ids to delete in lists of at most ``size``, from the oldest day on. The caller has to delete the ids of each
    list before it takes the next."""
    day, at = BEGINNING
    place: dict[str, Any] = {"organization": organization_id, "before": before_day, "size": size}
    while True:
        with connection.cursor() as cursor:
            cursor.execute(NEXT, place | {"day": day, "at": at})
            rows = cursor.fetchall()
        if not rows:
            return
        yield [pk for pk, _, _ in rows]
        _, day, at = rows[-1]
