"""The badge with the cost of a request or a session, coloured by its size. Only viewers who may see costs get it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from analytics.display import figures
from analytics.display.missing_cost import WITHOUT_TOOL_FEES
from analytics.reports.cost_explanation import Part, Prices, dollars_of, explains, parts_of, prices_of
from ledger.models import UsageEvent
from pricing.cost import rounded

Level = Literal["low", "middle", "high"]

LOW_BELOW = Decimal("0.01")
MIDDLE_TO = Decimal("0.10")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what a cost is made of: an amount, and its dollars (or what the cache saved), if they are known."""

    what: str
    amount: str
    dollars: str = ""
    is_saved: bool = False

    def __str__(self) -> str:
        dollars = f"({self.dollars}{' saved' if self.is_saved else ''})" if self.dollars else ""
        return " ".join(filter(None, (self.what, self.amount, dollars)))


@dataclass(frozen=True, slots=True)
class Badge:
    """The content of the template macro ``cost_badge``."""

    key: str
    """An identifier that no other badge of the page has: letters, digits and hyphens."""
    level: Level | None
    """None if there is no price."""
    text: str
    lines: tuple[Line, ...]
    total: str
    """The total in dollars with all digits; empty without a price."""
    notes: tuple[str, ...] = ()
    """What is missing from the total."""

    @property
    def explanation(self) -> str:
        """All of it as a sentence."""
        said = ", ".join([*map(str, self.lines), *([f"total {self.total}"] if self.total else ()), *self.notes])
        return said if self.total else f"No price: {said}"

    @property
    def rows(self) -> list[Line]:
        """The lines in the order of a table, where the cached part stands below the input that it belongs to."""
        order = {"input": 0, "cached": 1}
        return sorted(self.lines, key=lambda line: order.get(line.what, 2))


def level(cost_usd: Decimal) -> Level:
    """``low`` below one cent, ``middle`` up to ten cents, ``high`` above."""
    if cost_usd < LOW_BELOW:
        return "low"
    return "middle" if cost_usd <= MIDDLE_TO else "high"


def badge(event: UsageEvent, prices: Prices | None = None) -> Badge:
    """The badge of one request. A list of requests calls ``cost_explanation.prices_of`` once and gives ``prices``;
    without them the badge takes a query of its own."""
    key = f"{event.organization_id}-{event.pk}"
    if event.cost_usd is None:
        return Badge(key, None, "Unpriced", _lines(event), "")
    parts = parts_of(event, prices_of([event]) if prices is None else prices)
    lines, total = _lines(event, parts if explains(parts, event) else ()), figures.exact_money(event.cost_usd)
    text = figures.money(event.cost_usd)
    if event.without_tool_fees:
        return Badge(key, level(event.cost_usd), f"≥ {text}", lines, total, (WITHOUT_TOOL_FEES,))
    return Badge(key, level(event.cost_usd), text, lines, total)


def _lines(event: UsageEvent, parts: Sequence[Part] = ()) -> tuple[Line, ...]:
    """The used amounts, each with its dollars if there are ``parts``. Input includes the cached tokens, so that the
    dollars add up to the total."""

    def at(dollars: Fraction) -> str:
        return figures.exact_money(rounded(dollars)) if parts else ""

    saved = sum((charge.saved for part in parts for charge in part.charges), Fraction(0))
    tokens = [
        Line("input", f"{event.input_tokens:,}", at(dollars_of(parts, "input", "cached"))),
        Line("output", f"{event.output_tokens:,}", at(dollars_of(parts, "output"))),
        Line("cached", f"{event.cached_tokens:,}", at(saved), is_saved=True),
    ]
    others = []
    if event.audio_seconds:
        others.append(Line("audio", f"{event.audio_seconds.normalize():f} s", at(dollars_of(parts, "audio"))))
    if event.characters:
        others.append(Line("characters", f"{event.characters:,}", at(dollars_of(parts, "characters"))))
    if event.tool_uses:
        fees = dollars_of(parts, "tool")
        others.append(Line("tools", tools_used(event), at(fees) if fees or not event.without_tool_fees else ""))
    return (*(tokens if event.total_tokens or not others else ()), *others)


def tools_used(event: UsageEvent) -> str:
    """The number of uses of each built-in tool, such as "browser_open 3, browser_search 2"."""
    return ", ".join(f"{name} {uses:,}" for name, uses in sorted(event.tool_uses.items()))
