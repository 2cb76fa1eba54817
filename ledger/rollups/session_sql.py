"""The statement that adds events to their sessions."""

from ledger.rollups.outcome import IS_TIMEOUT
from ledger.rollups.rollup_sql import MEASURES as ROLLUP_MEASURES

KEY = ("organization_id", "user_id", "session_id")

_SAME_AS_ROLLUPS = (
    "requests", "unpriced", "without_tool_fees", "input_tokens", "output_tokens", "cached_tokens", "total_tokens",
    "cost_usd",
)  # fmt: skip

# The array columns of a session with the event's column whose distinct values each array holds.
ARRAYS = {
    "model_names": "model",
    "providers": "provider",
    "project_ids": "coalesce(project_id, 0)",
    "expert_ids": "expert_id",
    "template_ids": "template_id",
    "features": "feature",
}

# Each measure of a session with the SQL that computes it from events.
MEASURES = {name: ROLLUP_MEASURES[name] for name in _SAME_AS_ROLLUPS} | {
    "errors": "count(*) FILTER (WHERE status = 'error')",
    "timeouts": f"count(*) FILTER (WHERE {IS_TIMEOUT})",
    "first_at": "min(timestamp)",
    "last_at": "max(timestamp + latency_ms * interval '1 ms')",
    "first_day": "min(day)",
    "last_day": "max(day)",
    **{name: f"array_agg(DISTINCT {value})" for name, value in ARRAYS.items()},
}

# The SQL that combines the measures of two rows of one session. All other measures are added.
_MERGE = {
    "first_at": "least(old.first_at, excluded.first_at)",
    "last_at": "greatest(old.last_at, excluded.last_at)",
    "first_day": "least(old.first_day, excluded.first_day)",
    "last_day": "greatest(old.last_day, excluded.last_day)",
    **{
        name: f"CASE WHEN old.{name} @> excluded.{name} THEN old.{name}"
        f" ELSE ledger_union(old.{name}, excluded.{name}) END"
        for name in ARRAYS
    },
}


def _merged(name: str) -> str:
    return _MERGE.get(name, f"old.{name} + excluded.{name}")


ON_CONFLICT = (
    f" ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {', '.join(f'{name} = {_merged(name)}' for name in MEASURES)}"
)


def add_to_sessions(events: str) -> str:
    """SQL that adds ``events`` (a FROM item with the event table's columns) to their sessions. Rows are written in the
    order of their key, so that concurrent writers cannot deadlock. Calls without a session id are left out."""
    return f"""
INSERT INTO ledger_session AS old ({", ".join((*KEY, *MEASURES))})
{sums(events)}
ORDER BY 1, 2, 3
{ON_CONFLICT}
"""


def sums(events: str) -> str:
    """SQL that computes session rows, with their keys and measures, from ``events`` (a FROM item with the event table's
    columns)."""
    return f"""
SELECT organization_id, coalesce(user_id, 0) AS user_id, session_id,
       {", ".join(f"{sql} AS {name}" for name, sql in MEASURES.items())}
FROM {events}
WHERE session_id <> ''
GROUP BY 1, 2, 3
"""  # noqa: S608 - no outside input
