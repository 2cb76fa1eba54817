"""Sums over several groupings of the same rows, of a cube or of the events, in one pass over them."""

from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from analytics.models import Rollup, UsageEvent
from analytics.rollup_sql import BUCKET_SQL, MEASURES, MERGE

Group = tuple[str, ...]
Key = tuple[Any, ...]
Values = tuple[Any, ...]

_OF_EVENTS = {"errors": "count(*) FILTER (WHERE status = 'error')", "last_day": "max(day)", **MEASURES}
_MERGED = {"least": "min", "greatest": "max"}
_OF_ROLLUPS = {
    "errors": "sum(requests) FILTER (WHERE status = 'error')",
    "last_day": "max(day)",
    **{name: f"{_MERGED[MERGE[name]] if name in MERGE else 'sum'}({name})" for name in MEASURES},
}

_WEEKDAY = {"weekday": "extract(isodow FROM day)::int"}
# A grouping set says NULL for "not grouped by", so that "no project" has to be something else.
_EVENT_DIMENSIONS = {
    "project_id": "coalesce(project_id, 0)",
    "user_id": "coalesce(user_id, 0)",
    "latency_bucket": BUCKET_SQL,
    **_WEEKDAY,
}

_HIDDEN = {"cost_usd": "NULL", "unpriced": "0"}


def grouped_sums(
    rows: "QuerySet[UsageEvent] | QuerySet[Rollup]",
    groups: Sequence[Group],
    names: Collection[str],
    hidden: Collection[str] = (),
    *,
    at_once: bool = True,
) -> dict[Group, list[tuple[Key, Values]]]:
    """For each group its keys, each with the sums of these names in their order: 0 of nothing, but no least, no largest
    and no last day. Costs are dollars. The ``hidden`` are not asked: they are 0, and a cost is None. Unless ``at_once``
    there is a pass for each group."""
    found: dict[Group, list[tuple[Key, Values]]] = {group: [] for group in groups}
    try:  # not the whole statement: it would name each column, which takes longer to make than all the rest
        where, parameters = rows.query.get_compiler(connection=connection).compile(rows.query.where)
    except EmptyResultSet:  # a viewer who sees nothing
        return found
    measures, known = (_OF_EVENTS, _EVENT_DIMENSIONS) if rows.model is UsageEvent else (_OF_ROLLUPS, _WEEKDAY)
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
            cursor.execute(_statement(table, where, columns, together, sums), parameters)
            for row in cursor.fetchall():
                answers, key = of_mask[row[0]]
                answers.append((key(row), row[after:]))
    return found


def _as_number(name: str, measure: str) -> str:
    """PostgreSQL's sum of whole numbers is a decimal number, which takes longer to read."""
    if name == "last_day" or name in MERGE:
        return measure
    if name == "cost_usd":
        return f"coalesce({measure}, 0) * 0.000000001"
    return f"coalesce({measure}, 0)" if name == "audio_seconds" else f"coalesce({measure}, 0)::bigint"


def _picked(places: Sequence[int]) -> Callable[[Values], Key]:
    """What takes a key out of a row."""
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))


def _statement(
    table: str, where: str, columns: dict[str, str], groups: Sequence[Group], measures: Sequence[str]
) -> str:
    return f"""
        SELECT {", ".join([_which(columns, groups), *columns.values(), *measures])}
        FROM {table}
        WHERE {where}
        {_grouped_by(columns, groups)}"""  # noqa: S608 - our own words; values travel as parameters


def _which(columns: dict[str, str], groups: Sequence[Group]) -> str:
    """Whose row it is: only where there are several groups."""
    return f"GROUPING({', '.join(columns.values())})" if len(groups) > 1 else "0"


def _grouped_by(columns: dict[str, str], groups: Sequence[Group]) -> str:
    if len(groups) > 1:
        return f"GROUP BY GROUPING SETS ({', '.join(f'({_list(columns, group)})' for group in groups)})"
    return f"GROUP BY {_list(columns, groups[0])}" if columns else ""


def _list(columns: dict[str, str], group: Group) -> str:
    return ", ".join(columns[name] for name in group)


def _mask(names: Sequence[str], group: Group) -> int:
    """What GROUPING() says of a row of this group: a bit for each name that is not in it, the last one lowest."""
    return sum(1 << place for place, name in enumerate(reversed(names)) if name not in group)
