"""Sums over several groupings of the same rows, of a cube or of the events, in one pass over them."""

from collections.abc import Collection, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from analytics.models import Rollup, UsageEvent
from analytics.rollup_sql import BUCKET_SQL, MEASURES, MERGE
from pricing.fields import from_nano

Group = tuple[str, ...]
Key = tuple[Any, ...]
Sums = dict[str, Any]

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


def grouped_sums(
    rows: "QuerySet[UsageEvent] | QuerySet[Rollup]", groups: Sequence[Group], names: Collection[str]
) -> dict[Group, list[tuple[Key, Sums]]]:
    """For each group its keys, each with the sums of these names; costs are dollars."""
    found: dict[Group, list[tuple[Key, Sums]]] = {group: [] for group in groups}
    try:
        sql, parameters = rows.order_by().query.sql_with_params()
    except EmptyResultSet:  # a viewer who sees nothing
        return found
    measures, known = (_OF_EVENTS, _EVENT_DIMENSIONS) if rows.model is UsageEvent else (_OF_ROLLUPS, _WEEKDAY)
    columns = {name: known.get(name, name) for name in sorted({name for group in groups for name in group})}
    places = {group: [list(columns).index(name) for name in group] for group in groups}
    group_of = {_mask(list(columns), group): group for group in groups}
    with connection.cursor() as cursor:
        cursor.execute(_statement(sql, columns, groups, [measures[name] for name in names]), parameters)
        for mask, *values in cursor:
            group = group_of[mask]
            sums = dict(zip(names, values[len(columns) :], strict=True))
            if sums.get("cost_usd") is not None:
                sums["cost_usd"] = from_nano(sums["cost_usd"])
            found[group].append((tuple(values[place] for place in places[group]), sums))
    return found


def _statement(rows: str, columns: dict[str, str], groups: Sequence[Group], measures: Sequence[str]) -> str:
    which = f"GROUPING({', '.join(columns.values())})" if columns else "0"
    sets = ", ".join(f"({', '.join(columns[name] for name in group)})" for group in groups)
    return f"""
        SELECT {", ".join([which, *columns.values(), *measures])}
        FROM ({rows}) AS event
        GROUP BY GROUPING SETS ({sets})"""  # noqa: S608 - our own words; values travel as parameters


def _mask(names: Sequence[str], group: Group) -> int:
    """What GROUPING() says of a row of this group: a bit for each name that is not in it, the last one lowest."""
    return sum(1 << place for place, name in enumerate(reversed(names)) if name not in group)
