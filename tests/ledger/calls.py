"""Functions that make calls for tests, and simple sums of events to compare reports with."""

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from analytics.reports import Summary, Totals
from groq_client.call import Attribution, Call, Usage
from ledger.models import UsageEvent

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
MODEL = "openai/gpt-oss-120b"
TIMEOUTS = frozenset(
    {
        "timeout", "request_timeout", "gateway_timeout", "http_408", "http_504", "408", "504", "timed_out", "time-out",
        "APITimeoutError", "httpx.ReadTimeout", "TimeoutError", "ETIMEDOUT", "DEADLINE_EXCEEDED", "DeadlineExceeded",
    }
)  # fmt: skip
"""Codes of time-outs, as several programs tell them."""


def usage(input_tokens: int = 100, output_tokens: int = 20, **more: Any) -> Usage:
    return Usage(input_tokens, output_tokens, input_tokens + output_tokens, **more)


def call(model: str = MODEL, *, at: datetime = NOON, **more: Any) -> Call:
    """A successful chat call of 250 ms. Takes the attributes of Call and of Attribution by their names."""
    names = set(Attribution.__slots__) - {"request_id"}
    who = replace(Attribution(), **{name: more.pop(name) for name in names & more.keys()})
    values: dict[str, Any] = {
        "operation": "chat",
        "model_requested": model,
        "model": model,
        "attribution": who,
        "started_at": at,
        "http_status": 200,
        "attempts": 1,
        "latency_ms": 250,
        "usage": usage(),
    }
    return Call(**(values | more))


def failed(**more: Any) -> Call:
    """A call that Groq refused before it used anything."""
    values = {"status": "error", "error_code": "rate_limit_exceeded", "http_status": 429, "usage": Usage(), "model": ""}
    return replace(call(**more), **values)


def timed_out(code: str = "timeout", **more: Any) -> Call:
    """A call whose answer did not come in time."""
    return replace(failed(**more), error_code=code, http_status=None)


def outcome(event: Call | UsageEvent) -> str:
    """How the call ended: the status of sums."""
    return "timeout" if event.status == "error" and event.error_code in TIMEOUTS else event.status


def summed(events: Iterable[UsageEvent], *, with_cost: bool = True) -> Totals:
    """The totals that a report must show for these events, by plain addition."""
    rows = list(events)
    if not rows:
        nothing = Decimal(0) if with_cost else None
        return Totals(cost_usd=nothing, tool_cost_usd=nothing)
    times_to_first = [row.ttft_ms for row in rows if row.ttft_ms is not None]
    return Totals(
        requests=len(rows),
        errors=sum(row.status == "error" for row in rows),
        timeouts=sum(outcome(row) == "timeout" for row in rows),
        unpriced=sum(row.cost_usd is None or row.without_tool_fees for row in rows) if with_cost else 0,
        without_tool_fees=sum(row.without_tool_fees for row in rows) if with_cost else 0,
        estimated=sum(row.tokens_estimated for row in rows),
        input_tokens=sum(row.input_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        total_tokens=sum(row.total_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        reasoning_tokens=sum(row.reasoning_tokens for row in rows),
        audio_seconds=sum((row.audio_seconds for row in rows), Decimal(0)),
        characters=sum(row.characters for row in rows),
        cost_usd=sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0)) if with_cost else None,
        tool_cost_usd=sum((row.tool_cost_usd for row in rows), Decimal(0)) if with_cost else None,
        latency_ms_sum=sum(row.latency_ms for row in rows),
        latency_ms_min=min(row.latency_ms for row in rows),
        latency_ms_max=max(row.latency_ms for row in rows),
        ttft_ms_sum=sum(times_to_first),
        ttft_count=len(times_to_first),
    )


def summary(events: Iterable[UsageEvent], *, with_cost: bool = True) -> Summary:
    """The part of the totals that a table shows."""
    totals = summed(events, with_cost=with_cost)
    return Summary(**{field.name: getattr(totals, field.name) for field in fields(Summary)})
