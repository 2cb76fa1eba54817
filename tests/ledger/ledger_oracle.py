"""A ledger in plain Python: every event in a list, every sum by addition, every cost by fractions."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from groq_client.call import Call
from ledger.rollups.cubes import BUCKET_BOUNDS_MS, DIMENSIONS, Cube
from tests.ledger.calls import outcome

Key = tuple[Any, ...]
Row = dict[str, Any]
NUMBERS = {"hour", "project_id", "user_id", "latency_bucket"}


@dataclass(frozen=True)
class Version:
    """A price version as the test entered it: dollars for a thousand tokens, and for an hour of audio."""

    pk: int
    model: str
    start: datetime
    rates: tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None]
    """Input, output, cached input, audio."""
    enabled: bool = True
    tool_rates: Mapping[str, Decimal] = field(default_factory=dict)
    """Dollars for a thousand uses."""

    def cost(self, call: Call, tools: "Version | None" = None) -> int | None:
        """The cost in nano-dollars, rounded once, half to even. ``tools`` is the version with the rates of tools."""
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
        tokens = sum((amount * (rate or 0) for amount, rate in used), Fraction(0)) * half
        return round((tokens + (tools or self)._fees(call)) * 10**9)

    def fees(self, call: Call) -> int:
        """The tool fees in nano-dollars, rounded separately."""
        return round(self._fees(call) * 10**9)

    def lacks_a_fee(self, call: Call) -> bool:
        return any(tool.uses and tool.name not in self._rates_of_tools for tool in call.usage.tools)

    @property
    def _rates_of_tools(self) -> Mapping[str, Decimal]:
        return self.tool_rates if self.enabled else {}

    def _fees(self, call: Call) -> Fraction:
        rates = self._rates_of_tools
        fees = (Fraction(tool.uses, 1_000) * Fraction(rates.get(tool.name, 0)) for tool in call.usage.tools)
        return sum(fees, Fraction(0))


NO_VERSION = Version(0, "", datetime.min, (None, None, None, None))


@dataclass
class Entry:
    """An event: its call, its present day and hour, and its price versions."""

    call: Call
    day: date
    hour: int
    version: Version | None
    """What it is charged at."""
    tool_version: Version | None
    """What its tools are charged at."""
    in_detail: bool = True

    @property
    def cost(self) -> int | None:
        cost = self.version.cost(self.call, self.tool_version) if self.version else None
        used = self.call.usage
        if cost is None and self.call.status == "error" and not (used.input_tokens or used.output_tokens or used.tools):
            return 0
        return cost

    @property
    def fees(self) -> int:
        return self.tool_version.fees(self.call) if self.tool_version and self.cost is not None else 0

    @property
    def lacks_fees(self) -> bool:
        return self.cost is not None and (self.tool_version or NO_VERSION).lacks_a_fee(self.call)


@dataclass
class OracleLedger:
    """One organization's ledger."""

    zone: str = "UTC"
    retained_from: date = date.min
    entries: dict[str, Entry] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)

    def add(self, calls: Iterable[Call]) -> None:
        for call in calls:
            if call.request_id not in self.entries:
                day, hour = self._local(call.started_at)
                version = self._version(call)
                self.entries[call.request_id] = Entry(call, day, hour, version, version)

    def price(self, version: Version) -> int:
        """Price the events without a complete cost. Returns the number of events whose cost has become complete."""
        of_model = [entry for entry in self.in_detail() if entry.call.model == version.model]
        unpriced = [entry for entry in of_model if entry.cost is None]
        lacking = [entry for entry in of_model if entry.lacks_fees and not version.lacks_a_fee(entry.call)]
        for entry in (*unpriced, *lacking):
            entry.tool_version = version
        for entry in unpriced:
            entry.version = version
        return len(lacking) + sum(entry.cost is not None and not entry.lacks_fees for entry in unpriced)

    def expire(self, before: date) -> None:
        self.retained_from = before
        for entry in self.entries.values():
            entry.in_detail &= entry.day >= before

    def move(self) -> None:
        """Move the events to the days of the zone. Events on days before ``retained_from``, before or after the move,
        stay."""
        for entry in self.in_detail():
            day, hour = self._local(entry.call.started_at)
            if min(day, entry.day) >= self.retained_from:
                entry.day, entry.hour = day, hour

    def in_detail(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.in_detail]

    def _local(self, moment: datetime) -> tuple[date, int]:
        local = moment.astimezone(ZoneInfo(self.zone))
        return local.date(), local.hour

    def _version(self, call: Call) -> Version | None:
        begun = [v for v in self.versions if v.model == call.model and v.start <= call.started_at]
        return max(begun, key=lambda v: (v.start, v.pk), default=None)


def rollups(entries: Iterable[Entry], cubes: Iterable[Cube], ids: dict[tuple[str, str], int]) -> dict[Key, Row]:
    """The sums of every row of some cubes, by the row's key. ``ids`` maps ("project", slug) and ("user", handle) to
    ids; 0 stands for no project and no person."""
    cubes = list(cubes)
    groups = defaultdict(list)
    for entry in entries:
        values = _dimensions(entry, ids)
        for cube in cubes:
            groups[key_of(cube, entry.day, entry.call.provider, outcome(entry.call), values)].append(entry)
    return {key: sums(of_row) for key, of_row in groups.items()}


def key_of(cube: Cube, day: date, provider: str, status: str, values: Mapping[str, Any]) -> Key:
    """The key of a cube's row with some values of all dimensions."""
    kept = (values[name] if name in cube.dimensions else 0 if name in NUMBERS else "" for name in DIMENSIONS)
    return (cube.number, day, provider, status, *kept)


def combined(rows: Iterable[tuple[Key, Row]]) -> dict[Key, Row]:
    """Rows of sums with those of the same key put together."""
    groups = defaultdict(list)
    for key, row in rows:
        groups[key].append(row)
    return {
        key: {name: _COMBINED.get(name, sum)(row[name] for row in of_key) for name in of_key[0]}
        for key, of_key in groups.items()
    }


_COMBINED: dict[str, Callable[..., Any]] = {"latency_ms_min": min, "latency_ms_max": max}


def sessions(entries: Iterable[Entry], ids: dict[tuple[str, str], int]) -> dict[Key, Row]:
    """The measures of every session that are added up."""
    groups = defaultdict(list)
    for entry in entries:
        who = entry.call.attribution
        if who.session_id:
            groups[ids.get(("user", who.user), 0), who.session_id].append(entry)
    names = (
        "requests", "unpriced", "without_tool_fees", "input_tokens", "output_tokens", "cached_tokens",
        "total_tokens", "cost_usd",
    )  # fmt: skip
    return {
        key: {name: value for name, value in sums(of_row).items() if name in names}
        | {
            "errors": sum(entry.call.status == "error" for entry in of_row),
            "timeouts": sum(outcome(entry.call) == "timeout" for entry in of_row),
            "first_at": min(entry.call.started_at for entry in of_row),
            "last_at": max(e.call.started_at + timedelta(milliseconds=e.call.latency_ms) for e in of_row),
        }
        for key, of_row in groups.items()
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


def sums(entries: Iterable[Entry]) -> Row:
    """The measures of a rollup row."""
    entries = list(entries)

    def total(value: Callable[[Call], Any]) -> Any:
        return sum(value(entry.call) for entry in entries)

    return {
        "requests": len(entries),
        "unpriced": sum(entry.cost is None or entry.lacks_fees for entry in entries),
        "without_tool_fees": sum(entry.lacks_fees for entry in entries),
        "estimated": total(lambda call: call.usage.estimated),
        "input_tokens": total(lambda call: call.usage.input_tokens),
        "output_tokens": total(lambda call: call.usage.output_tokens),
        "total_tokens": total(lambda call: call.usage.total_tokens),
        "cached_tokens": total(lambda call: call.usage.cached_tokens),
        "reasoning_tokens": total(lambda call: call.usage.reasoning_tokens),
        "audio_seconds": total(lambda call: call.usage.audio_seconds),
        "characters": total(lambda call: call.usage.characters),
        "cost_usd": dollars(sum(entry.cost or 0 for entry in entries)),
        "tool_cost_usd": dollars(sum(entry.fees for entry in entries)),
        "latency_ms_sum": total(lambda call: call.latency_ms),
        "latency_ms_min": min((entry.call.latency_ms for entry in entries), default=None),
        "latency_ms_max": max((entry.call.latency_ms for entry in entries), default=None),
        "ttft_ms_sum": total(lambda call: call.ttft_ms or 0),
        "ttft_count": total(lambda call: call.ttft_ms is not None),
    }
