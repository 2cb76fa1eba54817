"""SQL that compares sums with what they should be, and adds what they lack while others go on adding to them.

A statement sees one moment. Events and their sums change in one transaction, so that whoever is recording meanwhile
changes neither side of a difference without the other: it is the same at any moment, and it is right to add it to a row
that has grown since. What is not added up (the quickest call, the names in a session) is made again from the events
afterwards, by a statement of its own: the row is held by then, and the statement sees the events of all who added to it
before. Whoever comes later waits for the row.

Rows are taken in the order of their keys, as all writers take them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from analytics import rollup_sql, session_sql


@dataclass(frozen=True, slots=True)
class SumTable:
    """A table of sums of events."""

    name: str
    key: tuple[str, ...]
    order: tuple[str, ...]
    """Of the key's columns, in which rows are written."""
    added: tuple[str, ...]
    """The columns that add up."""
    others: tuple[str, ...]
    """Those that do not: the smallest, the largest, lists of what occurs."""
    sums: Callable[[str], str]
    """SQL of the rows that events (a FROM item) add up to."""

    @property
    def measures(self) -> tuple[str, ...]:
        return self.added + self.others

    def rows(self, where: str) -> str:
        """SQL of the rows that are there."""
        return f"SELECT {', '.join(self.key + self.measures)} FROM {self.name} WHERE {where}"  # noqa: S608


_NOT_ADDED = ("first_at", "last_at", "first_day", "last_day", *session_sql.ARRAYS)

ROLLUPS = SumTable(
    "analytics_rollup",
    rollup_sql.KEY,
    rollup_sql.ORDER,
    tuple(name for name in rollup_sql.MEASURES if name not in rollup_sql.MERGE),
    tuple(rollup_sql.MERGE),
    rollup_sql.sums,
)
SESSIONS = SumTable(
    "analytics_session",
    session_sql.KEY,
    session_sql.KEY,
    tuple(name for name in session_sql.MEASURES if name not in _NOT_ADDED),
    _NOT_ADDED,
    session_sql.sums,
)


def compared(table: SumTable, target: str, present: str, where: str = "true") -> str:
    """SQL of the keys whose rows in ``target`` and ``present`` (SELECTs) are not the same, with all measures of both:
    ``target_requests``, ``present_requests`` and so on, NULL where one side has no such row. ``where`` chooses among
    them."""
    both = ", ".join(f"target.{name} AS target_{name}, present.{name} AS present_{name}" for name in table.measures)
    return f"SELECT {', '.join(table.key)}, {both} {_different(table, target, present, where)}"


def add_differences(table: SumTable, target: str, present: str, where: str = "true") -> str:
    """SQL that adds to the table what ``present`` lacks of ``target``. Changes as many rows as differ, and
    holds them."""
    values = [
        *(f"coalesce(target.{name}, 0) - coalesce(present.{name}, 0)" for name in table.added),
        *(f"coalesce(target.{name}, present.{name})" for name in table.others),
    ]
    return f"""
INSERT INTO {table.name} AS old ({", ".join(table.key + table.measures)})
SELECT {", ".join(table.key)}, {", ".join(values)}
{_different(table, target, present, where)}
ORDER BY {", ".join(table.order)}
ON CONFLICT ({", ".join(table.key)}) DO UPDATE SET {", ".join(f"{n} = old.{n} + excluded.{n}" for n in table.added)}
"""


def set_others(table: SumTable, target: str) -> str:
    """SQL that makes what does not add up as it is in ``target``, of one organization, which is said of both sides:
    Citus concludes neither from the other. Only after ``add_differences`` in one transaction."""
    return f"""
UPDATE {table.name} AS old SET {", ".join(f"{name} = target.{name}" for name in table.others)}
FROM ({target}) AS target
WHERE old.organization_id = %(organization)s
  AND {" AND ".join(f"old.{name} = target.{name}" for name in table.key)}
  AND ({_columns("old", table.others)}) IS DISTINCT FROM ({_columns("target", table.others)})
"""  # noqa: S608 - made of our own words


def delete_empty(table: SumTable, where: str) -> str:
    """SQL that removes rows of nothing. Only after ``add_differences``: nobody else leaves any."""
    return f"DELETE FROM {table.name} WHERE requests = 0 AND {where}"  # noqa: S608 - made of our own words


def _different(table: SumTable, target: str, present: str, where: str) -> str:
    return f"""
FROM ({target}) AS target FULL JOIN ({present}) AS present USING ({", ".join(table.key)})
WHERE ({_columns("target", table.measures)}) IS DISTINCT FROM ({_columns("present", table.measures)})
  AND ({where})
"""


def _columns(of: str, names: tuple[str, ...]) -> str:
    return ", ".join(f"{of}.{name}" for name in names)
