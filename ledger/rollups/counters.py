"""The counters: all-time sums of calls by provider, model, operation and status, and counts of calls by a name.

The fold counts the same events that it adds to sessions and rollups, in the same transaction. A counter never goes
back, since whoever watches one takes that for a restart from zero. So it has no day, no person and no project, which
upkeep changes, and what lowers a sum afterwards leaves the counters alone (``count_change``).

The number of models that have a name is limited. A model gets its name with its first successful or priced call, if
there is still room, and then keeps it; calls before that, and calls of models without a name, count as ``OTHER``. An
event is named when it is counted, so no counter ever loses events to another one.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from django.conf import settings

from groq_client.names import identity
from ledger.rollups import tail
from ledger.rollups.outcome import OUTCOME

OTHER = "other"
"""Stands for all models, or all experiments of an organization, that have no name of their own."""
UNNAMED = "unnamed"
"""The label of experiments that do not tell their name."""
PLAYGROUND, EXPERIMENT, REPLAYED = "playground", "experiment", "replayed"
"""The kinds of ``ledger.models.Tally``."""
OF_FEATURES = (PLAYGROUND, EXPERIMENT)
"""The kinds that are features of calls."""
EXPERIMENT_KEY = "experiment"
"""The key of a call's metadata that has the name of the experiment."""
LABEL_LENGTH = 100

BOUNDS_MS = (
    10, 20, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 7_500, 10_000, 15_000,
    20_000, 30_000, 45_000, 60_000, 120_000, 300_000, 600_000,
)  # fmt: skip
"""The bounds of the histograms, each included, in milliseconds. Stored rows have a number for each, so another list
needs a migration."""
TIMES = {"latency": "latency_ms", "ttft": "ttft_ms", "queue": "queue_ms"}
"""The times that have a histogram, with their columns."""

KEY = ("provider", "model", "operation", "status")
ADDED = {
    "requests": "1",
    "unpriced": "(cost_usd IS NULL OR without_tool_fees)::int",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_tokens": "cached_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "audio_seconds": "audio_seconds",
    "cost_usd": "cost_usd",
    "tool_cost_usd": "tool_cost_usd",
    **{f"{name}_count": f"({column} IS NOT NULL)::int" for name, column in TIMES.items()},
    **{f"{name}_ms_sum": column for name, column in TIMES.items()},
}
"""The measures of a counter with the SQL of an event's part in them."""
GAUGES = frozenset({"unpriced"})
"""The measures that may go back: events are priced later."""
BUCKETS = {f"{name}_buckets": column for name, column in TIMES.items()}
"""For each histogram, the column whose values it counts. It has for each bound the number of events up to it."""
LIMITS = ("limit_requests", "remaining_requests", "limit_tokens", "remaining_tokens")

_OF_EVENTS = ("operation", "queue_ms", "metadata", "price_id", *LIMITS)
"""The columns that the tail lacks. They are looked up in the events, so that recording a call costs no more."""


class Cursor(Protocol):
    """What is needed of a cursor of psycopg or Django."""

    def execute(self, statement: str, values: dict[str, Any], /) -> object: ...

    def fetchall(self) -> list[Any]: ...


def in_tail(rows: str) -> str:
    """SQL of a FROM item with what counters are made of, from ``rows``, a FROM item with rows of the tail."""
    columns = [f"counted.{name}" for name in tail.COLUMNS if name not in ("organization_id", "request_id")]
    return f"""(
    SELECT 1 AS sign, organization_id, {", ".join([*columns, *(f"event.{name}" for name in _OF_EVENTS)])}
    FROM {rows} AS counted JOIN ledger_usageevent AS event USING (organization_id, request_id)
) AS counted"""  # noqa: S608 - no outside input


def sums(events: str) -> str:
    """SQL of one JSON text: the sums of ``events`` by all that a counter or a tally may be about. ``events`` is a FROM
    item with the event table's columns and a ``sign``, which is -1 for values that are taken back."""
    buckets = [
        f"ARRAY[{', '.join(f'coalesce(sum(sign) FILTER (WHERE {column} <= {bound}), 0)' for bound in BOUNDS_MS)}]"
        f" AS {name}"
        for name, column in BUCKETS.items()
    ]
    added = [f"coalesce(sum(sign * {value}), 0) AS {name}" for name, value in ADDED.items()]
    told = "sign > 0 AND (remaining_requests IS NOT NULL OR remaining_tokens IS NOT NULL)"
    return f"""
SELECT coalesce(jsonb_agg(counted), '[]')::text
FROM (
    SELECT organization_id, provider, model, operation, {OUTCOME} AS status,
           CASE WHEN feature IN {OF_FEATURES} THEN feature ELSE '' END AS kind,
           CASE WHEN feature = '{EXPERIMENT}' THEN coalesce(metadata ->> '{EXPERIMENT_KEY}', '') ELSE '' END AS label,
           bool_or(status = 'success' OR price_id IS NOT NULL) AS may_be_named,
           max(timestamp) FILTER (WHERE {told}) AS limits_at,
           (array_agg(jsonb_build_array({", ".join(LIMITS)}) ORDER BY timestamp DESC) FILTER (WHERE {told}))[1]
               AS limits,
           {", ".join([*added, *buckets])}
    FROM {events}
    GROUP BY 1, 2, 3, 4, 5, 6, 7
) AS counted
"""  # noqa: S608 - no outside input


_NAMES = "SELECT DISTINCT provider, model FROM ledger_counter WHERE model <> %(other)s"
_STORED = """
SELECT (SELECT coalesce(jsonb_agg(counter), '[]')::text FROM ledger_counter AS counter),
       (SELECT coalesce(jsonb_agg(tally), '[]')::text FROM ledger_tally AS tally)
"""
_LABELS = "SELECT organization_id, label FROM ledger_tally WHERE kind = %(kind)s AND label <> %(other)s"
_MEASURES = (*ADDED, *BUCKETS)


def _add(name: str) -> str:
    if name in ADDED:
        return f"{name} = old.{name} + excluded.{name}"
    both = f"unnest(old.{name}, excluded.{name}) WITH ORDINALITY AS pair (one, other, place)"
    return f"{name} = ARRAY(SELECT one + other FROM {both} ORDER BY place)"  # noqa: S608


_IS_NEWER = "excluded.limits_at > coalesce(old.limits_at, '-infinity')"
_ADD_COUNTERS = f"""
INSERT INTO ledger_counter AS old ({", ".join((*KEY, *_MEASURES))}, limits_at, limits)
SELECT {", ".join((*KEY, *_MEASURES))}, limits_at, limits
FROM jsonb_populate_recordset(NULL::ledger_counter, %(rows)s::jsonb)
ORDER BY {", ".join(KEY)}
ON CONFLICT ({", ".join(KEY)}) DO UPDATE
SET {", ".join(map(_add, _MEASURES))},
    limits = CASE WHEN {_IS_NEWER} THEN excluded.limits ELSE old.limits END,
    limits_at = CASE WHEN {_IS_NEWER} THEN excluded.limits_at ELSE old.limits_at END
"""  # noqa: S608
_ADD_TALLIES = """
INSERT INTO ledger_tally AS old (kind, organization_id, label, number)
SELECT kind, organization_id, label, number FROM jsonb_populate_recordset(NULL::ledger_tally, %(rows)s::jsonb)
ORDER BY kind, organization_id, label
ON CONFLICT (kind, organization_id, label) DO UPDATE SET number = old.number + excluded.number
"""


Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """The models that have a name, each with its provider."""

    known: frozenset[tuple[str, str]]

    def has(self, row: Row) -> bool:
        return (row["provider"], row["model"]) in self.known

    def name(self, row: Row) -> Row:
        """The row with the labels under which it is counted."""
        if self.has(row):
            return row
        is_known = any(provider == row["provider"] for provider, _ in self.known)
        return {**row, "provider": row["provider"] if is_known else OTHER, "model": OTHER}


def count(cursor: Cursor, counted: str) -> None:
    """Add events to the counters and tallies. ``counted`` is the result of ``sums``. The caller has the fold's lock in
    a transaction, which nobody else adds without."""
    rows = read(counted)
    _write(cursor, rows, rows, _as_it_is)


def count_change(cursor: Cursor, counted: str) -> None:
    """Add the differences between events as they are and as they were, which is what ``sums`` gives for the former with
    the sign 1 and the latter with -1. What would lower a counter is left out."""
    rows = read(counted)
    _write(cursor, rows, rows, _not_lower)


def catch_up(cursor: Cursor, counted: str) -> None:
    """Raise the counters to those of all events, of which ``counted`` has the sums. Counters that are higher already,
    since they remember events that were deleted, stay as they are."""
    rows = read(counted)
    cursor.execute(_STORED, {})
    counters, tallies = map(read, cursor.fetchall()[0])
    _write(
        cursor,
        [*rows, *({**row, **{name: _negative(row[name]) for name in _MEASURES}} for row in counters)],
        [*rows, *({**row, "requests": -row["number"]} for row in tallies if row["kind"] in OF_FEATURES)],
        _not_lower,
    )


def tally(cursor: Cursor, kind: str, number: int) -> None:
    """Add a number to the count of a kind that belongs to no organization."""
    row = {"kind": kind, "organization_id": 0, "label": "", "number": number}
    cursor.execute(_ADD_TALLIES, {"rows": json.dumps([row])})


def read(counted: str) -> list[Row]:
    """The rows in the result of ``sums``."""
    rows: list[Row] = json.loads(counted, parse_float=Decimal)
    return rows


def named(cursor: Cursor) -> Names:
    """The models that have a name now."""
    cursor.execute(_NAMES, {"other": OTHER})
    return Names(frozenset((provider, model) for provider, model in cursor.fetchall()))


def added(rows: Iterable[Row]) -> list[Row]:
    """One row for each key, with the sums of all its rows and the newest limits."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = tuple(row[name] for name in KEY)
        found[key] = _both(found[key], row) if key in found else row
    return list(found.values())


def _both(one: Row, other: Row) -> Row:
    newest = max(one, other, key=lambda row: row["limits_at"] or "")
    return {
        **newest,
        **{name: one[name] + other[name] for name in ADDED},
        **{name: [a + b for a, b in zip(one[name], other[name], strict=True)] for name in BUCKETS},
    }


def _as_it_is(name: str, value: Any) -> Any:
    return value


def _not_lower(name: str, value: Any) -> Any:
    if name in GAUGES:
        return value
    return [max(0, number) for number in value] if isinstance(value, list) else max(0, value)


def _negative(value: Any) -> Any:
    return [-number for number in value] if isinstance(value, list) else -value


def _write(cursor: Cursor, rows: Sequence[Row], runs: Sequence[Row], allowed: Callable[[str, Any], Any]) -> None:
    """Add ``rows`` to the counters and ``runs`` to the tallies, as far as it is ``allowed``."""
    if not rows:
        return
    names = _with_new(named(cursor), rows)
    counters = [
        {**row, **{name: allowed(name, row[name]) for name in _MEASURES}} for row in added(map(names.name, rows))
    ]
    cursor.execute(_ADD_COUNTERS, {"rows": json.dumps(counters, default=str)})
    if tallies := list(_tallies(cursor, runs, allowed)):
        cursor.execute(_ADD_TALLIES, {"rows": json.dumps(tallies)})


def _with_new(names: Names, rows: Iterable[Row]) -> Names:
    """The names with those that models of these rows get. Where there is not room for all, the most used get one."""
    requests: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        if row.get("may_be_named") and row["model"] not in ("", OTHER) and not names.has(row):
            requests[row["provider"], row["model"]] += row["requests"]
    room = max(0, settings.METRICS_MODELS - len(names.known))
    return Names(names.known | set(_most(requests, room)))


def _most(requests: Mapping[Any, int], room: int) -> list[Any]:
    return sorted(requests, key=lambda name: (-requests[name], name))[:room]


def _tallies(cursor: Cursor, rows: Iterable[Row], allowed: Callable[[str, Any], Any]) -> Iterator[Row]:
    numbers: dict[str, dict[tuple[int, str], int]] = {PLAYGROUND: defaultdict(int), EXPERIMENT: defaultdict(int)}
    for row in rows:
        if kind := row["kind"]:
            numbers[kind][row["organization_id"], label_of(row)] += row["requests"]
    if numbers[EXPERIMENT]:
        numbers[EXPERIMENT] = _with_labels(cursor, numbers[EXPERIMENT])
    for kind, found in numbers.items():
        for (organization_id, label), number in found.items():
            if (number := allowed("requests", number)) > 0:
                yield {"kind": kind, "organization_id": organization_id, "label": label, "number": number}


def label_of(row: Row) -> str:
    """The label under which the calls of a row are counted in their tally."""
    return "" if row["kind"] != EXPERIMENT else identity(row["label"], LABEL_LENGTH) or UNNAMED


def _with_labels(cursor: Cursor, numbers: Mapping[tuple[int, str], int]) -> dict[tuple[int, str], int]:
    """The numbers with the labels of experiments that have one, or for which there is still room."""
    cursor.execute(_LABELS, {"kind": EXPERIMENT, "other": OTHER})
    known = {(organization_id, label) for organization_id, label in cursor.fetchall()}
    new = {name: number for name, number in numbers.items() if name not in known and name[1] != OTHER}
    known |= set(_most(new, max(0, settings.METRICS_EXPERIMENTS - len(known))))
    found: dict[tuple[int, str], int] = defaultdict(int)
    for (organization_id, label), number in numbers.items():
        found[organization_id, label if (organization_id, label) in known else OTHER] += number
    return found
