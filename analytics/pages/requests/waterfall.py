"""The phases of a call's time, as far as Groq reports them."""

from collections.abc import Sequence
from dataclasses import dataclass

from analytics.display import figures
from ledger.models import UsageEvent

WIDTH = 1000
"""The width of the drawing, in units of its SVG."""
REPORTED = (
    ("queue", "Queue", "queue_ms"),
    ("prompt", "Prompt", "prompt_ms"),
    ("generation", "Generation", "completion_ms"),
)


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a call; ``x`` and ``width`` are its place in the drawing. ``ms`` is None if Groq did not report it."""

    kind: str
    label: str
    ms: float | None
    x: float = 0
    width: float = 0


@dataclass(frozen=True, slots=True)
class Waterfall:
    phases: Sequence[Phase]
    first_token_x: float | None
    note: str


def waterfall(event: UsageEvent) -> Waterfall:
    """The phases of a call, drawn one after another. Groq reports their durations but not when each began."""
    reported = [(kind, label, getattr(event, name)) for kind, label, name in REPORTED]
    known = sum(ms for _, _, ms in reported if ms is not None)
    rest = event.latency_ms - known
    durations = (
        [*reported, ("rest", "Network and the rest", max(rest, 0))]
        if known
        else [("whole", "Whole call", event.latency_ms)]
    )
    span = max(known, event.latency_ms) or 1
    phases, begin = [], 0.0
    for kind, label, ms in durations:
        phases.append(Phase(kind, label, ms, *(_place(at, span) for at in (begin, ms or 0))))
        begin += ms or 0
    mark = None if event.ttft_ms is None else _place(min(event.ttft_ms, span), span)
    return Waterfall(phases, mark, _note(known, rest, [label for _, label, ms in reported if ms is None]))


def _place(ms: float, span: float) -> float:
    return round(WIDTH * ms / span, 1)


def _note(known: float, rest: float, missing: Sequence[str]) -> str:
    if not known:
        return "Groq did not say how the time of this call divides."
    notes = []
    if missing:
        notes.append(f"Groq did not say how long these took, which is in the rest: {', '.join(missing).lower()}.")
    if rest < 0:
        more = figures.duration(-rest)
        notes.append(f"Groq reports {more} more than passed here between the request and its answer.")
    return " ".join(notes)
