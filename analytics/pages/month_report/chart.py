"""The chart of a month report, drawn by the server so that it prints: a bar for each day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from analytics.display import figures, missing_cost
from analytics.reports import Point

WIDTH, HEIGHT = 700, 170
"""The size of the area of the bars, in units of the drawing."""


@dataclass(frozen=True, slots=True)
class Bar:
    day: int
    title: str
    x: str
    y: str
    width: str
    height: str
    middle: str
    is_finished: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """The bars, the names of the highest and of the half value, and the main result as a sentence."""

    name: str
    bars: Sequence[Bar]
    top: str
    half: str
    summary: str


def chart(points: Sequence[Point], earliest_today: date, *, sees_cost: bool) -> Chart:
    """Cost per day, or tokens per day for viewers who may not see cost."""
    amounts = [float(_amount(point, sees_cost)) for point in points]
    largest = max(amounts)
    step, bars = WIDTH / len(points), []
    for number, (point, amount) in enumerate(zip(points, amounts, strict=True)):
        height = HEIGHT * amount / largest if largest else 0.0
        bars.append(
            Bar(
                day=point.day.day,
                title=f"{figures.day(point.day)}: {_written(point, sees_cost)}",
                x=f"{(number + 0.12) * step:.1f}",
                y=f"{HEIGHT - height:.1f}",
                width=f"{0.76 * step:.1f}",
                height=f"{height:.1f}",
                middle=f"{(number + 0.5) * step:.1f}",
                is_finished=point.day < earliest_today,
            )
        )
    most = max(points, key=lambda point: _amount(point, sees_cost))
    name = "Cost per day" if sees_cost else "Tokens per day"
    return Chart(
        name,
        bars,
        _label(largest, sees_cost),
        _label(largest / 2, sees_cost),
        f"{name}; most on {figures.day(most.day)}: {_written(most, sees_cost)}.",
    )


def _amount(point: Point, sees_cost: bool) -> float:
    return float(point.totals.cost_usd or 0) if sees_cost else point.totals.total_tokens


def _written(point: Point, sees_cost: bool) -> str:
    return missing_cost.told(point.totals) if sees_cost else f"{figures.count(point.totals.total_tokens)} tokens"


def _label(amount: float, sees_cost: bool) -> str:
    if not sees_cost:
        return figures.compact(round(amount))
    return figures.money(Decimal(f"{amount:.2f}" if amount >= 1 else f"{amount:.2g}"))
