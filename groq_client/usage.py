"""What a call used, read from the JSON that Groq answers with. Times on the wire are seconds; here milliseconds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from groq_client.call import MAX_COUNT, RateLimit, Usage, UsagePart

HEADER_DIGITS = 18
"""Of a number in a header; a ``BIGINT`` holds all of them."""
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """Groq's own count. ``None`` means that a number was missing or impossible, and has to be estimated."""

    input_tokens: int | None
    output_tokens: int | None
    usage: Usage
    """Everything else that was reported, the tokens included as far as they were."""

    @property
    def is_whole(self) -> bool:
        """Nothing has to be estimated."""
        return self.input_tokens is not None and self.output_tokens is not None


def read_usage(raw: object, *, has_output: bool = True) -> ReportedUsage | None:
    """A ``usage`` object of any Groq endpoint, or ``None`` if it counts nothing.

    ``has_output`` is false for embeddings, which report no output tokens and have none.
    """
    if not isinstance(raw, Mapping) or not raw.keys() & {"prompt_tokens", "input_tokens", "completion_tokens"}:
        return None
    read = as_count(raw.get("prompt_tokens", raw.get("input_tokens")))
    written = as_count(raw.get("completion_tokens", raw.get("output_tokens"))) if has_output else 0
    total = as_count(raw.get("total_tokens"), 2 * MAX_COUNT)
    usage = Usage(
        input_tokens=read or 0,
        output_tokens=written or 0,
        total_tokens=total if total is not None else (read or 0) + (written or 0),
        cached_tokens=_detail(raw, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens", read),
        reasoning_tokens=_detail(
            raw, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens", written
        ),
        queue_ms=as_milliseconds(raw.get("queue_time")),
        prompt_ms=as_milliseconds(raw.get("prompt_time")),
        completion_ms=as_milliseconds(raw.get("completion_time")),
    )
    return ReportedUsage(read, written, usage)


def read_cached_tokens(raw: object) -> int:
    """The cached tokens of a non-streaming answer's ``x_groq.usage``, which tells them by kind of memory."""
    if not isinstance(raw, Mapping):
        return 0
    return (as_count(raw.get("dram_cached_tokens")) or 0) + (as_count(raw.get("sram_cached_tokens")) or 0)


def read_parts(breakdown: object) -> tuple[UsagePart, ...]:
    """The models of a compound system with what each one used."""
    models = breakdown.get("models") if isinstance(breakdown, Mapping) else None
    return tuple(
        UsagePart(model=str(entry.get("model") or "")[:200], usage=reported.usage)
        for entry in (models if isinstance(models, list) else ())
        if isinstance(entry, Mapping) and (reported := read_usage(entry.get("usage"))) is not None
    )


def with_cached_tokens(reported: ReportedUsage, cached_tokens: int) -> ReportedUsage:
    """``reported``, with ``cached_tokens`` where it names none itself."""
    if not cached_tokens or reported.usage.cached_tokens:
        return reported
    cached = min(cached_tokens, reported.usage.input_tokens)
    return replace(reported, usage=replace(reported.usage, cached_tokens=cached))


def read_rate_limit(headers: Mapping[str, str]) -> RateLimit:
    return RateLimit(
        limit_requests=_header_count(headers, "x-ratelimit-limit-requests"),
        remaining_requests=_header_count(headers, "x-ratelimit-remaining-requests"),
        limit_tokens=_header_count(headers, "x-ratelimit-limit-tokens"),
        remaining_tokens=_header_count(headers, "x-ratelimit-remaining-tokens"),
    )


def as_count(value: object, limit: int = MAX_COUNT) -> int | None:
    """``value`` if it is a whole number that can be a count, else ``None``."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit:
        return value
    return None


def as_milliseconds(seconds: object) -> float | None:
    if not isinstance(seconds, int | float | Decimal) or isinstance(seconds, bool):
        return None
    milliseconds = float(seconds) * 1000
    return round(milliseconds, 3) if math.isfinite(milliseconds) and milliseconds >= 0 else None


def _detail(raw: Json, places: tuple[str, str], name: str, whole: int | None) -> int:
    """A count inside a details object. It is a subset of ``whole``, and is kept to that."""
    details = raw.get(places[0]) or raw.get(places[1])
    part = as_count(details.get(name)) if isinstance(details, Mapping) else None
    return min(part or 0, whole or 0)


def _header_count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= HEADER_DIGITS else None
