"""Numbers as text for people. An amount that is not zero is never shown as zero."""

from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

NOTHING = "–"
COMPACT_FROM = 10_000
KEPT = 10_000
"""The size of each cache: a page that refreshes itself formats mostly the same numbers again."""
UNITS = ((1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K"))


def count(value: int) -> str:
    """The exact number, such as 1,234,567."""
    return f"{value:,}"


@lru_cache(KEPT)
def compact(value: int) -> str:
    """The number with three significant digits from 10,000 on: 9,999, then 12.3K, 1.23M."""
    if abs(value) < COMPACT_FROM:
        return count(value)
    for size, unit in UNITS:
        # 999,950 becomes 1.00M and not 1,000K.
        if abs(value) >= size * Decimal("0.9995"):
            return f"{_three_digits(Decimal(value) / size)}{unit}"
    raise AssertionError("a unit fits every number from COMPACT_FROM on")


class Failing(Protocol):
    """Sums with the number of failed requests, and of those of them that were time-outs."""

    @property
    def errors(self) -> int: ...
    @property
    def timeouts(self) -> int: ...


def failed(sums: Failing) -> str:
    """A phrase such as "12 failed, 3 of them in a time-out"."""
    said = f"{count(sums.errors)} failed"
    return f"{said}, {count(sums.timeouts)} of them in a time-out" if sums.timeouts else said


def average(value: float) -> str:
    """An average of whole numbers: with one decimal below 100, and like ``compact`` from there on."""
    if value >= 100:
        return compact(round(value))
    return "<0.1" if 0 < value < 0.05 else f"{value:.1f}".removesuffix(".0")


@lru_cache(KEPT)
def money(value: Decimal | None) -> str:
    """US dollars with cents from one dollar on, and with four significant digits below; a dash for None."""
    if value is None:
        return NOTHING
    sign, amount = ("-" if value < 0 else ""), abs(value)
    if amount >= 1 or not amount:
        return f"{sign}${amount:,.2f}"
    places = max(2, 3 - amount.adjusted())
    whole, _, decimals = f"{amount:.{places}f}".partition(".")
    return f"{sign}${whole}.{decimals.rstrip('0').ljust(2, '0')}"


@lru_cache(KEPT)
def exact_money(value: Decimal | None) -> str:
    """US dollars with all digits down to a nano-dollar; a dash for None."""
    if value is None:
        return NOTHING
    whole, _, decimals = f"{value:,.9f}".partition(".")
    return f"${whole}.{decimals.rstrip('0').ljust(2, '0')}"


@lru_cache(KEPT)
def duration(milliseconds: float | None) -> str:
    """A duration such as 412 ms, 1.23 s or 2 m 5 s; a dash for None."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms" if milliseconds >= 1 or not milliseconds else "<1 ms"
    seconds = Decimal(milliseconds) / 1_000
    if seconds < 120:
        return f"{_three_digits(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} m {rest} s"


def per_second(rate: float | None) -> str:
    """A rate with three significant digits, such as 412, 12.3 or 1.23; a dash for None."""
    return NOTHING if rate is None else _three_digits(Decimal(rate))


def percent(share: float | None) -> str:
    """A share in percent with one decimal: 0.0312 becomes 3.1%. Only nothing and the whole, 0% and 100%, have none; a
    share too close to these becomes <0.1% or >99.9%."""
    if share is None:
        return NOTHING
    if share in (0, 1):
        return f"{share:.0%}"
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def css_percent(share: float) -> str:
    """A share as a width in CSS."""
    return f"{100 * share:.2f}%"


def day(value: date) -> str:
    return f"{value.day} {value:%b %Y}"


def days(first: date, last: date) -> str:
    """A range of days such as 24 Oct – 22 Nov 2026, without repeating an equal year or month."""
    if first == last:
        return day(first)
    if first.year != last.year:
        return f"{day(first)} – {day(last)}"
    start = f"{first.day}" if first.month == last.month else f"{first.day} {first:%b}"
    return f"{start} – {day(last)}"


def _three_digits(value: Decimal) -> str:
    """The number rounded to three significant digits: 1.23, 12.3 or 123."""
    for limit, places in ((Decimal("9.995"), 2), (Decimal("99.95"), 1)):
        if abs(value) < limit:
            return f"{value:.{places}f}"
    return f"{value:,.0f}"
