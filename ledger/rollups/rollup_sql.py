"""The statement that adds events to every cube, made from the declaration in ``ledger.rollups.cubes``."""

from collections.abc import Iterable, Sequence

from ledger.rollups.cubes import (
    BASE_DIMENSIONS,
    BUCKET_BOUNDS_MS,
    CUBES,
    DIMENSIONS,
    NUMBER_DIMENSIONS,
    OF_ALL,
    OF_EACH,
    ORGANIZATION,
    Cube,
)
from ledger.rollups.outcome import OUTCOME

KEY = ("organization_id", "cube", "day", "provider", "status", *DIMENSIONS)

# The order in which rows are written. Columns with many different values come early, which makes sorting quick.
ORDER = ("organization_id", "cube", "day", *DIMENSIONS, "status", "provider")

# Each measure of a rollup row with the SQL that computes it from events.
MEASURES = {
    "requests": "count(*)",
    "unpriced": "count(*) FILTER (WHERE cost_usd IS NULL OR without_tool_fees)",
    "without_tool_fees": "count(*) FILTER (WHERE without_tool_fees)",
    "estimated": "count(*) FILTER (WHERE tokens_estimated)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "total_tokens": "sum(total_tokens)",
    "cached_tokens": "sum(cached_tokens)",
    "reasoning_tokens": "sum(reasoning_tokens)",
    "audio_seconds": "sum(audio_seconds)",
    "characters": "sum(characters)",
    "cost_usd": "coalesce(sum(cost_usd), 0)",
    "tool_cost_usd": "sum(tool_cost_usd)",
    "latency_ms_sum": "sum(latency_ms)",
    "latency_ms_min": "min(latency_ms)",
    "latency_ms_max": "max(latency_ms)",
    "ttft_ms_sum": "coalesce(sum(ttft_ms), 0)",
    "ttft_count": "count(ttft_ms)",
}

# The SQL functions that combine the measures of two rows with the same key. All other measures are added.
MERGE = {"latency_ms_min": "least", "latency_ms_max": "greatest"}

# The aggregate functions that combine the measures of any number of rows.
COMBINED = dict.fromkeys(MEASURES, "sum") | {"latency_ms_min": "min", "latency_ms_max": "max"}


def _merge(measure: str) -> str:
    old, new = f"old.{measure}", f"excluded.{measure}"
    return f"{measure} = {MERGE[measure]}({old}, {new})" if measure in MERGE else f"{measure} = {old} + {new}"


ON_CONFLICT = f" ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {', '.join(_merge(name) for name in MEASURES)}"

BUCKET_SQL = f"width_bucket(latency_ms, '{{{','.join(map(str, BUCKET_BOUNDS_MS))}}}'::int[])"


def add_to_rollups(events: str, cubes: Iterable[Cube] = CUBES) -> str:
    """SQL that sums up ``events`` (a FROM item with the event table's columns), and adds the sums to the rows of some
    cubes. Rows are written in ORDER, in which new rows lie side by side in the indexes."""
    return f"""
INSERT INTO ledger_rollup AS old ({", ".join((*KEY, *MEASURES))})
{sums(events, cubes)}
ORDER BY {", ".join(str(KEY.index(name) + 1) for name in ORDER)}
{ON_CONFLICT}
"""


def sums(events: str, cubes: Iterable[Cube] = CUBES) -> str:
    """SQL that computes the rows of some cubes, with their keys and measures, from ``events`` (a FROM item with the
    event table's columns)."""
    cubes = list(cubes)
    used = [name for name in (ORGANIZATION, *DIMENSIONS) if any(name in cube.dimensions for cube in cubes)]
    dimension = {name: f"coalesce({_SOURCE.get(name, name)}, {_nothing(name)})" for name in used}
    organization = dimension.get(ORGANIZATION, _nothing(ORGANIZATION))
    return f"""
SELECT {organization} AS organization_id, {_cube_number(cubes, used)} AS cube, day, provider, outcome AS status,
       {", ".join(f"{dimension.get(name, _nothing(name))} AS {name}" for name in DIMENSIONS)},
       {", ".join(f"{sql} AS {name}" for name, sql in MEASURES.items())}
FROM (SELECT *, coalesce(project_id, 0) AS project, coalesce(user_id, 0) AS person, {BUCKET_SQL} AS latency_bucket,
             {OUTCOME} AS outcome
      FROM {events}) AS event
GROUP BY {", ".join(_SOURCE.get(name, name) for name in BASE_DIMENSIONS)},
         GROUPING SETS ({", ".join(f"({', '.join(_columns(used, cube))})" for cube in cubes)})
"""  # noqa: S608 - no outside input


# The statement renames the two nullable columns after replacing their NULL by 0, the key's value for "no project" or
# "no person". Otherwise that NULL would look like the NULL of a grouping set, which means "not a dimension of this
# cube". And the status of sums is the outcome of events.
_SOURCE = {"project_id": "project", "user_id": "person", "status": "outcome"}


def _columns(names: Iterable[str], cube: Cube) -> list[str]:
    return [_SOURCE.get(name, name) for name in names if name in cube.dimensions]


def _cube_number(cubes: Iterable[Cube], used: Sequence[str]) -> str:
    """SQL of the number of the cube that a row belongs to. GROUPING() sets a bit for every dimension that the row is
    not grouped by; the lowest bit is that of the last argument."""
    cases = []
    for cube in cubes:
        mask = sum(1 << i for i, name in enumerate(reversed(used)) if name not in cube.dimensions)
        cases.append(f"WHEN {mask} THEN {cube.number}")
    return f"CASE GROUPING({', '.join(_SOURCE.get(name, name) for name in used)}) {' '.join(cases)} END"


def _nothing(name: str) -> str:
    """SQL of a dimension that a cube lacks, or that an event does not name."""
    return "0" if name == ORGANIZATION or name in NUMBER_DIMENSIONS else "''"


def sums_over_all(rows: str) -> str:
    """SQL that computes the rows of the cubes of all organizations from ``rows``, a FROM item with rollups of each
    organization."""
    sources = ", ".join(f"({_source_of(cube).number}, {cube.number})" for cube in OF_ALL)
    return f"""
SELECT 0 AS organization_id, wider.cube, day, provider, status, {", ".join(DIMENSIONS)},
       {", ".join(f"{COMBINED[name]}({name}) AS {name}" for name in MEASURES)}
FROM (SELECT day, provider, status, {", ".join(f"{_if_kept(name)} AS {name}" for name in DIMENSIONS)},
             {", ".join(MEASURES)}, wider.cube
      FROM {rows} AS each JOIN (VALUES {sources}) AS wider (source, cube) ON source = each.cube) AS wider
GROUP BY wider.cube, day, provider, status, {", ".join(DIMENSIONS)}
"""  # noqa: S608 - no outside input


def _source_of(of_all: Cube) -> Cube:
    """The smallest cube of each organization that has the dimensions of a cube of all organizations."""
    return next(cube for cube in OF_EACH if of_all.dimensions < cube.dimensions)


def _if_kept(name: str) -> str:
    """SQL of a dimension in the rows of the wider cube: nothing unless that cube has the dimension."""
    numbers = ", ".join(str(cube.number) for cube in OF_ALL if name in cube.dimensions)
    return f"CASE WHEN wider.cube IN ({numbers}) THEN {name} ELSE {_nothing(name)} END" if numbers else _nothing(name)
