"""Numbers as people read them. Nothing that exists is ever shown as zero."""

from datetime import date
from decimal import Decimal

NOTHING = "–"
COMPACT_FROM = 10_000
UNITS = ((1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K"))


def count(value: int) -> str:
    """Exact: 1,234,567."""
    return f"{value:,}"


def compact(value: int) -> str:
    """Short: 9,999, then 12.3K, 1.23M, with three digits that count."""
    if abs(value) < COMPACT_FROM:
        return count(value)
    for size, unit in UNITS:
        # 999,950 is 1.00M rather than 1000K.
        if abs(value) >= size * Decimal("0.9995"):
            return f"{_three_digits(Decimal(value) / size)}{unit}"
    raise AssertionError("a unit fits every number from COMPACT_FROM on")


def money(value: Decimal | None) -> str:
    """US dollars: cents from one dollar on, four digits that count below it."""
    if value is None:
        return NOTHING
    sign, amount = ("-" if value < 0 else ""), abs(value)
    if amount >= 1 or not amount:
        return f"{sign}${amount:,.2f}"
    places = max(2, 3 - amount.adjusted())
    whole, _, decimals = f"{amount:.{places}f}".partition(".")
    return f"{sign}${whole}.{decimals.rstrip('0').ljust(2, '0')}"


def exact_money(value: Decimal | None) -> str:
    """US dollars to the last nano-dollar."""
    if value is None:
        return NOTHING
    whole, _, decimals = f"{value:,.9f}".partition(".")
    return f"${whole}.{decimals.rstrip('0').ljust(2, '0')}"


def duration(milliseconds: float | None) -> str:
    """412 ms, 1.23 s, 2 m 5 s."""
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
    """412, 12.3, 1.23: three digits that count."""
    return NOTHING if rate is None else _three_digits(Decimal(rate))


def percent(share: float | None) -> str:
    """0.0312 is 3.1%; what is too small to show says so."""
    if share is None:
        return NOTHING
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}".removesuffix(".0") + "%"


def css_percent(share: float) -> str:
    """A share as a width."""
    return f"{100 * share:.2f}%"


def day(value: date) -> str:
    return f"{value.day} {value:%b %Y}"


def days(first: date, last: date) -> str:
    """24 Oct – 22 Nov 2026, saying no year or month twice."""
    if first == last:
        return day(first)
    if first.year != last.year:
        return f"{day(first)} – {day(last)}"
    start = f"{first.day}" if first.month == last.month else f"{first.day} {first:%b}"
    return f"{start} – {day(last)}"


def _three_digits(value: Decimal) -> str:
    """1.23, 12.3, 123: rounded, and with the digits that the rounded number has."""
    for limit, places in ((Decimal("9.995"), 2), (Decimal("99.95"), 1)):
        if abs(value) < limit:
            return f"{value:.{places}f}"
    return f"{value:,.0f}"
