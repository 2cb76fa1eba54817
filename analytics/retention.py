"""Retention: requests that an organization keeps no longer are deleted, and their sums stay.

Sums are rebuilt from events elsewhere (``reconciliation``, ``time_zone``), and never for days before an organization's
``detail_from``. So that day moves first: whoever rebuilds holds the organization's row (FOR NO KEY UPDATE), which the
move waits for, and reads ``detail_from`` once it has it. A call that is recorded after its day has expired counts in
the sums and is deleted the next night.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils import timezone

from accounts.audit import record
from accounts.models import Organization

logger = logging.getLogger("usage.retention")

BATCH = 5_000
Place = tuple[date, datetime]
BEGINNING: Place = (date(1, 1, 1), datetime(1, 1, 1, tzinfo=ZoneInfo("UTC")))

# Every statement names one organization, and goes by the index (organization, day, timestamp). A batch begins where the
# one before ended: the index still holds what was deleted, and walking over it each time would take longer and longer.
COUNT = "SELECT count(*) FROM analytics_usageevent WHERE organization_id = %s AND day < %s"
NEXT = """
    SELECT id, day, timestamp FROM analytics_usageevent
    WHERE organization_id = %s AND day < %s AND (day, timestamp) >= (%s, %s)
    ORDER BY day, timestamp LIMIT %s
"""
DELETE = "DELETE FROM analytics_usageevent WHERE organization_id = %s AND id = ANY(%s)"


def first_kept_day(organization: Organization) -> date | None:
    """The first day whose requests the organization keeps as of now; None where it keeps all."""
    if organization.retention_days is None:
        return None
    today = timezone.now().astimezone(ZoneInfo(organization.time_zone)).date()
    return today - timedelta(days=organization.retention_days)


def count_expired(organization_id: int, before_day: date) -> int:
    """How many requests there are of local days before this one."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [organization_id, before_day])
        (count,) = cursor.fetchone()
    return int(count)


def delete_expired(
    organization_id: int, before_day: date, batch: int = BATCH, should_stop: Callable[[], bool] = lambda: False
) -> int:
    """Delete the requests of local days before this one, in batches that are committed each; the number deleted.

    Audited at once, with how many there are to delete. Ends early, between two batches, when ``should_stop``.
    """
    expired = count_expired(organization_id, before_day)
    if not expired:
        return 0
    _end_detail(organization_id, before_day, expired)
    deleted = 0
    for ids in _batches(organization_id, before_day, batch):
        if should_stop():
            break
        with connection.cursor() as cursor:
            cursor.execute(DELETE, [organization_id, ids])
            deleted += cursor.rowcount
    return deleted


def delete_expired_everywhere(should_stop: Callable[[], bool] = lambda: False) -> int:
    """The same for every organization by its own settings. What goes wrong in one does not keep the others waiting:
    then the last such error is raised in the end."""
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


@transaction.atomic
def _end_detail(organization_id: int, before_day: date, expired: int) -> None:
    """From now on nobody expects earlier requests to be there. The day never moves back: they are gone."""
    organization = Organization.objects.select_for_update(no_key=True).get(pk=organization_id)
    changes: dict[str, tuple[object, object]] = {"requests_to_delete": (None, expired)}
    if organization.detail_from is None or organization.detail_from < before_day:
        Organization.objects.filter(pk=organization_id).update(detail_from=before_day)
        changes["detail_from"] = (organization.detail_from, before_day)
    record("requests.delete", str(organization), by=None, organization=organization, changes=changes)


def _batches(organization_id: int, before_day: date, size: int) -> Iterator[list[int]]:
    """The ids to delete, from the oldest day on. Each batch is expected to be gone before the next is asked for."""
    day, at = BEGINNING
    while True:
        with connection.cursor() as cursor:
            cursor.execute(NEXT, [organization_id, before_day, day, at, size])
            rows = cursor.fetchall()
        if not rows:
            return
        yield [pk for pk, _, _ in rows]
        _, day, at = rows[-1]
