"""Words that say what is missing from a sum of costs. They stand wherever such a sum would else look complete."""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from analytics.display import figures

WITHOUT_TOOL_FEES = "without tool fees"


class Incomplete(Protocol):
    """Sums of costs. ``unpriced`` counts the events whose cost is missing or incomplete; ``without_tool_fees`` of these
    lack only their fees for tools."""

    @property
    def unpriced(self) -> int: ...
    @property
    def without_tool_fees(self) -> int: ...


class Costing(Incomplete, Protocol):
    """Sums with their cost in dollars."""

    @property
    def cost_usd(self) -> Decimal | None: ...


def told(sums: Costing, write: Callable[[Decimal | None], str] = figures.money) -> str:
    """The cost as text, with "≥" if a part of it is missing; a dash if all of it is."""
    if not sums.unpriced:
        return write(sums.cost_usd or Decimal(0))
    return f"≥ {write(sums.cost_usd)}" if sums.cost_usd else figures.NOTHING


def missing(sums: Incomplete) -> str:
    """A phrase such as "without 3 unpriced requests and the tool fees of 1 request"; empty if nothing is missing."""
    unpriced = sums.unpriced - sums.without_tool_fees
    parts = [f"{figures.count(unpriced)} unpriced request{_s(unpriced)}"] if unpriced else []
    if fees := sums.without_tool_fees:
        parts.append(f"the tool fees of {figures.count(fees)} request{_s(fees)}")
    return f"without {' and '.join(parts)}" if parts else ""


def counted(sums: Incomplete) -> str:
    """The short form, such as "3 unpriced, 1 without tool fees"; empty if nothing is missing."""
    unpriced = sums.unpriced - sums.without_tool_fees
    named = ((unpriced, "unpriced"), (sums.without_tool_fees, WITHOUT_TOOL_FEES))
    return ", ".join(f"{figures.count(number)} {what}" for number, what in named if number)


def _s(number: int) -> str:
    return "" if number == 1 else "s"
