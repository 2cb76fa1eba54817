"""The tail: the recorded events that are not in sessions and rollups yet.

``ledger.recording`` writes a row of the tail together with each event, and ``ledger.rollups.fold`` moves the rows into
sessions and rollups soon after. So at any moment the stored sums are exactly those of the events that are not in the
tail, and a report adds the tail to them (``CurrentRollup``, ``CurrentSession``).
"""

COLUMNS = (
    "organization_id", "request_id", "timestamp", "day", "hour", "provider", "model", "feature", "project_id",
    "user_id", "expert_id", "template_id", "session_id", "status", "error_code", "input_tokens", "output_tokens",
    "total_tokens", "cached_tokens", "reasoning_tokens", "audio_seconds", "characters", "tokens_estimated",
    "latency_ms", "ttft_ms", "cost_usd", "tool_cost_usd", "without_tool_fees",
)  # fmt: skip
"""The columns that the writer copies from an event: its key and all that its sums are made of."""

TAIL_CUBE = 0
"""The number of the cube that rows of the tail have in ``CurrentRollup``. They can be added to the rows of any cube."""


def is_folded(event: str, organization: str = "") -> str:
    """SQL of the condition that an event is in the stored sums, and so not in the tail. What is folded stays so.

    ``event`` is the name of the event's FROM item. A statement about one organization gives the SQL of the id of that
    organization as well. Citus does not infer the tail's organization from the event's. And with NOT IN, PostgreSQL
    always looks request ids up in a hash table: it believes that the tail is as empty as when it was vacuumed, and
    would otherwise compare each event with each row of the tail.
    """
    if organization:
        return f"""{event}.request_id NOT IN (
        SELECT tail.request_id FROM ledger_tail AS tail WHERE tail.organization_id = {organization})"""  # noqa: S608
    return f"""NOT EXISTS (
        SELECT FROM ledger_tail AS tail
        WHERE tail.organization_id = {event}.organization_id AND tail.request_id = {event}.request_id)"""
