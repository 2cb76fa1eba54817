"""The rollups, declared once. The writer fills every cube by one statement made from this list; a report asks the
smallest cube that has its dimensions, and the events where none has.

All cubes live in one table, ``Rollup``, a partition each. A row's key is the organization, the local day, the provider,
the status and the cube's own dimensions; the others are 0 or empty, never NULL. What the sizes were chosen by:
``shared/reference/storage-measurements.md``, and ours in docs/benchmarks.md.
"""

from dataclasses import dataclass

BASE_DIMENSIONS = ("organization_id", "day", "provider", "status")

TEXT_DIMENSIONS = ("model", "expert_id", "template_id", "feature")
NUMBER_DIMENSIONS = ("hour", "project_id", "user_id", "latency_bucket")
DIMENSIONS = NUMBER_DIMENSIONS + TEXT_DIMENSIONS

BUCKETS = 80
_SHORTEST_MS = 10  # the first bucket takes what was quicker, the last what took longer than ten minutes
_GROWTH = 1.15  # with 1.34 the 95th percentile was up to 9 % off, with this 2 %


def _bounds() -> tuple[int, ...]:
    """Whole milliseconds, log-spaced, each larger than the one before."""
    bounds = [_SHORTEST_MS]
    for step in range(1, BUCKETS - 1):
        bounds.append(max(bounds[-1] + 1, round(_SHORTEST_MS * _GROWTH**step)))
    return tuple(bounds)


BUCKET_BOUNDS_MS = _bounds()
"""Where a latency bucket ends and the next begins: bucket k holds bounds[k - 1] <= latency < bounds[k]."""


@dataclass(frozen=True, slots=True)
class Cube:
    """A set of dimensions that are summed up together, next to the base dimensions that every cube has."""

    number: int
    """Its partition. Numbers are stored: never reuse one for other dimensions."""
    dimensions: frozenset[str]

    def has(self, dimensions: frozenset[str]) -> bool:
        return dimensions <= self.dimensions


def _cube(number: int, *dimensions: str) -> Cube:
    return Cube(number, frozenset(dimensions))


# From small to large: the first that has the dimensions of a question is the cheapest to ask. Each costs every event an
# upsert, so there is one only where it spares a page much. The last one answers whatever is asked of one person, and
# every combination of filters: it has a row for about three events, hardly more than one for each of its dimensions
# with the person, since a conversation is about one thing.
CUBES = (
    _cube(1, "feature"),
    _cube(2, "model"),
    _cube(3, "project_id"),
    _cube(4, "hour"),
    _cube(5, "user_id"),
    _cube(6, "expert_id"),
    _cube(7, "template_id"),
    _cube(8, "latency_bucket"),
    _cube(9, "project_id", "model"),
    _cube(10, "model", "latency_bucket"),
    _cube(11, "hour", "project_id", "user_id", "model", "expert_id", "template_id", "feature"),
)


def smallest_with(dimensions: frozenset[str]) -> Cube | None:
    """The cube to ask about these dimensions (base dimensions aside); None where only the events know."""
    return next((cube for cube in CUBES if cube.has(dimensions - set(BASE_DIMENSIONS))), None)
