"""Single values of a line, as JSON or CSV give them, checked: what is impossible is refused by name."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from analytics.importing import RefusedError

Object = Mapping[str, Any]

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)
"""So far a clock may be fast."""
FLAGS = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def text(line: Object, name: str) -> str:
    """A text, "" where there is none. Numbers are taken as they are written: ids often are numbers."""
    value = line.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RefusedError(f"{name} must be a text.")
    return str(value)


def choice(line: Object, name: str, choices: Sequence[str], default: str) -> str:
    value = text(line, name).strip() or default
    if value not in choices:
        raise RefusedError(f"{name} must be one of {', '.join(choices)}, not {shown(value)}.")
    return value


def flag(line: Object, name: str) -> bool:
    """True or false; false where it is missing."""
    value = line.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in FLAGS:
        return FLAGS[value.lower()]
    raise RefusedError(f"{name} must be true or false, not {shown(value)}.")


def count(line: Object, name: str, limit: int) -> int | None:
    """A whole number from 0 to ``limit``; None where it is missing."""
    value = line.get(name)
    if type(value) is int and 0 <= value <= limit:  # bool is an int as well, but no number of anything
        return value
    number = decimal(line, name, limit)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise RefusedError(f"{name} must be a whole number, not {shown(line[name])}.")
    return int(number)


def decimal(line: Object, name: str, limit: int) -> Decimal | None:
    """A number from 0 to ``limit``; None where it is missing."""
    value = line.get(name)
    if value is None:
        return None
    number = _as_decimal(value)
    if number is None or not number.is_finite():
        raise RefusedError(f"{name} must be a number, not {shown(value)}.")
    if not 0 <= number <= limit:
        raise RefusedError(f"{name} is {shown(value)}; it must be between 0 and {limit}.")
    return number


def _as_decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    written = str(value).strip()
    try:
        return Decimal(written) if _NUMBER.fullmatch(written) else None
    except InvalidOperation:
        return None


def time(line: Object, name: str, now: datetime) -> datetime | None:
    """A moment in UTC, from ISO 8601 (UTC where it names no zone) or from Unix seconds; None where it is missing."""
    value = line.get(name)
    if value is None:
        return None
    try:
        moment = _moment(value)
    except (ValueError, OverflowError):  # the latter for the last hours of the year 9999 in the wrong zone
        raise RefusedError(f"{name} must be a time such as 2026-11-03T05:06:07Z, not {shown(value)}.") from None
    if moment < EARLIEST:
        raise RefusedError(f"{name} is {shown(value)}, before the year {EARLIEST.year}.")
    if moment > now + AHEAD:
        raise RefusedError(f"{name} is {shown(value)}, more than 5 minutes ahead of now.")
    return moment


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)


def shown(value: object) -> str:
    """A value as an error quotes it: short."""
    quoted = repr(value) if isinstance(value, str) else str(value)
    return quoted if len(quoted) <= 60 else f"{quoted[:60]}…"
