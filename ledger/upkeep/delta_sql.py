"""SQL that compares sums with the events, and corrects them.

Each statement sees the database at one moment. At any moment the stored sums are those of the folded events
(``tail.is_folded``), so comparing them needs no lock, and what is recorded or folded meanwhile makes no difference.
Correcting needs the lock of the sums (``hold.hold_sums``): without it the rows could change after they were compared.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ledger.rollups import rollup_sql, session_sql


@dataclass(frozen=True, slots=True)
class SumTable:
    """A table of sums of events."""

    name: str
    key: tuple[str, ...]
    order: tuple[str, ...]
    """The key's columns in the order in which rows are sorted before they are written."""
    added: tuple[str, ...]
    """The measures that are added up."""
    others: tuple[str, ...]
    """The measures that are not added up: minima, maxima, and arrays of distinct values."""
    sums: Callable[[str], str]
    """A function that returns the SQL that computes the table's rows from events (a FROM item)."""
    on_conflict: str
    """The end of an INSERT that combines a new row with the stored row of the same key."""

    @property
    def measures(self) -> tuple[str, ...]:
        """All measures, with those that are added up first."""
        return self.added + self.others

    def rows(self, where: str) -> str:
        """SQL of the stored rows."""
        return f"SELECT {', '.join(self.key + self.measures)} FROM {self.name} WHERE {where}"  # noqa: S608


_NOT_ADDED = ("first_at", "last_at", "first_day", "last_day", *session_sql.ARRAYS)

ROLLUPS = SumTable(
    "ledger_rollup",
    rollup_sql.KEY,
    rollup_sql.ORDER,
    tuple(name for name in rollup_sql.MEASURES if name not in rollup_sql.MERGE),
    tuple(rollup_sql.MERGE),
    rollup_sql.sums,
    rollup_sql.ON_CONFLICT,
)
SESSIONS = SumTable(
    "ledger_session",
    session_sql.KEY,
    session_sql.KEY,
    tuple(name for name in session_sql.MEASURES if name not in _NOT_ADDED),
    _NOT_ADDED,
    session_sql.sums,
    session_sql.ON_CONFLICT,
)


def compared(table: SumTable, target: str, present: str, where: str = "true") -> str:
    """SQL of the keys whose rows in ``target`` and ``present`` (SELECTs) differ and satisfy ``where``.

    The result has all measures of both rows: ``target_requests``, ``present_requests`` and so on, with NULL where one
    side has no such row.
    """
    both = ", ".join(f"target.{name} AS target_{name}, present.{name} AS present_{name}" for name in table.measures)
    return f"SELECT {', '.join(table.key)}, {both} {_different(table, target, present, where)}"


def correct(table: SumTable, target: str, present: str, where: str = "true") -> str:
    """SQL that sets the stored rows, of which ``present`` is the SELECT, to those of ``target``. It changes only rows
    that differ and satisfy ``where``. A row that ``target`` lacks remains without requests, for ``delete_empty``."""
    values = {name: f"coalesce(target.{name}, 0)" for name in table.added}
    values |= {name: f"coalesce(target.{name}, present.{name})" for name in table.others}
    combined = {name: f"excluded.{name}" for name in table.measures}
    return _upsert(table, values, combined, _different(table, target, present, where))


def add_differences(table: SumTable, target: str, present: str) -> str:
    """SQL that adds the differences between ``target`` and ``present`` to the stored rows. The two may be the sums of a
    few events only, after and before a change of them. Measures that are not added up stay as they are."""
    values = {name: f"coalesce(target.{name}, 0) - coalesce(present.{name}, 0)" for name in table.added}
    values |= {name: f"coalesce(target.{name}, present.{name})" for name in table.others}
    combined = {name: f"old.{name} + excluded.{name}" for name in table.added}
    return _upsert(table, values, combined, _different(table, target, present, "true"))


def _upsert(table: SumTable, values: dict[str, str], combined: dict[str, str], different: str) -> str:
    return f"""
INSERT INTO {table.name} AS old ({", ".join((*table.key, *values))})
SELECT {", ".join((*table.key, *values.values()))}
{different}
ORDER BY {", ".join(table.order)}
ON CONFLICT ({", ".join(table.key)}) DO UPDATE SET {", ".join(f"{name} = {sql}" for name, sql in combined.items())}
"""


def delete_empty(table: SumTable, where: str) -> str:
    """SQL that deletes rows without any requests, which only ``correct`` can leave."""
    return f"DELETE FROM {table.name} WHERE requests = 0 AND {where}"  # noqa: S608 - no outside input


def _different(table: SumTable, target: str, present: str, where: str) -> str:
    return f"""
FROM ({target}) AS target FULL JOIN ({present}) AS present USING ({", ".join(table.key)})
WHERE ({_columns("target", table.measures)}) IS DISTINCT FROM ({_columns("present", table.measures)})
  AND ({where})
"""


def _columns(of: str, names: tuple[str, ...]) -> str:
    return ", ".join(f"{of}.{name}" for name in names)
