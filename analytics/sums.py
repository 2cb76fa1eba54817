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


_BASE = _columns("day", "status", "provider")
_DIMENSIONS = _columns(*("latency_ms" if name == "latency_bucket" else name for name in DIMENSIONS))
_MEASURED = _columns(
    "tokens_estimated", "input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens",
    "audio_seconds", "characters", "cost_usd", "latency_ms", "ttft_ms",
)  # fmt: skip

# How the measures of several events become one, in the order of rollup_sql.MEASURES.
_FOLD = tuple({"least": min, "greatest": max}.get(rollup_sql.MERGE.get(name, ""), sum) for name in rollup_sql.MEASURES)


def rollups(organization_id: int, rows: Iterable[Row]) -> list[Values]:
    """Rows for ``ROLLUPS`` in the order of their key, in which all writers take them."""
    bases: dict[Values, list[tuple[Values, Values]]] = defaultdict(list)
    for row in rows:
        bases[_BASE(row)].append((_dimensions(row) + _NONE, _measures(row)))
    added = []
    for (day, status, provider), events in bases.items():
        for number, key_of in _KEYS.items():
            groups: dict[Values, list[Values]] = defaultdict(list)
            for dimensions, measures in events:
                groups[key_of(dimensions)].append(measures)
            for key, several in groups.items():
                measures = several[0] if len(several) == 1 else _folded(_FOLD, several)
                added.append((organization_id, number, day, *key, status, provider, *measures))
    added.sort(key=_ORDER)
    return added


_NONE: Values = tuple(0 if name in NUMBER_DIMENSIONS else "" for name in DIMENSIONS)
_ORDER = itemgetter(*range(len(rollup_sql.ORDER)))


def _key_of(cube: Cube) -> Callable[[Values], Values]:
    """Takes the values of all dimensions of an event and ``_NONE``: its own where the cube has the dimension."""
    width = len(DIMENSIONS)
    return itemgetter(*(place + (0 if name in cube.dimensions else width) for place, name in enumerate(DIMENSIONS)))


_KEYS = {cube.number: _key_of(cube) for cube in CUBES}


def _dimensions(row: Row) -> Values:
    """In the order of DIMENSIONS."""
    hour, project_id, user_id, latency, model, expert_id, template_id, feature = _DIMENSIONS(row)
    bucket = bisect_right(BUCKET_BOUNDS_MS, latency)
    return hour, project_id or 0, user_id or 0, bucket, model, expert_id, template_id, feature


def _measures(row: Row) -> Values:
    """Of one event, in the order of rollup_sql.MEASURES."""
    estimated, given, answered, total, cached, reasoning, seconds, characters, cost, latency, ttft = _MEASURED(row)
    return (
        1, int(cost is None), int(estimated), given, answered, total, cached, reasoning, seconds, characters, cost or 0,
        latency, latency, latency, ttft or 0, int(ttft is not None),
    )  # fmt: skip


_SESSION = _columns(
    "user_id", "session_id", "cost_usd", "input_tokens", "output_tokens", "cached_tokens", "total_tokens", "status",
    "timestamp", "latency_ms", "day", "model", "provider", "project_id", "expert_id", "template_id", "feature",
)  # fmt: skip


def _occurring(values: Iterable[Any]) -> str:
    return array(sorted(set(values)))


# In the order of session_sql.MEASURES.
_SESSION_FOLD = (*(sum,) * 8, min, max, min, max, *(_occurring,) * 6)


def sessions(organization_id: int, rows: Iterable[Row]) -> list[Values]:
    """Rows for ``SESSIONS`` in the order of their key. Calls that name no session are in none."""
    sums: dict[Values, list[Values]] = defaultdict(list)
    for row in rows:
        (user_id, session_id, cost, given, answered, cached, total, status, at, latency, day,
         model, provider, project_id, expert_id, template_id, feature) = _SESSION(row)  # fmt: skip
        if session_id:
            sums[user_id or 0, session_id].append((
                1, int(cost is None), given, answered, cached, total, cost or 0, int(status == "error"),
                at, at + timedelta(milliseconds=latency), day, day,
                model, provider, project_id or 0, expert_id, template_id, feature,
            ))  # fmt: skip
    return [(organization_id, *key, *_folded(_SESSION_FOLD, values)) for key, values in sorted(sums.items())]


def _folded(folds: Iterable[Callable[[Any], Any]], values: Sequence[Values]) -> Values:
    return tuple(fold(column) for fold, column in zip(folds, zip(*values, strict=True), strict=True))
