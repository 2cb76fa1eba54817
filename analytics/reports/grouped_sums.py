"""Sums over several groupings of the same rows, of a cube or of the events, in one query."""

from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any

from django.db import connection

from analytics.reports.scope import Rows
from ledger.models import UsageEvent
from ledger.rollups.outcome import IS_TIMEOUT, OUTCOME
from ledger.rollups.rollup_sql import BUCKET_SQL, COMBINED, MEASURES, MERGE

Group = tuple[str, ...]
Key = tuple[Any, ...]
Values = tuple[Any, ...]

_OF_EVENTS = {
    "errors": "count(*) FILTER (WHERE status = 'error')",
    "timeouts": f"count(*) FILTER (WHERE {IS_TIMEOUT})",
    "last_day": "max(day)",
    **MEASURES,
}
_OF_ROLLUPS = {
    "errors": "sum(requests) FILTER (WHERE status <> 'success')",
    "timeouts": "sum(requests) FILTER (WHERE status = 'timeout')",
    "last_day": "max(day)",
    **{name: f"{combine}({name})" for name, combine in COMBINED.items()},
}

_OF_DAY = {"weekday": "extract(isodow FROM day)::int", "month": "date_trunc('month', day::timestamp)::date"}
# A grouping set uses NULL for "not grouped by this column", so "no project" is 0.
_EVENT_DIMENSIONS = {
    "project_id": "coalesce(project_id, 0)",
    "user_id": "coalesce(user_id, 0)",
    "latency_bucket": BUCKET_SQL,
    "status": OUTCOME,
    **_OF_DAY,
}

_HIDDEN = {"cost_usd": "NULL", "tool_cost_usd": "NULL", "unpriced": "0", "without_tool_fees": "0"}


def grouped_sums(
    rows: Rows | None,
    groups: Sequence[Group],
    names: Collection[str],
    hidden: Collection[str] = (),
    *,
    at_once: bool = True,
    at_most: int | None = None,
) -> dict[Group, list[tuple[Key, Values]]]:
    """For each group its keys, each with the sums called ``names`` in this order. A sum of nothing is 0; a least or
    largest value or a last day of nothing is None. Costs are dollars. The ``hidden`` sums are not read: they are 0, and
    costs None. Unless ``at_once``, each group takes a query. With ``rows`` None, no group has a key.
    A query reads ``at_most`` this number of keys, any of them; all without a number."""
    found: dict[Group, list[tuple[Key, Values]]] = {group: [] for group in groups}
    if rows is None:
        return found
    measures, known = (_OF_EVENTS, _EVENT_DIMENSIONS) if rows.model is UsageEvent else (_OF_ROLLUPS, _OF_DAY)
    sums = [_HIDDEN[name] if name in hidden else _as_number(name, measures[name]) for name in names]
    table = connection.ops.quote_name(rows.model._meta.db_table)
    for together in [groups] if at_once else [[group] for group in groups]:
        columns = {name: known.get(name, name) for name in sorted({name for group in together for name in group})}
        after = 1 + len(columns)
        of_mask = {
            _mask(list(columns), group): (found[group], _picked([1 + list(columns).index(name) for name in group]))
            for group in together
        }
        with connection.cursor() as cursor:
            cursor.execute(_statement(table, rows.where, columns, together, sums, at_most), rows.parameters)
            for row in cursor.fetchall():
                answers, key = of_mask[row[0]]
                answers.append((key(row), row[after:]))
    return found


def _as_number(name: str, measure: str) -> str:
    """SQL of a measure, cast to the type that is quickest to read: PostgreSQL's sum of integers is a decimal number."""
    if name == "last_day" or name in MERGE:
        return measure
    if name in ("cost_usd", "tool_cost_usd"):
        return f"coalesce({measure}, 0) * 0.000000001"
    return f"coalesce({measure}, 0)" if name == "audio_seconds" else f"coalesce({measure}, 0)::bigint"


def _picked(places: Sequence[int]) -> Callable[[Values], Key]:
    """A function that takes the columns at these places out of a row, as a key."""
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))


def _statement(
    table: str,
    where: str,
    columns: dict[str, str],
    groups: Sequence[Group],
    measures: Sequence[str],
    at_most: int | None,
) -> str:
    return f"""
        SELECT {", ".join([_which(columns, groups), *columns.values(), *measures])}
        FROM {table}
        WHERE {where}
        {_grouped_by(columns, groups)}
        {"" if at_most is None else f"LIMIT {at_most:d}"}"""  # noqa: S608 - our own words; values travel as parameters


def _which(columns: dict[str, str], groups: Sequence[Group]) -> str:
    """SQL of the mask that says which group a row belongs to; 0 if there is only one group."""
    return f"GROUPING({', '.join(columns.values())})" if len(groups) > 1 else "0"


def _grouped_by(columns: dict[str, str], groups: Sequence[Group]) -> str:
    if len(groups) > 1:
        return f"GROUP BY GROUPING SETS ({', '.join(f'({_list(columns, group)})' for group in groups)})"
    return f"GROUP BY {_list(columns, groups[0])}" if columns else ""


def _list(columns: dict[str, str], group: Group) -> str:
    return ", ".join(columns[name] for name in group)


def _mask(names: Sequence[str], group: Group) -> int:
    """The value of GROUPING() for rows of this group: a bit for each name that is not in the group; the lowest bit is
    that of the last name."""
    return sum(1 << place for place, name in enumerate(reversed(names)) if name not in group)
