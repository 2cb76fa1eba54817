"""The rows that figures are made of: those of a selection that a viewer may see, in one snapshot of the database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from accounts.viewer import Viewer
from analytics.reports.selection import Selection
from ledger.citus import is_distributed
from ledger.models import CurrentRollup, Outcome, Status, UsageEvent
from ledger.rollups.cubes import ORGANIZATION, Cube
from ledger.rollups.outcome import TIMEOUT_CODES
from ledger.rollups.tail import TAIL_CUBE

NULLABLE_IN_EVENTS = {"project_id", "user_id"}


@dataclass(frozen=True, slots=True)
class Rows:
    """The table and the condition of a statement, for FROM and WHERE."""

    model: type[UsageEvent] | type[CurrentRollup]
    where: str
    parameters: tuple[Any, ...]


def visible(viewer: Viewer) -> Q:
    """The condition for the rows of events, rollups or sessions that a viewer may see. Every query here includes it."""
    scope = Q()
    if viewer.organization_ids is not None:
        scope &= Q(organization_id__in=viewer.organization_ids)
    if viewer.user_ids is not None:
        scope &= Q(user_id__in=viewer.user_ids)
    if viewer.project_ids is not None:
        scope &= Q(project_id__in=viewer.project_ids)
    return scope


def scope_of(viewer: Viewer) -> frozenset[str]:
    """The dimensions that a cube needs so that ``visible`` can be applied to its rows. A viewer without any may
    read the cubes of all organizations together."""
    limited = {
        ORGANIZATION: viewer.organization_ids,
        "user_id": viewer.user_ids,
        "project_id": viewer.project_ids,
    }
    return frozenset(name for name, ids in limited.items() if ids is not None)


def in_cube(cube: Cube) -> Q:
    """The condition for the rows of a cube and of the tail, which together are the sums of all events."""
    return Q(cube__in=(cube.number, TAIL_CUBE))


def selected(selection: Selection, model: type[UsageEvent] | type[CurrentRollup]) -> Q:
    """The selection as a condition on events or rollups."""
    condition = Q(day__range=(selection.first_day, selection.last_day))
    for dimension, values in selection.chosen.items():
        one_of = _with_status(values, model) if dimension == "status" else Q(**{f"{dimension}__in": values})
        if model is UsageEvent and dimension in NULLABLE_IN_EVENTS and 0 in values:
            one_of |= Q(**{f"{dimension}__isnull": True})
        condition &= one_of
    return condition


def _with_status(values: Sequence[str | int], model: type[UsageEvent] | type[CurrentRollup]) -> Q:
    """The condition on the status. An event's error may be a time-out; the sums of time-outs are apart from those of
    other errors."""
    if model is CurrentRollup:
        return Q(status__in=(*values, Outcome.TIMEOUT) if Status.ERROR in values else values)
    timed_out = Q(status=Status.ERROR, error_code__iregex=TIMEOUT_CODES)
    return Q(status__in=values) | timed_out if Outcome.TIMEOUT in values else Q(status__in=values)


@lru_cache(maxsize=1_000)
def rows_of(viewer: Viewer, selection: Selection, cube: Cube | None) -> Rows | None:
    """The rows of a selection that a viewer may see: those of a cube and of the tail or, without a cube, the events.
    None if no row can match.

    Results are cached, because a page refreshes itself and Django takes longer to build the condition than PostgreSQL
    takes to answer.
    """
    model = UsageEvent if cube is None else CurrentRollup
    wanted = visible(viewer) & selected(selection, model)
    rows: QuerySet[Any] = model._default_manager.filter(wanted if cube is None else in_cube(cube) & wanted)
    try:
        return Rows(model, *condition_of(rows))
    except EmptyResultSet:  # The viewer sees nothing.
        return None


def condition_of(rows: QuerySet[Any]) -> tuple[str, tuple[Any, ...]]:
    """The condition of a query as SQL with its parameters. To compile a whole statement takes Django several times as
    long, because that names each column. EmptyResultSet if no row can match."""
    try:
        where, parameters = rows.query.get_compiler(connection=connection).compile(rows.query.where)
    except FullResultSet:  # All rows match.
        return "true", ()
    return where, tuple(parameters)


def is_scattered(viewer: Viewer, selection: Selection) -> bool:
    """Whether the rows may be on several nodes of a Citus cluster. Citus supports neither grouping sets nor a LIMIT in
    LATERAL across nodes. The rows of one organization are on one node, where it supports both."""
    asked = (viewer.organization_ids, selection.chosen.get("organization_id"))
    return not any(ids is not None and len(ids) == 1 for ids in asked) and is_distributed()


@contextmanager
def snapshot(timeout_ms: int | None = None) -> Iterator[None]:
    """A transaction in which all queries see the ledger as of one moment, so that the figures of a page agree. A query
    that takes longer than ``timeout_ms`` (default ``REPORT_TIMEOUT_MS``; 0 for no limit) raises OperationalError."""
    if connection.in_atomic_block:  # A test's transaction sees one state anyway.
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        limit = settings.REPORT_TIMEOUT_MS if timeout_ms is None else timeout_ms
        cursor.execute(
            f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = {limit:d}"
        )
        yield
