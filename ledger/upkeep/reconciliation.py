"""Reconciliation: comparing sums with their events, and repairing them on request.

Reconciliation checks all measures of all cubes, the sessions, and the local day and hour of each event. Each comparison
is one statement, which sees the database at one moment, so calls that are being recorded or folded do not appear as
drift. Events that are in the tail at that moment are not in the sums, so they are compared the next time.

The sums over all organizations are compared with those of each organization, on days on which those are right.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

import psycopg
from django.utils import timezone

from accounts.audit import record
from accounts.models import Organization, User
from ledger.models import Reconciliation
from ledger.recording.folding import fold_tail
from ledger.rollups.cubes import CUBES, ORGANIZATION
from ledger.upkeep.day_moves import misplaced, move_day
from ledger.upkeep.delta_sql import ROLLUPS, SESSIONS, SumTable
from ledger.upkeep.hold import hold_sums, holding, holding_sums, of_retained
from ledger.upkeep.rebuild import (
    COMPARE_ALL,
    COMPARE_DAYS,
    days_of_all,
    follow,
    rebuild_days,
    rebuild_sessions,
    retained_days,
    rows_of,
)
from ledger.upkeep.session_drift import Session, compare_sessions, people_of
from pricing.fields import from_nano

KEPT_DRIFTS = 50
"""At most this many drifts are stored with a comparison, which is enough to see what went wrong."""
MANY_SESSIONS = 500
"""At most this many sessions are repaired in one transaction."""

ALL = "0"
"""The key of the sums over all organizations in ``Reconciliation.left_wrong``, where others have their organization's
id. Only a comparison of all organizations covers them."""

_CUBE_NAMES = {
    cube.number: f"cube {cube.number} ({', '.join(sorted(cube.dimensions - {ORGANIZATION})) or 'totals'})"
    for cube in CUBES
}


@dataclass(frozen=True, slots=True)
class Drift:
    """One measure that is wrong on one day of an organization."""

    organization: Organization | None
    """None if the sums over all organizations are wrong."""
    day: date
    sums: str
    """The name of the sums, such as "cube 2 (model)", "sessions" or "events"."""
    measure: str
    rows: int
    """The number of wrong rows."""
    was: Decimal | None
    """The stored total of the wrong rows, while ``should`` is the right total. Both are None if the measure is not
    added up."""
    should: Decimal | None

    def __str__(self) -> str:
        whose = self.organization.slug if self.organization else "all organizations"
        told = f"{whose} {self.day} {self.sums} {self.measure}: {self.rows} wrong"
        return told if self.was is None or self.should is None else f"{told}, by {_plain(self.was - self.should)}"


Told = Callable[[Drift], None]


def reconcile(
    organizations: Iterable[Organization] | None = None,
    first: date | None = None,
    last: date | None = None,
    *,
    repair: bool = False,
    by: User | None = None,
    told: Told = lambda drift: None,
) -> Reconciliation:
    """Compare the sums of some organizations with the events, for a range of local days with both ends included, and
    store the result. By default this covers all organizations and all retained days. If all organizations are compared,
    so are the sums over all of them together.

    ``told`` is called with each drift when it is found. With ``repair``, sums are corrected, and the audit trail
    records this as done by ``by``.
    """
    only = None if organizations is None else list(organizations)
    result = Reconciliation(
        started_at=timezone.now(),
        organization=only[0] if only and len(only) == 1 else None,
        first_day=first,
        last_day=last,
        compared=0,
        drifted=0,
        repaired=0,
    )
    _fold()
    wrong_days: set[date] = set()
    for organization in Organization.objects.order_by("pk") if only is None else only:
        wrong_days |= _reconcile(
            organization, first or date.min, last or date.max, result, repair=repair, by=by, told=told
        )
    if only is None:
        # On the other days the sums over all organizations follow, when those of the organization are repaired.
        days = [day for day in days_of_all(first or date.min, last or date.max) if day not in wrong_days]
        _reconcile_all(days, result, repair=repair, by=by, told=told)
    result.save()
    return result


def _fold() -> None:
    """Fold the tail, so that as much as possible is compared. If that cannot be done now, less is compared."""
    with suppress(psycopg.Error):
        fold_tail()


def _reconcile(
    organization: Organization,
    first: date,
    last: date,
    result: Reconciliation,
    *,
    repair: bool,
    by: User | None,
    told: Told,
) -> set[date]:
    """Compare the sums of one organization. Returns the days whose rollups were wrong."""
    days = [day for day in retained_days(organization.pk) if first <= day <= last]
    drifted: set[date] = set()
    wrong_days = set()
    for day in days:
        _keep(drifts := _misplaced(organization, day), drifted, result, told)
        if drifts and repair:
            with _audited(drifts, by):
                move_day(organization.pk, day)
    for day in days:
        _keep(drifts := _of_day(organization, day), drifted, result, told)
        if drifts:
            wrong_days.add(day)
            if repair:
                _repair_day(organization, day, by)
    for user_id in people_of(organization.pk):
        sessions = compare_sessions(organization.pk, user_id, first, last)
        _keep(_of_sessions(organization, sessions), drifted, result, told)
        if repair:
            _repair_sessions(organization, user_id, sessions, by)
    _count(str(organization.pk), days, drifted, result, repair=repair)
    return wrong_days


def _reconcile_all(days: list[date], result: Reconciliation, *, repair: bool, by: User | None, told: Told) -> None:
    drifted: set[date] = set()
    for day in days:
        _keep(_checked_of_all(day, by, repair=repair), drifted, result, told)
    _count(ALL, days, drifted, result, repair=repair)


def _checked_of_all(day: date, by: User | None, *, repair: bool) -> list[Drift]:
    """The drifts of the sums over all organizations on one day, which are repaired on request.

    Found drifts are looked for again while no sums change, because the nodes of a cluster do not answer at one moment.
    """
    if not _of_all(day):
        return []
    with holding_sums():
        drifts = _of_all(day)
        if drifts and repair:
            with _audited(drifts, by):
                follow([day])
    return drifts


def _count(whose: str, days: list[date], drifted: set[date], result: Reconciliation, *, repair: bool) -> None:
    result.compared += len(days)
    result.drifted += len(drifted)
    if repair:
        result.repaired += len(drifted)
    elif drifted:
        result.left_wrong[whose] = [min(drifted).isoformat(), max(drifted).isoformat()]


def _keep(drifts: list[Drift], drifted: set[date], result: Reconciliation, told: Told) -> None:
    for drift in drifts:
        told(drift)
        drifted.add(drift.day)
        if len(result.drifts) < KEPT_DRIFTS:
            result.drifts.append(str(drift))


def _misplaced(organization: Organization, day: date) -> list[Drift]:
    count = misplaced(organization.pk, organization.time_zone, day)
    return [Drift(organization, day, "events", "day and hour", count, None, None)] if count else []


def _of_day(organization: Organization, day: date) -> list[Drift]:
    parameters: dict[str, Any] = {"organization": organization.pk, "days": [day]}
    rows = of_retained(organization.pk, lambda first: rows_of(COMPARE_DAYS, parameters | {"retained_from": first}))
    return _of_cubes(organization, day, rows)


def _of_all(day: date) -> list[Drift]:
    return _of_cubes(None, day, rows_of(COMPARE_ALL, {"days": [day]}))


def _of_cubes(organization: Organization | None, day: date, rows: list[dict[str, Any]]) -> list[Drift]:
    by_cube = defaultdict(list)
    for row in rows:
        by_cube[row["cube"]].append(row)
    return [
        drift
        for cube in sorted(by_cube)
        for drift in _drifts(organization, day, ROLLUPS, by_cube[cube], _CUBE_NAMES[cube])
    ]


def _of_sessions(organization: Organization, sessions: list[Session]) -> list[Drift]:
    by_day = defaultdict(list)
    for session in sessions:
        by_day[session.first_day].append(session.row)
    return [d for day in sorted(by_day) for d in _drifts(organization, day, SESSIONS, by_day[day], "sessions")]


def _drifts(
    organization: Organization | None, day: date, table: SumTable, rows: list[dict[str, Any]], sums: str
) -> Iterator[Drift]:
    for name in table.measures:
        wrong = [row for row in rows if row[f"target_{name}"] != row[f"present_{name}"]]
        if not wrong:
            continue
        was = should = None
        if name in table.added:
            was, should = (_total(name, (row[f"{side}_{name}"] for row in wrong)) for side in ("present", "target"))
        yield Drift(organization, day, sums, name, len(wrong), was, should)


def _total(measure: str, values: Iterable[Any]) -> Decimal:
    total = sum((Decimal(value or 0) for value in values), Decimal(0))
    return from_nano(total) if measure == "cost_usd" else total


def _repair_day(organization: Organization, day: date, by: User | None) -> None:
    """Repair one day. The day is compared again while sums are held, so that the audit trail has the real changes."""
    with holding(organization.pk):
        hold_sums(organization.pk)
        with _audited(_of_day(organization, day), by):
            rebuild_days(organization.pk, [day])


def _repair_sessions(organization: Organization, user_id: int, sessions: list[Session], by: User | None) -> None:
    remaining = iter(sessions)
    while batch := list(islice(remaining, MANY_SESSIONS)):
        with holding(organization.pk), _audited(_of_sessions(organization, batch), by):
            hold_sums(organization.pk)
            rebuild_sessions(organization.pk, user_id, [session.session_id for session in batch])


@contextmanager
def _audited(drifts: list[Drift], by: User | None) -> Iterator[None]:
    """Write an audit record for each day of the drifts when the block, which repairs them, has ended."""
    yield
    by_day: dict[date, dict[str, tuple[Any, Any]]] = defaultdict(dict)
    for drift in drifts:
        was, should = (drift.was, drift.should) if drift.was is not None else (f"{drift.rows} wrong", None)
        by_day[drift.day][f"{drift.sums}: {drift.measure}"] = (was, should)
    for day, changes in by_day.items():
        record("ledger.repair", f"Sums of {day}", by=by, organization=drifts[0].organization, changes=changes)


def _plain(value: Decimal) -> str:
    return f"{value.normalize():+f}"
