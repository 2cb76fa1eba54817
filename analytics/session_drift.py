"""Sessions whose sums are not those of their events: those of one person that touch a range of days."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection

from analytics.differences import SESSIONS, compared
from analytics.rebuild import IN_DETAIL, OF_NOBODY, OF_SOMEBODY, of_detail, rows_of


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is wrong, with its measures as they are (``present_…``) and should be (``target_…``)."""

    session_id: str
    first_day: date
    row: dict[str, Any]


_OF_PERSON = "organization_id = %(organization)s AND user_id = %(user)s"
_TOUCHING = f"{_OF_PERSON} AND first_day <= %(last)s AND last_day >= %(first)s AND first_day >= {IN_DETAIL}"


def _compared(person: str) -> str:
    """All events of a session that touches the range lie between the earliest and the latest of these sessions. Of the
    others that have events there, some or all are left out by the last condition, unless their own days are wrong."""
    events = f"""(
        SELECT * FROM analytics_usageevent
        WHERE organization_id = %(organization)s AND {person} AND session_id <> '' AND day >= {IN_DETAIL}
          AND day >= (SELECT least(%(first)s, min(first_day)) FROM analytics_session WHERE {_TOUCHING})
          AND day <= (SELECT greatest(%(last)s, max(last_day)) FROM analytics_session WHERE {_TOUCHING})
    ) AS of_person"""  # noqa: S608 - made of our own words
    touches = f"""
        coalesce(present.first_day >= {IN_DETAIL}, true)
        AND (coalesce(present.first_day <= %(last)s AND present.last_day >= %(first)s, false)
             OR coalesce(target.first_day <= %(last)s AND target.last_day >= %(first)s, false))
    """
    return compared(SESSIONS, SESSIONS.sums(events), SESSIONS.rows(_OF_PERSON), touches)


_COMPARED = {person: _compared(person) for person in (OF_SOMEBODY, OF_NOBODY)}

# Everybody who has sums of their own (cube 5) or sessions.
_PEOPLE = """
    SELECT user_id FROM analytics_rollup WHERE organization_id = %(organization)s AND cube = 5
    UNION SELECT user_id FROM analytics_session WHERE organization_id = %(organization)s
    ORDER BY user_id
"""


def people_of(organization_id: int) -> list[int]:
    """Those who may have sessions, 0 for nobody."""
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"organization": organization_id})
        return [user_id for (user_id,) in cursor.fetchall()]


def compare_sessions(organization_id: int, user_id: int, first: date, last: date) -> list[Session]:
    """The sessions of one person (0: of nobody) that touch the range and are wrong. Those of which events are gone
    cannot be told."""
    parameters: dict[str, Any] = {"organization": organization_id, "user": user_id, "first": first, "last": last}
    statement = _COMPARED[OF_SOMEBODY if user_id else OF_NOBODY]
    rows = of_detail(organization_id, lambda day: rows_of(statement, parameters | {"detail_from": day}))
    return [Session(row["session_id"], row["target_first_day"] or row["present_first_day"], row) for row in rows]
