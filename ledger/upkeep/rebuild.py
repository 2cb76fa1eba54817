"""Rebuilding sums from the folded events, for days or sessions of one organization, while recording goes on; and
letting the sums over all organizations follow.

Sums whose events have been deleted are not rebuilt. These are the sums of days before ``Organization.retained_from``,
and of sessions that began on such a day. The sums over all organizations are made from those of each organization
instead of the events, so that they can be rebuilt for all days.

Each statement about one organization uses only large tables, and names the organization for each of them. On a Citus
cluster such a statement runs as a whole on one node, and so sees the database at one moment. Citus would split a
statement that also uses a small table into several statements.
"""

from collections.abc import Collection, Iterator
from datetime import date
from typing import Any

from django.db import connection

from ledger.rollups import rollup_sql
from ledger.rollups.cubes import CUBES, OF_ALL, OF_EACH, Cube, cube_of
from ledger.rollups.tail import is_folded
from ledger.upkeep.delta_sql import ROLLUPS, SESSIONS, compared, correct, delete_empty
from ledger.upkeep.hold import RETAINED, first_retained

FOLDED = is_folded("event", "%(organization)s")
"""The condition that ``event`` is in the stored sums."""


def _numbers(cubes: Collection[Cube]) -> str:
    return f"'{{{','.join(str(cube.number) for cube in cubes)}}}'"


# Both conditions name all cubes, so that the primary key finds the rows, and rows in a cube where they do not belong
# are found too.
_OF_DAYS = f"day = ANY(%(days)s) AND cube = ANY({_numbers(CUBES)})"
_ROLLUPS_OF_DAYS = f"organization_id = %(organization)s AND {_OF_DAYS} AND day >= {RETAINED}"
_ROLLUPS_OF_ALL = f"organization_id = 0 AND {_OF_DAYS}"

_SUMS_OF_DAYS = rollup_sql.sums(
    f"""(
        SELECT * FROM ledger_usageevent AS event
        WHERE organization_id = %(organization)s AND day = ANY(%(days)s) AND day >= {RETAINED} AND {FOLDED}
    ) AS of_days""",  # noqa: S608 - no outside input
    OF_EACH,
)
_SUMS_OF_ALL = rollup_sql.sums_over_all(
    f"(SELECT * FROM ledger_rollup WHERE day = ANY(%(days)s) AND cube = ANY({_numbers(OF_EACH)}))"  # noqa: S608
)

_OF_SESSIONS = "organization_id = %(organization)s AND user_id = %(user)s AND session_id = ANY(%(sessions)s)"
_BEGAN_RETAINED = f"coalesce(present.first_day >= {RETAINED}, true)"

COMPARE_DAYS = compared(ROLLUPS, _SUMS_OF_DAYS, ROLLUPS.rows(_ROLLUPS_OF_DAYS))
COMPARE_ALL = compared(ROLLUPS, _SUMS_OF_ALL, ROLLUPS.rows(_ROLLUPS_OF_ALL))
_REBUILD_DAYS = (
    correct(ROLLUPS, _SUMS_OF_DAYS, ROLLUPS.rows(_ROLLUPS_OF_DAYS)),
    delete_empty(ROLLUPS, _ROLLUPS_OF_DAYS),
)
_FOLLOW = (
    correct(ROLLUPS, _SUMS_OF_ALL, ROLLUPS.rows(_ROLLUPS_OF_ALL)),
    delete_empty(ROLLUPS, _ROLLUPS_OF_ALL),
)


def _rebuild_sessions(person: str) -> tuple[str, str]:
    events = f"""(
        SELECT * FROM ledger_usageevent AS event
        WHERE organization_id = %(organization)s AND {person} AND session_id = ANY(%(sessions)s) AND day >= {RETAINED}
          AND {FOLDED}
    ) AS of_sessions"""  # noqa: S608 - no outside input
    return (
        correct(SESSIONS, SESSIONS.sums(events), SESSIONS.rows(_OF_SESSIONS), _BEGAN_RETAINED),
        delete_empty(SESSIONS, _OF_SESSIONS),
    )


OF_SOMEBODY, OF_NOBODY = "user_id = %(user)s", "user_id IS NULL"
_REBUILD_SESSIONS = {person: _rebuild_sessions(person) for person in (OF_SOMEBODY, OF_NOBODY)}


def rows_of(statement: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a statement, each as a dictionary by the names of the columns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def rebuild_days(organization_id: int, days: Collection[date]) -> int:
    """Set the rollups of some local days to the sums of their events, those over all organizations too. Returns the
    number of the organization's rows that were wrong. Call this after ``hold_sums``."""
    wrong = _rebuilt(_REBUILD_DAYS, _of(organization_id, days=list(days)))
    if wrong:
        follow(days)
    return wrong


def follow(days: Collection[date]) -> None:
    """Set the rollups over all organizations of some local days to the sums of the rollups of each organization. Call
    this while the sums are held, after an organization's rollups of these days have changed."""
    _rebuilt(_FOLLOW, {"days": list(days)})


def rebuild_sessions(organization_id: int, user_id: int, session_ids: Collection[str]) -> int:
    """Set some sessions of one person to the sums of their events; ``user_id`` 0 is for calls that name no person.
    Returns the number of sessions that were wrong. Call this after ``hold_sums``."""
    statements = _REBUILD_SESSIONS[OF_SOMEBODY if user_id else OF_NOBODY]
    return _rebuilt(statements, _of(organization_id, user=user_id, sessions=list(session_ids)))


def _of(organization_id: int, **more: Any) -> dict[str, Any]:
    return {"organization": organization_id, "retained_from": first_retained(organization_id), **more}


def _rebuilt(statements: tuple[str, str], parameters: dict[str, Any]) -> int:
    """The number of rows that the first statement changed. The second is run only if there are any."""
    correct_rows, delete_rows = statements
    with connection.cursor() as cursor:
        cursor.execute(correct_rows, parameters)
        wrong: int = cursor.rowcount
        if wrong:
            cursor.execute(delete_rows, parameters)
    return wrong


_NEXT_DAY = f"""
SELECT min(day) FROM ledger_usageevent
WHERE organization_id = %(organization)s AND day > %(after)s AND day >= {RETAINED}
"""  # noqa: S608 - no outside input
_DAYS_OF_ROLLUPS = f"""
SELECT DISTINCT day FROM ledger_rollup WHERE organization_id = %(organization)s AND day >= {RETAINED}
"""  # noqa: S608 - no outside input
# The smallest cube of each organization has all days.
_DAYS_OF_ALL = f"""
SELECT DISTINCT day FROM ledger_rollup
WHERE cube = ANY({_numbers((*OF_ALL, cube_of()))}) AND day BETWEEN %(first)s AND %(last)s ORDER BY day
"""  # noqa: S608 - no outside input


def retained_days(organization_id: int) -> list[date]:
    """The retained local days that have events or sums, in order."""
    days = set(days_with_events(organization_id))
    return sorted(days.union(row["day"] for row in rows_of(_DAYS_OF_ROLLUPS, _of(organization_id))))


def days_of_all(first: date, last: date) -> list[date]:
    """The local days from ``first`` to ``last`` on which some organization, or all of them together, have sums, in
    order."""
    return [row["day"] for row in rows_of(_DAYS_OF_ALL, {"first": first, "last": last})]


def days_with_events(organization_id: int) -> Iterator[date]:
    """The retained local days that have events, in order. Each day is looked up in the index, so few rows are read."""
    after: date | str = "-infinity"
    while day := rows_of(_NEXT_DAY, _of(organization_id, after=after))[0]["min"]:
        yield day
        after = day
