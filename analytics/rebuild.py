"""Making sums again from the events, for days or sessions of one organization, while others go on recording.

Nothing is made again of which events are gone: days before ``Organization.detail_from``, and sessions that began there.

Statements name one organization wherever they name a large table, and no other table: on a Citus cluster each of them
is then one statement of one node, and sees one moment there. One with a small table in it is done in several.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, TypeVar

from django.db import connection, transaction

from accounts.models import Organization
from analytics.cubes import CUBES
from analytics.differences import ROLLUPS, SESSIONS, SumTable, add_differences, compared, delete_empty, set_others

IN_DETAIL = "%(detail_from)s::date"
"""The first day of the organization whose events are all there: see ``first_in_detail``."""

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


def first_in_detail(organization_id: int) -> date:
    """For ``IN_DETAIL``. Retention may move it at any time, unless the organization is held."""
    return Organization.objects.values_list("detail_from", flat=True).get(pk=organization_id) or date.min


T = TypeVar("T")


def of_detail(organization_id: int, ask: Callable[[date], T]) -> T:
    """What ``ask`` says of the days from the given one on, which is where detail began all the time that it took.
    Retention moves that day before it deletes, so that nothing is compared of which a part was gone already."""
    first = first_in_detail(organization_id)
    while True:
        answer, asked = ask(first), first
        first = first_in_detail(organization_id)
        if first == asked:
            return answer


def rows_of(statement: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """A statement's rows by the names of their columns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


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
    """In ``holding``."""
    add, *rest = statements
    parameters = parameters | {"detail_from": first_in_detail(parameters["organization"])}
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
    parameters: dict[str, Any] = {"organization": organization_id, "detail_from": first_in_detail(organization_id)}
    with connection.cursor() as cursor:
        cursor.execute(f"{_DAYS_OF_ROLLUPS} AND day >= {IN_DETAIL}", parameters)
        days |= {day for (day,) in cursor.fetchall()}
    return sorted(days)


def days_with_events(organization_id: int) -> Iterator[date]:
    """The local days in detail that have events, in order. Asks the index for one after the other."""
    after: date | str = "-infinity"
    while day := _next_day(organization_id, after):
        yield day
        after = day


def _next_day(organization_id: int, after: date | str) -> date | None:
    parameters: dict[str, Any] = {
        "organization": organization_id,
        "after": after,
        "detail_from": first_in_detail(organization_id),
    }
    with connection.cursor() as cursor:
        cursor.execute(f"{_NEXT_DAY} AND day >= {IN_DETAIL}", parameters)
        row = cursor.fetchone()
    return row[0] if row else None
