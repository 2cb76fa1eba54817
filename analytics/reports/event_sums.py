"""Sums straight from the events, for questions that no cube can answer: all of them in one pass over the rows."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from analytics.models import UsageEvent
from analytics.rollup_sql import BUCKET_SQL, MEASURES
from pricing.fields import from_nano

Group = tuple[str, ...]
Key = tuple[Any, ...]
Sums = dict[str, Any]

SUMS = {"errors": "count(*) FILTER (WHERE status = 'error')", "last_day": "max(day)", **MEASURES}
"""What the writer adds to a rollup, and what follows from its key there."""

# A grouping set says NULL for "not grouped by", so that "no project" has to be something else.
_DIMENSIONS = {
    "project_id": "coalesce(project_id, 0)",
    "user_id": "coalesce(user_id, 0)",
    "latency_bucket": BUCKET_SQL,
    "weekday": "extract(isodow FROM day)::int",
}


def sums_of_events(events: "QuerySet[UsageEvent]", groups: Sequence[Group]) -> dict[Group, list[tuple[Key, Sums]]]:
    """For each group its keys, each with its sums; costs are dollars."""
    found: dict[Group, list[tuple[Key, Sums]]] = {group: [] for group in groups}
    try:
        rows, parameters = events.order_by().query.sql_with_params()
    except EmptyResultSet:  # a viewer who sees nothing
        return found
    names = sorted({name for group in groups for name in group})
    columns = {name: _DIMENSIONS.get(name, name) for name in names}
    with connection.cursor() as cursor:
        cursor.execute(_statement(rows, columns, groups), parameters)
        for mask, *values in cursor:
            key_of = dict(zip(names, values, strict=False))
            group = next(group for group in groups if _mask(names, group) == mask)
            sums = dict(zip(SUMS, values[len(names) :], strict=True))
            sums["cost_usd"] = from_nano(sums["cost_usd"])
            found[group].append((tuple(key_of[name] for name in group), sums))
    return found


def _statement(rows: str, columns: dict[str, str], groups: Sequence[Group]) -> str:
    which = f"GROUPING({', '.join(columns.values())})" if columns else "0"
    sets = ", ".join(f"({', '.join(columns[name] for name in group)})" for group in groups)
    return f"""
        SELECT {", ".join([which, *columns.values(), *SUMS.values()])}
        FROM ({rows}) AS event
        GROUP BY GROUPING SETS ({sets})"""  # noqa: S608 - our own words; values travel as parameters


def _mask(names: Sequence[str], group: Group) -> int:
    """What GROUPING() says of a row of this group: a bit for each name that is not in it, the last one lowest."""
    return sum(1 << place for place, name in enumerate(reversed(names)) if name not in group)
