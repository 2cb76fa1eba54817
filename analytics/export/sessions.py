"""The sessions of a list as JSON Lines, in the order of the list, streamed."""

import json
from collections.abc import Generator
from datetime import UTC
from decimal import Decimal
from typing import Any

from analytics.reports import Conversation, Sessions, snapshot

CONTENT_TYPE = "application/jsonl; charset=utf-8"


def export_sessions(sessions: Sessions) -> Generator[bytes, None, None]:
    """A line for each session, a chunk for each page of ``sessions``. Times are UTC; costs are numbers with all digits,
    and left out if the viewer may not see them."""
    with snapshot(timeout_ms=0):
        page = sessions.page()
        while page.conversations:
            yield "".join(_line(one, sees_cost=sessions.viewer.sees_cost) for one in page.conversations).encode()
            if page.next is None:
                return
            page = sessions.page(page.next)


def _line(one: Conversation, *, sees_cost: bool) -> str:
    values: dict[str, Any] = {
        "session_id": one.session_id,
        "person": one.person,
        "first_at": f"{one.first_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "last_at": f"{one.last_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "duration_ms": one.duration_ms,
        "time_zone": one.time_zone,
        "requests": one.requests,
        "errors": one.errors,
        "timeouts": one.timeouts,
        "input_tokens": one.input_tokens,
        "cached_tokens": one.cached_tokens,
        "output_tokens": one.output_tokens,
        "total_tokens": one.total_tokens,
        "models": one.models,
    }
    if sees_cost:
        values |= {"unpriced": one.unpriced, "without_tool_fees": one.without_tool_fees}
    text = json.dumps(values, ensure_ascii=False)
    # Python's JSON has no decimal numbers, and a float would lose digits.
    return f'{text[:-1]}, "cost_usd": {one.cost_usd or Decimal(0):f}}}\n' if sees_cost else f"{text}\n"
