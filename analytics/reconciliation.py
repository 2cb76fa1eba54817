"""Comparing sums with the events they are sums of, and repairing them on request.

Rollups (every cube, every measure), sessions, and the local day and hour of each event. Each comparison is one
statement, so that it sees one moment: what is being recorded meanwhile is no drift.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

from django.utils import timezone

from accounts.audit import record
from accounts.models import Organization, User
from analytics.cubes import CUBES
from analytics.differences import ROLLUPS, SESSIONS, SumTable
from analytics.models import Reconciliation
from analytics.rebuild import (
    COMPARE_DAYS,
    days_in_detail,
    holding,
    of_detail,
    rebuild_days,
    rebuild_sessions,
    rows_of,
)
from analytics.session_drift import Session, compare_sessions, people_of
from analytics.time_zone import misplaced, move_day
from pricing.fields import from_nano

KEPT_DRIFTS = 50
"""So many lines are kept with a comparison: enough to see what kind of thing went wrong."""
MANY_SESSIONS = 500
"""So many sessions are repaired in one transaction."""

_CUBE_NAMES = {cube.number: f"cube {cube.number} ({', '.join(sorted(cube.dimensions))})" for cube in CUBES}


@dataclass(frozen=True, slots=True)
class Drift:
    """One measure that is wrong on one day of an organization."""

    organization: Organization
    day: date
    sums: str
    """Which: "cube 2 (model)", "sessions", "events"."""
    measure: str
    rows: int
    """How many are wrong."""
    was: Decimal | None
    """What the wrong rows say together; None where that is not a number to add up."""
    should: Decimal | None

    def __str__(self) -> str:
        told = f"{self.organization.slug} {self.day} {self.sums} {self.measure}: {self.rows} wrong"
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
    """Compare a range of local days (all that are in detail), both ends included, in some organizations (all of them),
    and keep the result. ``told`` hears of each drift as it is found. A repair is written down in the audit trail, as
    done by ``by``."""
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
    for organization in Organization.objects.order_by("pk") if only is None else only:
        _reconcile(organization, first or date.min, last or date.max, result, repair=repair, by=by, told=told)
    result.save()
    return result


def _reconcile(
    organization: Organization,
    first: date,
    last: date,
    result: Reconciliation,
    *,
    repair: bool,
    by: User | None,
    told: Told,
) -> None:
    days = [day for day in days_in_detail(organization.pk) if first <= day <= last]
    drifted: set[date] = set()
    for day in days:
        _keep(drifts := _misplaced(organization, day), drifted, result, told)
        if drifts and repair:
            with _audited(drifts, by):
                move_day(organization.pk, day)
    for day in days:
        _keep(drifts := _of_day(organization, day), drifted, result, told)
        if drifts and repair:
            _repair_day(organization, day, by)
    for user_id in people_of(organization.pk):
        sessions = compare_sessions(organization.pk, user_id, first, last)
        _keep(_of_sessions(organization, sessions), drifted, result, told)
        if repair:
            _repair_sessions(organization, user_id, sessions, by)
    result.compared += len(days)
    result.drifted += len(drifted)
    result.repaired += len(drifted) if repair else 0


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
    rows = of_detail(organization.pk, lambda first: rows_of(COMPARE_DAYS, parameters | {"detail_from": first}))
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
    organization: Organization, day: date, table: SumTable, rows: list[dict[str, Any]], sums: str
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
    """Compared again while nobody else repairs, so that the audit trail says what really was changed."""
    with holding(organization.pk), _audited(_of_day(organization, day), by):
        rebuild_days(organization.pk, [day])


def _repair_sessions(organization: Organization, user_id: int, sessions: list[Session], by: User | None) -> None:
    remaining = iter(sessions)
    while batch := list(islice(remaining, MANY_SESSIONS)):
        with holding(organization.pk), _audited(_of_sessions(organization, batch), by):
            rebuild_sessions(organization.pk, user_id, [session.session_id for session in batch])


@contextmanager
def _audited(drifts: list[Drift], by: User | None) -> Iterator[None]:
    """Write down what is repaired, a record for each day, once it is."""
    yield
    by_day: dict[date, dict[str, tuple[Any, Any]]] = defaultdict(dict)
    for drift in drifts:
        was, should = (drift.was, drift.should) if drift.was is not None else (f"{drift.rows} wrong", None)
        by_day[drift.day][f"{drift.sums}: {drift.measure}"] = (was, should)
    for day, changes in by_day.items():
        record("ledger.repair", f"Sums of {day}", by=by, organization=drifts[0].organization, changes=changes)


def _plain(value: Decimal) -> str:
    return f"{value.normalize():+f}"
