"""Merging two people or two projects: first their names, then, in one transaction, the events, sessions and sums.

Each row of sums is added to the corresponding row of the person or project that stays. So sums remain exact even for
days whose events have been deleted. A process that resolved the name before the merge may still record events for the
id that was merged away; a later call of ``move`` moves them as well (``accounts.merging.defer_merge``).

The sums over all organizations do not change: no cube of all organizations has people or projects as a dimension.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, LockNotAvailable

from accounts.merging import defer_merge, merge_names
from accounts.models import Project, User
from ledger.rollups.cubes import CUBES, cube_of
from ledger.rollups.tail import TAIL_CUBE
from ledger.upkeep.delta_sql import ROLLUPS, SESSIONS, SumTable
from ledger.upkeep.hold import hold_sums, holding
from ledger.upkeep.rebuild import FOLDED
from pricing.fields import from_nano

AT_ONCE = 20_000
"""If at most this many events have to be read, the data is moved while the page waits; otherwise a background job moves
it."""
LOCK_TIMEOUT = "5s"
BUSY = "The ledger of this organization is being changed in the background. Please try again in a few minutes."


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that can be merged: its model, and the column with its id in events and sums."""

    model: type[User] | type[Project]
    column: str

    @property
    def cubes(self) -> list[int]:
        """The numbers of all cubes that have the column."""
        return [cube.number for cube in CUBES if self.column in cube.dimensions]

    @property
    def own_cube(self) -> int:
        """The number of the cube that has only this column besides the base dimensions and the organization."""
        return cube_of(self.column).number


KINDS = {model.called: Kind(model, column) for model, column in ((User, "user_id"), (Project, "project_id"))}


@dataclass(frozen=True, slots=True)
class Extent:
    """The amount of data that the ledger has of one person or project."""

    requests: int
    days: int
    first_day: date | None
    last_day: date | None
    cost_usd: Decimal
    unpriced: int
    sessions: int
    """The number of sessions of the person, or of sessions with calls for the project."""
    shared_sessions: int
    """The number of sessions whose id both people use. The two sessions of each such id become one. 0 for projects."""
    events_to_read: int

    @property
    def is_small(self) -> bool:
        return self.events_to_read <= AT_ONCE


_ORGANIZATION = "organization_id = %(organization)s"
# These statements count what is in the tail as well.
_OF_OWN_CUBE = f"""
    FROM ledger_current_rollup
    WHERE {_ORGANIZATION} AND cube IN (%(cube)s, {TAIL_CUBE}) AND {{column}} = %(away)s
"""
_SUMS = f"""
    SELECT coalesce(sum(requests), 0), count(DISTINCT day), min(day), max(day), coalesce(sum(cost_usd), 0),
           coalesce(sum(unpriced), 0)
    {_OF_OWN_CUBE}
"""
_DAYS = f"SELECT DISTINCT day {_OF_OWN_CUBE} ORDER BY day"
# Counts the events that moving a project has to read, which is all events on its days: there is an index on the day,
# but none on the project. A person's events have an index of their own.
_READ = f"""
    SELECT coalesce(sum(requests), 0) FROM ledger_current_rollup
    WHERE {_ORGANIZATION} AND cube IN (%(cube)s, {TAIL_CUBE}) AND day = ANY(%(days)s)
"""  # noqa: S608 - no outside input
_SESSIONS_OF_PERSON = f"SELECT count(*) FROM ledger_current_session WHERE {_ORGANIZATION} AND user_id = %(away)s"  # noqa: S608
_SHARED_SESSIONS = f"""
    SELECT count(*) FROM ledger_current_session AS one
    WHERE one.{_ORGANIZATION} AND one.user_id = %(away)s AND EXISTS (
        SELECT FROM ledger_current_session AS other
        WHERE other.{_ORGANIZATION} AND other.user_id = %(kept)s AND other.session_id = one.session_id)
"""  # noqa: S608 - no outside input
_OF_PROJECT = f"{_ORGANIZATION} AND project_ids @> ARRAY[%(away)s]::bigint[]"
_SESSIONS_OF_PROJECT = f"SELECT count(*) FROM ledger_current_session WHERE {_OF_PROJECT}"  # noqa: S608


def extent(away: User | Project, kept: User | Project) -> Extent:
    """The amount of data that merging ``away`` into ``kept`` would move."""
    kind = KINDS[away.called]
    values: dict[str, Any] = {"organization": away.organization_id, "cube": kind.own_cube}
    values |= {"away": away.pk, "kept": kept.pk}
    ((requests, days, first, last, cost, unpriced),) = _rows(_SUMS.format(column=kind.column), values)
    sessions, shared, to_read = _SESSIONS_OF_PERSON, 0, requests
    if isinstance(away, User):
        ((shared,),) = _rows(_SHARED_SESSIONS, values)
    else:
        sessions = _SESSIONS_OF_PROJECT
        ((to_read,),) = _rows(_READ, values | {"days": _days(kind, values)})
    ((found,),) = _rows(sessions, values)
    return Extent(int(requests), days, first, last, from_nano(cost), int(unpriced), found, shared, int(to_read))


def merge(away: User | Project, kept: User | Project, *, by: User) -> bool:
    """Merge ``away`` into ``kept``. Returns False if a background job moves the data, because there is much of it or
    the ledger is locked. ValidationError if ``by`` may not do this, or if the organization is locked for longer than a
    page should wait.

    The names are merged first, in a transaction of their own that also defers the background job. So no new calls are
    recorded for ``away`` while its rows are moved, which could cause deadlocks.
    """
    if away.organization_id is None:
        raise ValidationError("Who belongs to no organization cannot be merged.", code="other_organization")
    try:
        found = _merge_names(away, kept, away.organization_id, by)
        if found.is_small:
            with _impatient():
                move(KINDS[away.called], away.pk)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
            raise
        if not type(away)._default_manager.filter(pk=away.pk, merged_into=kept.pk).exists():
            raise ValidationError(BUSY, code="busy") from error
        return False  # the background job moves the data
    return found.is_small


def _merge_names(away: User | Project, kept: User | Project, organization_id: int, by: User) -> Extent:
    with _impatient(), holding(organization_id):
        found = extent(away, kept)
        merge_names(away, kept, by=by, moved={"requests to move": (None, found.requests)})
        defer_merge(away, is_moved=found.is_small)
    return found


@contextmanager
def _impatient() -> Iterator[None]:
    """A transaction in which waiting for a lock fails after LOCK_TIMEOUT."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        yield


def move(kind: Kind, away_id: int) -> int:
    """Move the data of a person or project that was merged away. Returns the number of moved events. A later call moves
    only the events that were recorded since."""
    organization_id = kind.model._default_manager.values_list("organization_id", flat=True).get(pk=away_id)
    with holding(organization_id):
        kept_id = kind.model._default_manager.values_list("merged_into_id", flat=True).get(pk=away_id)
        return 0 if kept_id is None else _move(kind, organization_id, away_id, kept_id)


# Moving most events takes long and does not need the lock of the sums, so it is done before the lock is taken. Only
# folded events are moved, so each of them is in the sums of the old id. Then the sums are held, which folds the tail.
# Events that were folded since the move are now in the sums of the old id as well, but have not been moved. They are on
# exactly those days whose sums count more events than were moved, so these days are looked at again. (Days of which
# retention has deleted events are looked at again too, which finds nothing.)
#
# Now no folded event has the old id, and all its sums can be moved. An event that is recorded even later is in the tail
# with the old id, and will be folded with it, so that the next call of ``move`` finds its day by its sums.


def _move(kind: Kind, organization_id: int, away_id: int, kept_id: int) -> int:
    values: dict[str, Any] = {"organization": organization_id, "cube": kind.own_cube, "away": away_id, "kept": kept_id}
    moved = _move_events(kind, values | {"days": _days(kind, values)})
    hold_sums(organization_id)
    counted = dict(_rows(_COUNTED.format(column=kind.column), values))
    late = [day for day, requests in counted.items() if requests != moved.get(day, 0)]
    moved_late = _move_events(kind, values | {"days": late})
    if kind.model is User:
        _execute(_move_rows(SESSIONS, "user_id"), values)
    else:
        _execute(_RENAME_IN_SESSIONS, values)
    for cube in kind.cubes:
        of_days = _move_rows(ROLLUPS, kind.column, "cube = %(cube)s AND day = ANY(%(days)s)")
        _execute(of_days, values | {"cube": cube, "days": list(counted)})
    return sum(moved.values()) + sum(moved_late.values())


_COUNTED = f"""
    SELECT day, sum(requests) FROM ledger_rollup WHERE {_ORGANIZATION} AND cube = %(cube)s AND {{column}} = %(away)s
    GROUP BY day
"""  # noqa: S608 - no outside input
_MOVE_EVENTS = f"""
    WITH moved AS (
        UPDATE ledger_usageevent AS event SET {{column}} = %(kept)s
        WHERE {_ORGANIZATION} AND day = ANY(%(days)s) AND {{column}} = %(away)s AND {FOLDED}
        RETURNING day
    )
    SELECT day, count(*) FROM moved GROUP BY day
"""  # noqa: S608 - no outside input
_RENAME_IN_SESSIONS = f"""
    UPDATE ledger_session
    SET project_ids = ledger_union(array_remove(project_ids, %(away)s::bigint), ARRAY[%(kept)s]::bigint[])
    WHERE {_OF_PROJECT}
"""  # noqa: S608 - no outside input


def _move_rows(table: SumTable, column: str, where: str = "true") -> str:
    """SQL that adds the rows of sums with the old id to those with the id that stays, and deletes them."""
    columns = ", ".join((*table.key, *table.measures))
    moved = ", ".join("%(kept)s" if name == column else name for name in (*table.key, *table.measures))
    return f"""
WITH taken AS (DELETE FROM {table.name} WHERE {_ORGANIZATION} AND {column} = %(away)s AND {where} RETURNING {columns})
INSERT INTO {table.name} AS old ({columns}) SELECT {moved} FROM taken ORDER BY {", ".join(table.order)}
{table.on_conflict}
"""  # noqa: S608 - no outside input


def _move_events(kind: Kind, values: dict[str, Any]) -> dict[date, int]:
    """Move the folded events of some days. Returns the number of moved events of each day."""
    return dict(_rows(_MOVE_EVENTS.format(column=kind.column), values))


def _days(kind: Kind, values: dict[str, Any]) -> list[date]:
    return [day for (day,) in _rows(_DAYS.format(column=kind.column), values)]


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _execute(sql: str, values: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
