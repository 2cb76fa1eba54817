"""A ledger in plain Python: every event in a list, every sum by addition, every cost by fractions."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from analytics.cubes import BUCKET_BOUNDS_MS, CUBES, DIMENSIONS
from groq_client.call import Call

Key = tuple[Any, ...]
NUMBERS = {"hour", "project_id", "user_id", "latency_bucket"}


@dataclass(frozen=True)
class Version:
    """A price as the test entered it: dollars for a thousand tokens, and for an hour of audio."""

    pk: int
    model: str
    start: datetime
    rates: tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None]
    """Input, output, cached input, audio."""
    enabled: bool = True

    def cost(self, call: Call) -> int | None:
        """Nano-dollars, rounded once, half to even."""
        usage = call.usage
        if not self.enabled or (call.operation == "transcription" and not usage.audio_seconds):
            return None
        into, out, cached, audio = (None if rate is None else Fraction(rate) for rate in self.rates)
        half = Fraction(1, 2) if call.operation == "batch" else Fraction(1)
        if call.operation == "batch" or cached is None:
            cached = into
        seconds = max(Fraction(usage.audio_seconds), Fraction(10)) if usage.audio_seconds else Fraction(0)
        lines = (
            (Fraction(usage.input_tokens - usage.cached_tokens, 1_000), into),
            (Fraction(usage.cached_tokens, 1_000), cached),
            (Fraction(usage.output_tokens, 1_000), out),
            (seconds / 3_600, audio),
        )
        used = [(amount, rate) for amount, rate in lines if amount]
        if any(rate is None for _, rate in used):
            return None
        return round(sum((amount * (rate or 0) for amount, rate in used), Fraction(0)) * half * 10**9)


@dataclass
class Entry:
    """An event: what was called, where it lies now, what it costs in nano-dollars."""

    call: Call
    day: date
    hour: int
    cost: int | None
    in_detail: bool = True


@dataclass
class OracleLedger:
    """One organization's ledger."""

    zone: str = "UTC"
    detail_from: date = date.min
    entries: dict[str, Entry] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)

    def add(self, calls: Iterable[Call]) -> None:
        for call in calls:
            if call.request_id not in self.entries:
                day, hour = self._local(call.started_at)
                self.entries[call.request_id] = Entry(call, day, hour, self._cost(call))

    def price(self, version: Version) -> int:
        """Price what has no price; how many events have one now."""
        found = [e for e in self.in_detail() if e.cost is None and e.call.model == version.model]
        for entry in found:
            entry.cost = version.cost(entry.call)
        return sum(entry.cost is not None for entry in found)

    def expire(self, before: date) -> None:
        self.detail_from = before
        for entry in self.entries.values():
            entry.in_detail &= entry.day >= before

    def move(self) -> None:
        """To the days of the zone, apart from what lies before detail begins or would then."""
        for entry in self.in_detail():
            day, hour = self._local(entry.call.started_at)
            if min(day, entry.day) >= self.detail_from:
                entry.day, entry.hour = day, hour

    def in_detail(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.in_detail]

    def _local(self, moment: datetime) -> tuple[date, int]:
        local = moment.astimezone(ZoneInfo(self.zone))
        return local.date(), local.hour

    def _cost(self, call: Call) -> int | None:
        begun = [v for v in self.versions if v.model == call.model and v.start <= call.started_at]
        cost = max(begun, key=lambda v: (v.start, v.pk)).cost(call) if begun else None
        used = call.usage
        if cost is None and call.status == "error" and not (used.input_tokens or used.output_tokens):
            return 0
        return cost

    def rollups(self, ids: dict[tuple[str, str], int]) -> dict[Key, dict[str, Any]]:
        """The sums of every row of every cube, by the row's key. ``ids`` are those of ("project", slug) and
        ("user", handle); nobody's is 0."""
        groups = defaultdict(list)
        for entry in self.entries.values():
            for cube in CUBES:
                values = _dimensions(entry, ids)
                dimensions = (
                    values[name] if name in cube.dimensions else 0 if name in NUMBERS else "" for name in DIMENSIONS
                )
                groups[cube.number, entry.day, entry.call.provider, entry.call.status, *dimensions].append(entry)
        return {key: sums(entries) for key, entries in groups.items()}

    def sessions(self, ids: dict[tuple[str, str], int]) -> dict[Key, dict[str, Any]]:
        """What adds up of every session."""
        groups = defaultdict(list)
        for entry in self.entries.values():
            who = entry.call.attribution
            if who.session_id:
                groups[ids.get(("user", who.user), 0), who.session_id].append(entry)
        names = ("requests", "unpriced", "input_tokens", "output_tokens", "cached_tokens", "total_tokens", "cost_usd")
        return {
            key: {name: value for name, value in sums(entries).items() if name in names}
            | {
                "errors": sum(entry.call.status == "error" for entry in entries),
                "first_at": min(entry.call.started_at for entry in entries),
                "last_at": max(e.call.started_at + timedelta(milliseconds=e.call.latency_ms) for e in entries),
            }
            for key, entries in groups.items()
        }


def _dimensions(entry: Entry, ids: dict[tuple[str, str], int]) -> dict[str, Any]:
    call, who = entry.call, entry.call.attribution
    return {
        "hour": entry.hour,
        "project_id": ids.get(("project", who.project), 0),
        "user_id": ids.get(("user", who.user), 0),
        "latency_bucket": bisect_right(BUCKET_BOUNDS_MS, call.latency_ms),
        "model": call.model or call.model_requested,
        "expert_id": who.expert_id,
        "template_id": who.template_id,
        "feature": who.feature or call.operation,
    }


def dollars(nano: int) -> Decimal:
    return Decimal(nano).scaleb(-9)


def sums(entries: Iterable[Entry]) -> dict[str, Any]:
    """The measures of a rollup row."""
    entries = list(entries)

    def total(value: Callable[[Call], Any]) -> Any:
        return sum(value(entry.call) for entry in entries)

    return {
        "requests": len(entries),
        "unpriced": sum(entry.cost is None for entry in entries),
        "estimated": total(lambda call: call.usage.estimated),
        "input_tokens": total(lambda call: call.usage.input_tokens),
        "output_tokens": total(lambda call: call.usage.output_tokens),
        "total_tokens": total(lambda call: call.usage.total_tokens),
        "cached_tokens": total(lambda call: call.usage.cached_tokens),
        "reasoning_tokens": total(lambda call: call.usage.reasoning_tokens),
        "audio_seconds": total(lambda call: call.usage.audio_seconds),
        "characters": total(lambda call: call.usage.characters),
        "cost_usd": dollars(sum(entry.cost or 0 for entry in entries)),
        "latency_ms_sum": total(lambda call: call.latency_ms),
        "latency_ms_min": min((entry.call.latency_ms for entry in entries), default=None),
        "latency_ms_max": max((entry.call.latency_ms for entry in entries), default=None),
        "ttft_ms_sum": total(lambda call: call.ttft_ms or 0),
        "ttft_count": total(lambda call: call.ttft_ms is not None),
    }
