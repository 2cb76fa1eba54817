"""The all-time figures for metrics: counters by provider, model, operation and status, and counts by a name.

They are those of all organizations, so only a viewer of everything gets them. What is in the tail is added to the
counters that are there; a model that is new to them, and what counts as ``other``, comes with the next fold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from accounts.models import Organization
from accounts.viewer import Viewer
from ledger.models import Tally
from ledger.rollups import counters
from ledger.rollups.counters import Row
from pricing.fields import NANO

_STORED = "SELECT coalesce(jsonb_agg(counter), '[]')::text FROM ledger_counter AS counter"
_TALLY = ("kind", "organization_id", "label", "number")
_IN_TAIL = counters.sums(counters.in_tail("ledger_tail"))


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took in the calls of a counter, in milliseconds."""

    count: int
    sum_ms: float
    buckets: tuple[int, ...]
    """For each of ``counters.BOUNDS_MS``, the number of calls in which it took at most that long."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What is left of a provider's rate limits, as the answer to a call at this time told. None is unknown."""

    at: datetime
    limit_requests: int | None
    remaining_requests: int | None
    limit_tokens: int | None
    remaining_tokens: int | None


@dataclass(frozen=True, slots=True)
class Counted:
    """The all-time sums of the calls with these labels. Costs are US dollars."""

    provider: str
    model: str
    operation: str
    status: str
    requests: int
    unpriced: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    audio_seconds: Decimal
    cost_usd: Decimal
    tool_cost_usd: Decimal
    latency: Times
    ttft: Times
    queue: Times
    rate_limit: RateLimit | None


@dataclass(frozen=True, slots=True)
class Counts:
    """All counters as of one moment."""

    calls: Sequence[Counted]
    playground: Mapping[str, int]
    """The calls from the playground by the slug of their organization."""
    experiments: Mapping[tuple[str, str], int]
    """The calls of experiments by the slug of their organization and the name of the experiment."""
    replayed: int
    """The calls that were replayed from the journals of ended processes."""


def counts(viewer: Viewer) -> Counts:
    """The counters now. Call this in a ``snapshot``. ValueError if the viewer may not see everything."""
    if not viewer.sees_everything:
        raise ValueError("Counters are of all organizations, with their costs.")
    with connection.cursor() as cursor:
        names = counters.named(cursor)
        cursor.execute(_STORED)
        stored = counters.read(cursor.fetchone()[0])
        cursor.execute(_IN_TAIL)
        in_tail = counters.read(cursor.fetchone()[0])
    calls = counters.added([*stored, *filter(names.has, in_tail)])
    tallies = _tallies(in_tail)
    slugs = dict(Organization.objects.values_list("pk", "slug"))
    runs = [(kind, slugs[pk], label, number) for (kind, pk, label), number in tallies.items() if pk in slugs]
    return Counts(
        calls=[_counted(row) for row in calls],
        playground={slug: number for kind, slug, _, number in runs if kind == counters.PLAYGROUND},
        experiments={(slug, label): number for kind, slug, label, number in runs if kind == counters.EXPERIMENT},
        replayed=tallies.get((counters.REPLAYED, 0, ""), 0),
    )


def _tallies(in_tail: Sequence[Row]) -> dict[tuple[str, int, str], int]:
    """The numbers by kind, organization and label; those of new labels come with the next fold."""
    found = {(kind, pk, label): number for kind, pk, label, number in Tally.objects.values_list(*_TALLY)}
    for row in in_tail:
        key = row["kind"], row["organization_id"], counters.label_of(row)
        if key in found:
            found[key] += row["requests"]
    return found


def _counted(row: Row) -> Counted:
    sums = {name: row[name] for name in counters.ADDED if name in Counted.__slots__}
    dollars = {name: row[name] * NANO for name in ("cost_usd", "tool_cost_usd")}
    times = {
        name: Times(row[f"{name}_count"], float(row[f"{name}_ms_sum"]), tuple(row[f"{name}_buckets"]))
        for name in counters.TIMES
    }
    limits = row["limits"]
    rate_limit = RateLimit(datetime.fromisoformat(row["limits_at"]), *limits) if limits else None
    return Counted(**{name: row[name] for name in counters.KEY}, **sums | dollars | times, rate_limit=rate_limit)
