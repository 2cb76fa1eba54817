"""Making sums again from the events, for days or sessions of one organization, while others go on recording.

Nothing is made again of which events are gone: days before ``Organization.detail_from``, and sessions that began there.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from django.db import connection, transaction

from accounts.models import Organization
from analytics.cubes import CUBES
from analytics.differences import ROLLUPS, SESSIONS, SumTable, add_differences, compared, delete_empty, set_others

IN_DETAIL = """(
    SELECT coalesce(detail_from, '-infinity') FROM accounts_organization WHERE id = %(organization)s
)"""
"""The first day of an organization whose events are all there. Part of each statement: retention may move it."""

OF_DAYS = f"organization_id = %(organization)s AND day = ANY(%(days)s) AND day >= {IN_DETAIL}"
_ROLLUPS_OF_DAYS = f"{OF_DAYS} AND cube = ANY('{{{','.join(str(cube.number) for cube in CUBES)}}}')"
_SUMS_OF_DAYS = ROLLUPS.sums(f"(SELECT * FROM analytics_usageevent WHERE {OF_DAYS}) AS of_days")  # noqa: S608

_OF_SESSIONS = (
    "organization_id = %(organization)s AND user_id = %(user)s AND session_id = ANY(%(sessions)s)"  # of the sessions
)
_BEGAN_IN_DETAIL = f"coalesce(present.first_day >= {IN_DETAIL}, true)"

COMPARE_DAYS = compared(ROLLUPS, _SUMS_OF_DAYS, ROLLUPS.rows(_ROLLUPS_OF_DAYS))
REBUILD_DAYS = (
    add_differences(ROLLUPS, _SUMS_OF_DAYS, ROLLUPS.rows(_ROLLUPS_OF_DAYS)),
    set_others(ROLLUPS, _SUMS_OF_DAYS),
    delete_empty(ROLLUPS, _ROLLUPS_OF_DAYS),
)


def _sums_of_sessions(person: str) -> str:
    events = f"""(
        SELECT * FROM analytics_usageevent
        WHERE organization_id = %(organization)s AND {person} AND session_id = ANY(%(sessions)s) AND day >= {IN_DETAIL}
    ) AS of_sessions"""  # noqa: S608 - made of our own words
    return SESSIONS.sums(events)


def _rebuild_sessions(person: str) -> tuple[str, ...]:
    target = _sums_of_sessions(person)
    return (
        add_differences(SESSIONS, target, SESSIONS.rows(_OF_SESSIONS), _BEGAN_IN_DETAIL),
        set_others(SESSIONS, target) + f" AND old.first_day >= {IN_DETAIL}",
        delete_empty(SESSIONS, _OF_SESSIONS),
    )


OF_SOMEBODY, OF_NOBODY = "user_id = %(user)s", "user_id IS NULL"
_REBUILD_SESSIONS = {person: _rebuild_sessions(person) for person in (OF_SOMEBODY, OF_NOBODY)}


@contextmanager
def holding(organization_id: int) -> Iterator[Organization]:
    """A transaction in which nobody else changes the organization, or its past: not its zone, not where detail begins.

    Whoever changes events or makes sums again holds the organization first. Recording goes on.
    """
    with transaction.atomic():
        yield Organization.objects.select_for_update(no_key=True).get(pk=organization_id)


def rebuild_days(organization_id: int, days: Collection[date]) -> int:
    """Make the rollups of some local days what their events add up to; how many rows were wrong. Call it in
    ``holding``."""
    return _run(REBUILD_DAYS, {"organization": organization_id, "days": list(days)})


def rebuild_sessions(organization_id: int, user_id: int, session_ids: Collection[str]) -> int:
    """The same for sessions of one person (0: of nobody)."""
    statements = _REBUILD_SESSIONS[OF_SOMEBODY if user_id else OF_NOBODY]
    return _run(statements, {"organization": organization_id, "user": user_id, "sessions": list(session_ids)})


def _run(statements: tuple[str, ...], parameters: dict[str, Any]) -> int:
    add, *rest = statements
    with connection.cursor() as cursor:
        cursor.execute(add, parameters)
        wrong: int = cursor.rowcount
        if wrong:
            for statement in rest:
                cursor.execute(statement, parameters)
    return wrong


def apply_difference(table: SumTable, target: str, present: str, parameters: dict[str, Any]) -> None:
    """Let sums follow events that were changed in this transaction: from what the same events added up to before
    (``present``) to what they add up to now. Only for what adds up and for keys that stay."""
    with connection.cursor() as cursor:
        cursor.execute(add_differences(table, target, present), parameters)


_NEXT_DAY = """
SELECT min(day) FROM analytics_usageevent WHERE organization_id = %(organization)s AND day > %(after)s
"""
_DAYS_OF_ROLLUPS = "SELECT DISTINCT day FROM analytics_rollup WHERE organization_id = %(organization)s"


def days_in_detail(organization_id: int) -> list[date]:
    """The local days whose events can be summed up again, in order: those with events and those with sums."""
    days = set(days_with_events(organization_id))
    with connection.cursor() as cursor:
        cursor.execute(f"{_DAYS_OF_ROLLUPS} AND day >= {IN_DETAIL}", {"organization": organization_id})
        days |= {day for (day,) in cursor.fetchall()}
    return sorted(days)


def days_with_events(organization_id: int) -> Iterator[date]:
    """The local days in detail that have events, in order. Asks the index for one after the other."""
    after: date | str = "-infinity"
    while day := _next_day(organization_id, after):
        yield day
        after = day


def _next_day(organization_id: int, after: date | str) -> date | None:
    with connection.cursor() as cursor:
        cursor.execute(f"{_NEXT_DAY} AND day >= {IN_DETAIL}", {"organization": organization_id, "after": after})
        row = cursor.fetchone()
    return row[0] if row else None
