"""The badge that says what a message or a session cost, and how much that is. Only for those who may see costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from analytics import figures
from analytics.explanation import Part, Prices, dollars_of, explains, parts_of, prices_of
from analytics.models import UsageEvent
from pricing.cost import rounded

Level = Literal["low", "middle", "high"]

LOW_BELOW = Decimal("0.01")
MIDDLE_TO = Decimal("0.10")


@dataclass(frozen=True, slots=True)
class Badge:
    """What the template tag ``badge`` shows."""

    key: str
    """Tells it from the other badges of a page: letters, digits and hyphens."""
    level: Level | None
    """None where there is no price."""
    text: str
    explanation: str


def level(cost_usd: Decimal) -> Level:
    """Below one cent, up to ten cents, or more."""
    if cost_usd < LOW_BELOW:
        return "low"
    return "middle" if cost_usd <= MIDDLE_TO else "high"


def badge(event: UsageEvent, prices: Prices | None = None) -> Badge:
    """The badge of one message. ``prices`` are those of ``explanation.prices_of``, asked for where they are not given:
    fetch them once for a list."""
    key = f"{event.organization_id}-{event.pk}"
    if event.cost_usd is None:
        return Badge(key, None, "Unpriced", f"No price: {', '.join(_amounts(event))}")
    parts = parts_of(event, prices_of([event]) if prices is None else prices)
    said = [*_amounts(event, parts if explains(parts, event) else ()), f"total {figures.exact_money(event.cost_usd)}"]
    return Badge(key, level(event.cost_usd), figures.money(event.cost_usd), ", ".join(said))


def _amounts(event: UsageEvent, parts: Sequence[Part] = ()) -> list[str]:
    """What was used, and what each cost as far as that is known. Input is all of it, cached or not, so that the dollars
    add up to the total."""

    def at(dollars: Fraction, word: str = "") -> str:
        return f" ({figures.exact_money(rounded(dollars))}{word})" if parts else ""

    saved = sum((charge.saved for part in parts for charge in part.charges), Fraction(0))
    tokens = [
        f"input {event.input_tokens:,}{at(dollars_of(parts, 'input', 'cached'))}",
        f"output {event.output_tokens:,}{at(dollars_of(parts, 'output'))}",
        f"cached {event.cached_tokens:,}{at(saved, ' saved')}",
    ]
    others = []
    if event.audio_seconds:
        others.append(f"audio {event.audio_seconds.normalize():f} s{at(dollars_of(parts, 'audio'))}")
    if event.characters:
        others.append(f"characters {event.characters:,}{at(dollars_of(parts, 'characters'))}")
    return [*(tokens if event.total_tokens or not others else ()), *others]
