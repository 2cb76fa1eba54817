"""The rollups, declared once. The writer fills every cube by one statement made from this list; a report asks the
smallest cube that has its dimensions, and the events where none has.

All cubes live in one table, ``Rollup``, a partition each. A row's key is the organization, the local day, the provider,
the status and the cube's own dimensions; the others are 0 or empty, never NULL. What the sizes were chosen by:
``shared/reference/storage-measurements.md``, and ours in docs/benchmarks.md.
"""

import math
from dataclasses import dataclass

BASE_DIMENSIONS = ("organization_id", "day", "provider", "status")

TEXT_DIMENSIONS = ("model", "expert_id", "template_id", "feature")
NUMBER_DIMENSIONS = ("hour", "project_id", "user_id", "latency_bucket")
DIMENSIONS = NUMBER_DIMENSIONS + TEXT_DIMENSIONS

BUCKETS = 48
_LONGEST_MS = 1_000_000  # the last bucket takes what is longer
_GROWTH = math.log(_LONGEST_MS) / (BUCKETS - 1)
BUCKET_BOUNDS_MS = tuple(math.exp(_GROWTH * i) for i in range(BUCKETS))
"""Upper bound of each latency bucket, log-spaced: 1 ms first, each 1.34 times the one before."""


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


# From small to large: the first that has the dimensions of a question is the cheapest to ask.
CUBES = (
    _cube(1, "feature"),
    _cube(2, "model"),
    _cube(3, "project_id"),
    _cube(4, "hour"),
    _cube(5, "expert_id"),
    _cube(6, "template_id"),
    _cube(7, "user_id"),
    _cube(8, "latency_bucket"),
    _cube(9, "project_id", "model"),
    _cube(10, "user_id", "model"),
    _cube(11, "user_id", "project_id"),
    _cube(12, "expert_id", "template_id"),
    _cube(13, "model", "latency_bucket"),
)


def smallest_with(dimensions: frozenset[str]) -> Cube | None:
    """The cube to ask about these dimensions (base dimensions aside); None where only the events know."""
    return next((cube for cube in CUBES if cube.has(dimensions - set(BASE_DIMENSIONS))), None)


def latency_bucket(latency_ms: int) -> int:
    """The index of the first bound that is not below the latency."""
    if latency_ms <= 1:
        return 0
    return min(BUCKETS - 1, math.ceil(math.log(latency_ms) / _GROWTH - 1e-9))
