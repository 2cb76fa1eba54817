"""What the events of one organization add to its rollups and sessions: rows to be added to those that are there.

The same sums as ``rollup_sql`` and ``session_sql`` make of stored events (a test holds them together), made of values
that are not stored yet: their statements name one organization and no other table, so that each stays on one shard.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from operator import itemgetter
from typing import Any

from analytics import rollup_sql, session_sql
from analytics.cubes import BUCKET_BOUNDS_MS, CUBES, DIMENSIONS, NUMBER_DIMENSIONS, Cube
from analytics.multi_row import Insert, array
from analytics.rows import COLUMNS, Row

Values = tuple[Any, ...]

ROLLUPS = Insert("analytics_rollup AS old", (*rollup_sql.ORDER, *rollup_sql.MEASURES), rollup_sql.ON_CONFLICT)
SESSIONS = Insert("analytics_session AS old", (*session_sql.KEY, *session_sql.MEASURES), session_sql.ON_CONFLICT)


def _columns(*names: str) -> Callable[[Row], Values]:
    return itemgetter(*(COLUMNS.index(name) for name in names))


_MEASURED = _columns(
    "tokens_estimated", "input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens",
    "audio_seconds", "characters", "cost_usd", "latency_ms", "ttft_ms",
)  # fmt: skip
_KEY = _columns(
    "day", "hour", "project_id", "user_id", "latency_ms", "model", "expert_id", "template_id", "feature", "status",
    "provider",
)  # fmt: skip

# How the measures of several events become one, in the order of rollup_sql.MEASURES.
_FOLD = tuple({"least": min, "greatest": max}.get(rollup_sql.MERGE.get(name, ""), sum) for name in rollup_sql.MEASURES)


def rollups(organization_id: int, rows: Sequence[Row]) -> list[Values]:
    """Rows for ``ROLLUPS`` in the order of their key, in which all writers take them."""
    measured = [(_rollup_key(row), _measures(row)) for row in rows]
    added = []
    for cube in CUBES:
        sums: dict[Values, list[Values]] = defaultdict(list)
        pick = _PICK[cube.number]
        for key, measures in measured:
            sums[pick(key)].append(measures)
        added += [
            (organization_id, cube.number, *key, *_folded(_FOLD, measures)) for key, measures in sorted(sums.items())
        ]
    return added


def _rollup_key(row: Row) -> Values:
    """The day, every dimension, status and provider; last the values of what is not a cube's dimension."""
    day, hour, project_id, user_id, latency_ms, *names = _KEY(row)
    bucket = bisect_right(BUCKET_BOUNDS_MS, latency_ms)
    return day, hour, project_id or 0, user_id or 0, bucket, *names, 0, ""


def _picked(cube: Cube) -> Callable[[Values], Values]:
    zero, empty = len(DIMENSIONS) + 3, len(DIMENSIONS) + 4
    dimensions = (
        place if name in cube.dimensions else zero if name in NUMBER_DIMENSIONS else empty
        for place, name in enumerate(DIMENSIONS, 1)
    )
    return itemgetter(0, *dimensions, len(DIMENSIONS) + 1, len(DIMENSIONS) + 2)


_PICK = {cube.number: _picked(cube) for cube in CUBES}


def _measures(row: Row) -> Values:
    """Of one event, in the order of rollup_sql.MEASURES."""
    estimated, given, answered, total, cached, reasoning, seconds, characters, cost, latency, ttft = _MEASURED(row)
    return (
        1, int(cost is None), int(estimated), given, answered, total, cached, reasoning, seconds, characters, cost or 0,
        latency, latency, latency, ttft or 0, int(ttft is not None),
    )  # fmt: skip


def _folded(folds: Iterable[Callable[[Any], Any]], values: Sequence[Values]) -> Iterable[Any]:
    if len(values) == 1:
        return values[0]
    return [fold(column) for fold, column in zip(folds, zip(*values, strict=True), strict=True)]


_SESSION = _columns(
    "user_id", "session_id", "cost_usd", "input_tokens", "output_tokens", "cached_tokens", "total_tokens", "status",
    "timestamp", "latency_ms", "day",
)  # fmt: skip
_OCCURS = _columns("model", "provider", "project_id", "expert_id", "template_id", "feature")
_SESSION_FOLD = (sum,) * 8 + (min, max, min, max)


def sessions(organization_id: int, rows: Sequence[Row]) -> list[Values]:
    """Rows for ``SESSIONS`` in the order of their key. Calls that name no session are in none."""
    sums: dict[Values, list[Values]] = defaultdict(list)
    occurring: dict[Values, list[Values]] = defaultdict(list)
    for row in rows:
        user_id, session_id, cost, given, answered, cached, total, status, at, latency, day = _SESSION(row)
        if session_id:
            key = user_id or 0, session_id
            ended = at + timedelta(milliseconds=latency)
            unpriced, errors = int(cost is None), int(status == "error")
            sums[key].append(
                (1, unpriced, given, answered, cached, total, cost or 0, errors, at, ended, day, day)
            )
            occurring[key].append(_OCCURS(row))
    return [
        (organization_id, *key, *_folded(_SESSION_FOLD, values), *_arrays(occurring[key]))
        for key, values in sorted(sums.items())
    ]


def _arrays(values: Sequence[Values]) -> Iterable[str]:
    """What occurs in each column, sorted; no project is 0."""
    return (array(sorted({value or 0 if place == _PROJECT else value for value in column})) for place, column in enumerate(zip(*values, strict=True)))


_PROJECT = 2
