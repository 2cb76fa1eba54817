"""Which rows an answer is made of: those of a selection that a viewer may see, as of one moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from accounts.viewer import Viewer
from analytics.distribution import is_distributed
from analytics.models import Rollup, UsageEvent
from analytics.selection import Selection

NULLABLE_IN_EVENTS = {"project_id", "user_id"}


def visible(viewer: Viewer) -> Q:
    """The rows of events or rollups that a viewer may see: the scope of everything here."""
    scope = Q()
    if viewer.organization_ids is not None:
        scope &= Q(organization_id__in=viewer.organization_ids)
    if viewer.user_ids is not None:
        scope &= Q(user_id__in=viewer.user_ids)
    return scope


def selected(selection: Selection, model: type[UsageEvent] | type[Rollup]) -> Q:
    """The selection as a condition on events or rollups."""
    condition = Q(day__range=(selection.first_day, selection.last_day))
    for dimension, values in selection.chosen.items():
        one_of = Q(**{f"{dimension}__in": values})
        if model is UsageEvent and dimension in NULLABLE_IN_EVENTS and 0 in values:
            one_of |= Q(**{f"{dimension}__isnull": True})
        condition &= one_of
    return condition


def is_scattered(viewer: Viewer, selection: Selection) -> bool:
    """Whether the rows may be of several nodes of a Citus cluster. Of those it takes neither grouping sets nor a LIMIT
    in LATERAL; of one organization it takes everything."""
    asked = (viewer.organization_ids, selection.chosen.get("organization_id"))
    return not any(ids is not None and len(ids) == 1 for ids in asked) and is_distributed()


@contextmanager
def snapshot(timeout_ms: int | None = None) -> Iterator[None]:
    """All questions inside see the ledger as of one moment, so that no two figures of a page disagree, and none takes
    longer than ``timeout_ms`` (``REPORT_TIMEOUT_MS``; 0 for no limit): django.db.OperationalError."""
    if connection.in_atomic_block:  # a test's transaction: it sees one state anyway
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        limit = settings.REPORT_TIMEOUT_MS if timeout_ms is None else timeout_ms
        cursor.execute(
            f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = {limit:d}"
        )
        yield
