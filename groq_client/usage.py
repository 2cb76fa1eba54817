"""The usage of a call, read from Groq's JSON. Groq's times are seconds; times here are milliseconds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from groq_client.call import MAX_COUNT, RateLimit, Usage, UsagePart
from groq_client.names import identity

HEADER_DIGITS = 18
"""At most this many digits are read of a number in a header; a ``BIGINT`` holds every such number."""
Json = Mapping[str, Any]

# The completions API and the Responses API name the counts differently. Some proxies send both, one of them empty.
_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
_COUNTS = frozenset(_INPUT + _OUTPUT)
_FIELDS = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "queue_ms",
    "prompt_ms",
    "completion_ms",
)


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """Groq's own count. ``None`` means that a number was missing or impossible, and has to be estimated."""

    input_tokens: int | None
    output_tokens: int | None
    usage: Usage
    """All the counts that were reported, without contradictions."""

    @property
    def is_whole(self) -> bool:
        """Nothing has to be estimated."""
        return self.input_tokens is not None and self.output_tokens is not None

    def believed(self, *, text_came: bool) -> "ReportedUsage":
        """This report without impossible zeros: text takes output tokens, and every answer takes a prompt."""
        read = self.input_tokens or (None if text_came or self.output_tokens else self.input_tokens)
        written = self.output_tokens or (None if text_came else self.output_tokens)
        return replace(self, input_tokens=read, output_tokens=written)

    def after(self, earlier: "ReportedUsage | None") -> "ReportedUsage":
        """This report, with the counts of ``earlier`` in place of missing counts and zeros."""
        if earlier is None:
            return self
        read = self.input_tokens or earlier.input_tokens or self.input_tokens
        written = self.output_tokens or earlier.output_tokens or self.output_tokens
        return ReportedUsage(
            read if read is not None else earlier.input_tokens,
            written if written is not None else earlier.output_tokens,
            _filled(self.usage, earlier.usage),
        )


def consistent(usage: Usage) -> Usage:
    """``usage`` and its parts without contradictions: no subset exceeds its whole, and the total is the sum.

    A usage that had to be mended is marked as estimated. A total of zero counts as missing and is filled in without the
    mark. The counts must not be negative.
    """
    total = usage.input_tokens + usage.output_tokens
    is_subset = usage.cached_tokens <= usage.input_tokens and usage.reasoning_tokens <= usage.output_tokens
    if is_subset and usage.total_tokens == total and not usage.parts:
        return usage
    cached = min(usage.cached_tokens, usage.input_tokens)
    reasoning = min(usage.reasoning_tokens, usage.output_tokens)
    parts = tuple(replace(part, usage=consistent(part.usage)) for part in usage.parts)
    is_mended = (
        (cached, reasoning) != (usage.cached_tokens, usage.reasoning_tokens)
        or usage.total_tokens not in (0, total)
        or any(part.usage.estimated for part in parts)
    )
    if not is_mended and usage.total_tokens == total:
        return usage
    return replace(
        usage,
        total_tokens=total,
        cached_tokens=cached,
        reasoning_tokens=reasoning,
        parts=parts,
        estimated=usage.estimated or is_mended,
    )


def read_usage(raw: object, *, has_output: bool = True) -> ReportedUsage | None:
    """Reads a ``usage`` object of any Groq endpoint; ``None`` if the object has no counts.

    ``has_output`` is false for embeddings, which have no output tokens.
    """
    if not isinstance(raw, Mapping) or not raw.keys() & _COUNTS:
        return None
    read = _first_count(raw, _INPUT)
    written = _first_count(raw, _OUTPUT) if has_output else 0
    usage = Usage(
        input_tokens=read or 0,
        output_tokens=written or 0,
        total_tokens=as_count(raw.get("total_tokens"), 2 * MAX_COUNT) or 0,
        cached_tokens=_detail(raw, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
        reasoning_tokens=_detail(raw, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens"),
        queue_ms=as_milliseconds(raw.get("queue_time")),
        prompt_ms=as_milliseconds(raw.get("prompt_time")),
        completion_ms=as_milliseconds(raw.get("completion_time")),
    )
    return ReportedUsage(read, written, consistent(usage))


def read_cached_tokens(raw: object) -> int:
    """The cached tokens in a non-streaming answer's ``x_groq.usage``, which counts them for each kind of memory."""
    if not isinstance(raw, Mapping):
        return 0
    return (as_count(raw.get("dram_cached_tokens")) or 0) + (as_count(raw.get("sram_cached_tokens")) or 0)


def read_parts(breakdown: object) -> tuple[UsagePart, ...]:
    """The models of a compound system with what each one used.

    Empty if a model has no counts or all counts are zero: a cost from such parts would be incomplete and look whole.
    """
    models = breakdown.get("models") if isinstance(breakdown, Mapping) else None
    entries = [entry for entry in (models if isinstance(models, list) else ()) if isinstance(entry, Mapping)]
    reports = [read_usage(entry.get("usage")) for entry in entries]
    parts = tuple(
        UsagePart(model=identity(entry.get("model") or ""), usage=report.usage)
        for entry, report in zip(entries, reports, strict=True)
        if report is not None and report.is_whole
    )
    return parts if len(parts) == len(entries) and any(part.usage.total_tokens for part in parts) else ()


def sum_of(parts: tuple[UsagePart, ...]) -> ReportedUsage:
    """The sum of the parts' usage, for an answer whose own usage is missing or zero."""
    names = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    total = Usage(**{name: sum(getattr(part.usage, name) for part in parts) for name in names})
    return ReportedUsage(total.input_tokens, total.output_tokens, consistent(total))


def later_parts(parts: tuple[UsagePart, ...], earlier: tuple[UsagePart, ...]) -> tuple[UsagePart, ...]:
    """The ``parts`` of the last report, with the counts of ``earlier`` in place of zeros."""
    if [part.model for part in parts] != [part.model for part in earlier]:
        return parts or earlier
    return tuple(replace(part, usage=_filled(part.usage, old.usage)) for part, old in zip(parts, earlier, strict=True))


def with_cached_tokens(reported: ReportedUsage, cached_tokens: int) -> ReportedUsage:
    """``reported``, with ``cached_tokens`` if ``reported`` has no cached tokens of its own."""
    if not cached_tokens or reported.usage.cached_tokens:
        return reported
    return replace(reported, usage=consistent(replace(reported.usage, cached_tokens=cached_tokens)))


def read_rate_limit(headers: Mapping[str, str]) -> RateLimit:
    return RateLimit(
        limit_requests=_header_count(headers, "x-ratelimit-limit-requests"),
        remaining_requests=_header_count(headers, "x-ratelimit-remaining-requests"),
        limit_tokens=_header_count(headers, "x-ratelimit-limit-tokens"),
        remaining_tokens=_header_count(headers, "x-ratelimit-remaining-tokens"),
    )


def as_count(value: object, limit: int = MAX_COUNT) -> int | None:
    """``value`` as a count if it is a whole number (12 or 12.0) from 0 to ``limit``, else ``None``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit:
        return value
    return None


def as_milliseconds(seconds: object) -> float | None:
    if not isinstance(seconds, int | float | Decimal) or isinstance(seconds, bool):
        return None
    milliseconds = float(seconds) * 1000
    return round(milliseconds, 3) if math.isfinite(milliseconds) and milliseconds >= 0 else None


def _first_count(raw: Json, names: tuple[str, ...]) -> int | None:
    """The first count under ``names`` that is not zero; 0 if all are zero, ``None`` if there is no count."""
    zero = None
    for name in names:
        count = as_count(raw.get(name))
        if count:
            return count
        zero = count if zero is None else zero
    return zero


def _detail(raw: Json, places: tuple[str, ...], name: str) -> int:
    """The count ``name`` inside a details object; 0 if it is missing."""
    for place in places:
        details = raw.get(place)
        if isinstance(details, Mapping) and (count := as_count(details.get(name))):
            return count
    return 0


def _filled(usage: Usage, earlier: Usage) -> Usage:
    """``usage``, with the counts of ``earlier`` in place of zeros."""
    missing = {name: old for name in _FIELDS if not getattr(usage, name) and (old := getattr(earlier, name))}
    if not missing:
        return usage
    return consistent(replace(usage, **missing, total_tokens=0, estimated=usage.estimated or earlier.estimated))


def _header_count(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= HEADER_DIGITS else None
