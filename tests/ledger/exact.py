"""The rule on which all sums rest, checked by SQL that shares nothing with the repair of sums."""

from django.db import connection

from ledger.rollups import rollup_sql, session_sql
from ledger.rollups.tail import is_folded

_FOLDED = f"(SELECT * FROM ledger_usageevent AS event WHERE {is_folded('event')}) AS folded"


def _differing(table: str, columns: str, right: str) -> str:
    stored = f"SELECT {columns} FROM {table}"
    wanted = f"SELECT {columns} FROM ({right}) AS wanted"
    return f"({stored} EXCEPT {wanted}) UNION ALL ({wanted} EXCEPT {stored})"


_WRONG_ROLLUPS = _differing(
    "ledger_rollup", ", ".join((*rollup_sql.KEY, *rollup_sql.MEASURES)), rollup_sql.sums(_FOLDED)
)
_WRONG_SESSIONS = _differing(
    "ledger_session", ", ".join((*session_sql.KEY, *session_sql.MEASURES)), session_sql.sums(_FOLDED)
)


def wrong_sums() -> list[str]:
    """The rows of stored sums that are not those of the folded events, those over all organizations too. This is one
    look at one moment, so it may be taken while others record and fold. It is of use as long as no events were
    deleted."""
    found = []
    for statement in (_WRONG_ROLLUPS, _WRONG_SESSIONS):
        with connection.cursor() as cursor:
            cursor.execute(statement)
            found += [str(row) for row in cursor]
    return found
