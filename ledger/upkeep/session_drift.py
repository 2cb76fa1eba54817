"""Finding the sessions of one person whose sums differ from their events, in a range of days."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from ledger.rollups.cubes import cube_of
from ledger.upkeep.delta_sql import SESSIONS, compared
from ledger.upkeep.hold import RETAINED, of_retained
from ledger.upkeep.rebuild import FOLDED, OF_NOBODY, OF_SOMEBODY, rows_of


@dataclass(frozen=True, slots=True)
class Session:
    """A session with wrong sums: ``row`` has the stored measures (``present_…``) and the right ones (``target_…``)."""

    session_id: str
    first_day: date
    row: dict[str, Any]


_OF_PERSON = "organization_id = %(organization)s AND user_id = %(user)s"
_TOUCHING = f"{_OF_PERSON} AND first_day <= %(last)s AND last_day >= %(first)s AND first_day >= {RETAINED}"


def _compared(person: str) -> str:
    """SQL of the wrong sessions that touch the range of days, by the folded events.

    The range of events is widened to the earliest and the latest day of all sessions that touch the range, so that all
    events of these sessions are read. It may also contain some events of other sessions. The last condition leaves such
    sessions out, unless their stored days are wrong.
    """
    events = f"""(
        SELECT * FROM ledger_usageevent AS event
        WHERE organization_id = %(organization)s AND {person} AND session_id <> '' AND day >= {RETAINED} AND {FOLDED}
          AND day >= (SELECT least(%(first)s, min(first_day)) FROM ledger_session WHERE {_TOUCHING})
          AND day <= (SELECT greatest(%(last)s, max(last_day)) FROM ledger_session WHERE {_TOUCHING})
    ) AS of_person"""  # noqa: S608 - no outside input
    touches = f"""
        coalesce(present.first_day >= {RETAINED}, true)
        AND (coalesce(present.first_day <= %(last)s AND present.last_day >= %(first)s, false)
             OR coalesce(target.first_day <= %(last)s AND target.last_day >= %(first)s, false))
    """
    return compared(SESSIONS, SESSIONS.sums(events), SESSIONS.rows(_OF_PERSON), touches)


_COMPARED = {person: _compared(person) for person in (OF_SOMEBODY, OF_NOBODY)}

# Finds the people of the organization who have sums or sessions.
_PEOPLE = f"""
    SELECT user_id FROM ledger_rollup
    WHERE organization_id = %(organization)s AND cube = {cube_of("user_id").number}
    UNION SELECT user_id FROM ledger_session WHERE organization_id = %(organization)s
    ORDER BY user_id
"""  # noqa: S608 - no outside input


def people_of(organization_id: int) -> list[int]:
    """The ids of all people who may have sessions; 0 stands for calls that name no person."""
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"organization": organization_id})
        return [user_id for (user_id,) in cursor.fetchall()]


def compare_sessions(organization_id: int, user_id: int, first: date, last: date) -> list[Session]:
    """The sessions of one person that touch the range of days and have wrong sums; ``user_id`` 0 is for calls that name
    no person. Sessions whose events are partly deleted cannot be compared, and are left out."""
    parameters: dict[str, Any] = {"organization": organization_id, "user": user_id, "first": first, "last": last}
    statement = _COMPARED[OF_SOMEBODY if user_id else OF_NOBODY]
    rows = of_retained(organization_id, lambda day: rows_of(statement, parameters | {"retained_from": day}))
    return [Session(row["session_id"], row["target_first_day"] or row["present_first_day"], row) for row in rows]
