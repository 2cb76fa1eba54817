"""The statement that adds events to every cube, made from the declaration in ``analytics.cubes``."""

from analytics.cubes import BASE_DIMENSIONS, BUCKET_BOUNDS_MS, CUBES, DIMENSIONS, NUMBER_DIMENSIONS

KEY = ("organization_id", "cube", "day", "provider", "status", *DIMENSIONS)

# The order of writing; the columns that tell most rows apart come early, which makes sorting quick.
ORDER = ("organization_id", "cube", "day", *DIMENSIONS, "status", "provider")

# Measure of a rollup row: how it is computed from events.
MEASURES = {
    "requests": "count(*)",
    "unpriced": "count(*) FILTER (WHERE cost_usd IS NULL)",
    "estimated": "count(*) FILTER (WHERE tokens_estimated)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "total_tokens": "sum(total_tokens)",
    "cached_tokens": "sum(cached_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "audio_seconds": "sum(audio_seconds)",
    "characters": "sum(characters)",
    "cost_usd": "coalesce(sum(cost_usd), 0)",
    "latency_ms_sum": "sum(latency_ms)",
    "latency_ms_min": "min(latency_ms)",
    "latency_ms_max": "max(latency_ms)",
    "ttft_ms_sum": "coalesce(sum(ttft_ms), 0)",
    "ttft_count": "count(ttft_ms)",
}

# How two rows of the same key become one, where that is not addition.
MERGE = {"latency_ms_min": "least", "latency_ms_max": "greatest"}


def _merge(measure: str) -> str:
    old, new = f"old.{measure}", f"excluded.{measure}"
    return f"{measure} = {MERGE[measure]}({old}, {new})" if measure in MERGE else f"{measure} = {old} + {new}"


ON_CONFLICT = f" ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {', '.join(_merge(name) for name in MEASURES)}"

BUCKET_SQL = f"width_bucket(latency_ms, '{{{','.join(map(str, BUCKET_BOUNDS_MS))}}}'::int[])"


def add_to_rollups(events: str) -> str:
    """SQL that sums up ``events`` (a FROM item with the event table's columns) and adds the sums to the rollups.

    Rows are written in the order of their key, so that concurrent writers meet in the same order and cannot deadlock.
    """
    return f"""
INSERT INTO analytics_rollup AS old ({", ".join((*KEY, *MEASURES))})
{sums(events)}
ORDER BY {", ".join(str(KEY.index(name) + 1) for name in ORDER)}
{ON_CONFLICT}
"""


def sums(events: str) -> str:
    """SQL of the rollup rows that ``events`` (a FROM item with the event table's columns) add up to: key, measures."""
    return f"""
SELECT organization_id, {_cube_number()} AS cube, day, provider, status,
       {", ".join(f"{_dimension(name)} AS {name}" for name in DIMENSIONS)},
       {", ".join(f"{sql} AS {name}" for name, sql in MEASURES.items())}
FROM (SELECT *, coalesce(project_id, 0) AS project, coalesce(user_id, 0) AS person, {BUCKET_SQL} AS latency_bucket
      FROM {events}) AS event
GROUP BY {", ".join(BASE_DIMENSIONS)},
         GROUPING SETS ({", ".join(f"({', '.join(_columns(cube.dimensions))})" for cube in CUBES)})
"""  # noqa: S608 - made of this module's own words


# Inside the statement the two nullable columns go by other names: their NULL means "named none", which is 0 in a key,
# while the NULL of a grouping set means "not a dimension of this cube".
_SOURCE = {"project_id": "project", "user_id": "person"}


def _columns(dimensions: frozenset[str]) -> list[str]:
    return [_SOURCE.get(name, name) for name in DIMENSIONS if name in dimensions]


def _cube_number() -> str:
    """GROUPING() sets a bit for every dimension that a row is not grouped by, the last argument's bit lowest."""
    cases = []
    for cube in CUBES:
        mask = sum(1 << i for i, name in enumerate(reversed(DIMENSIONS)) if name not in cube.dimensions)
        cases.append(f"WHEN {mask} THEN {cube.number}")
    return f"CASE GROUPING({', '.join(_columns(frozenset(DIMENSIONS)))}) {' '.join(cases)} END"


def _dimension(name: str) -> str:
    default = "0" if name in NUMBER_DIMENSIONS else "''"
    return f"coalesce({_SOURCE.get(name, name)}, {default})"
