"""The change of a figure from the previous period to this one, and whether the change is good or bad."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from analytics.display import figures

Sentiment = Literal["good", "bad", "neutral"]
Amount = int | float | Decimal | None


@dataclass(frozen=True, slots=True)
class Change:
    """The size of a change as text, its direction, and whether it is good or bad."""

    text: str
    sentiment: Sentiment
    direction: Literal["up", "down", "same"]


def change(now: Amount, before: Amount, more_is: Sentiment = "neutral") -> Change | None:
    """The relative change from the previous period to this one. None if there is nothing to compare."""
    if now is None or (not now and not before):
        return None
    if not before:
        return Change("new", "neutral", "up")
    ratio = float(now) / float(before) - 1
    text = figures.percent(abs(ratio)) if abs(ratio) < 10 else f"×{figures.compact(round(ratio + 1))}"
    return _moved(ratio, text, more_is)


def change_in_points(now: float | None, before: float | None, more_is: Sentiment) -> Change | None:
    """The change of a rate in percentage points, because a percentage of a percentage would mislead."""
    if now is None or before is None:
        return None
    points = 100 * (now - before)
    return _moved(points, f"{abs(points):.1f} pp" if abs(points) >= 0.1 else "<0.1 pp", more_is)


def _moved(difference: float, text: str, more_is: Sentiment) -> Change:
    if not difference:
        return Change("no change", "neutral", "same")
    opposite: dict[Sentiment, Sentiment] = {"good": "bad", "bad": "good", "neutral": "neutral"}
    if difference > 0:
        return Change(text, more_is, "up")
    return Change(text, opposite[more_is], "down")
