"""The declaration of the cubes, which are the rollups of events. The fold adds every event to every cube. A report
reads the smallest cube that has its dimensions, or the events if no cube has them.

All cubes are in one table, ``Rollup``, with a partition for each. The key of a row is the local day, the provider, the
status and the dimensions of the cube. Dimensions that the cube lacks are 0 or empty, never NULL. Most cubes have the
organization as a dimension. The others hold the sums over all organizations, and their rows have 0 as organization.
docs/benchmarks.md has the measurements of the cubes.
"""

from dataclasses import dataclass

BASE_DIMENSIONS = ("day", "provider", "status")
"""The dimensions that every cube has. The status of sums is an outcome: it tells time-outs from other errors."""
ORGANIZATION = "organization_id"

TEXT_DIMENSIONS = ("model", "expert_id", "template_id", "feature")
NUMBER_DIMENSIONS = ("hour", "project_id", "user_id", "latency_bucket")
DIMENSIONS = NUMBER_DIMENSIONS + TEXT_DIMENSIONS
"""The dimensions that a cube may have beside the organization."""

BUCKETS = 80
_SHORTEST_MS = 10  # the first bucket has all shorter latencies, and the last one all above ten minutes
_GROWTH = 1.15  # the error of the 95th percentile is at most 2 %; with 1.34 it was up to 9 %


def _bounds() -> tuple[int, ...]:
    """The bounds between latency buckets in whole milliseconds: log-spaced, and each larger than the one before."""
    bounds = [_SHORTEST_MS]
    for step in range(1, BUCKETS - 1):
        bounds.append(max(bounds[-1] + 1, round(_SHORTEST_MS * _GROWTH**step)))
    return tuple(bounds)


BUCKET_BOUNDS_MS = _bounds()
"""The bounds between latency buckets in milliseconds. Bucket k holds bounds[k - 1] <= latency < bounds[k]."""


@dataclass(frozen=True, slots=True)
class Cube:
    """A set of dimensions by which events are summed up, in addition to the base dimensions that every cube has."""

    number: int
    """The number of the partition. Numbers are stored in rows, so never reuse one for other dimensions."""
    dimensions: frozenset[str]

    def has(self, dimensions: frozenset[str]) -> bool:
        """Whether the cube has all these dimensions."""
        return dimensions <= self.dimensions

    @property
    def is_of_all(self) -> bool:
        """Whether the cube holds the sums over all organizations."""
        return ORGANIZATION not in self.dimensions


def _of_all(number: int, *dimensions: str) -> Cube:
    return Cube(number, frozenset(dimensions))


def _of_each(number: int, *dimensions: str) -> Cube:
    return Cube(number, frozenset({ORGANIZATION, *dimensions}))


# Both lists are sorted from small to large, so the first cube with the dimensions of a query is the cheapest to read.
# Each cube costs every event an upsert in a fold, so only cubes that save pages much time are declared.
OF_ALL = (
    _of_all(21),
    _of_all(22, "feature"),
    _of_all(23, "model"),
    _of_all(24, "hour"),
    _of_all(25, "expert_id"),
    _of_all(26, "template_id"),
    _of_all(27, "latency_bucket"),
    _of_all(28, "model", "latency_bucket"),
    _of_all(29, "hour", "model", "feature"),
)
"""The cubes of all organizations together, for viewers who see all of them. Their cost does not depend on the number of
organizations. People and projects belong to one organization, so no cube of all organizations has them."""

# The last cube answers all queries about one person, and all combinations of filters. It has about one row for three
# events. A cube of the person and only one other dimension would have hardly fewer rows, since the calls of a
# conversation usually have the same values.
OF_EACH = (
    _of_each(12),
    _of_each(1, "feature"),
    _of_each(2, "model"),
    _of_each(3, "project_id"),
    _of_each(4, "hour"),
    _of_each(5, "user_id"),
    _of_each(6, "expert_id"),
    _of_each(7, "template_id"),
    _of_each(8, "latency_bucket"),
    _of_each(9, "project_id", "model"),
    _of_each(10, "model", "latency_bucket"),
    _of_each(11, "hour", "project_id", "user_id", "model", "expert_id", "template_id", "feature"),
)
"""The cubes of each organization."""

CUBES = OF_ALL + OF_EACH


def cube_of(*dimensions: str) -> Cube:
    """The cube of each organization with exactly these dimensions besides. StopIteration if there is none."""
    return next(cube for cube in OF_EACH if cube.dimensions == {ORGANIZATION, *dimensions})


def smallest_with(dimensions: frozenset[str]) -> Cube | None:
    """The smallest cube with these dimensions (base dimensions aside); None if only the events have them all. Name
    ``organization_id`` among them unless the rows of all organizations are wanted together."""
    return next((cube for cube in CUBES if cube.has(dimensions - set(BASE_DIMENSIONS))), None)
