"""Single values of a line of JSON or CSV. Each function checks one value, and raises a RefusedError that names the
column if the value is wrong."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from groq_client.names import identity, shown_name
from ledger.importing import RefusedError

Object = Mapping[str, Any]

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)
"""The time by which the clock of another machine may be ahead of ours."""
FLAGS = {"true": True, "false": False, "t": True, "f": False, "1": True, "0": False}
# Excel shows and saves numbers of more than eleven digits in this form, so it rounds long ids that consist of digits.
_ROUNDED = re.compile(r"-?\d([.,]\d+)?E\+\d+", re.ASCII)
_GROUPED = re.compile(r"\d{1,3}(\.\d{3})+", re.ASCII)
# Python's fromisoformat alone would accept any character between date and time, and a row of digits for both.
_DATE = re.compile(r"\d{4}-?(\d{2}-?\d{2}|W\d{2}-?\d)([Tt ].*)?", re.ASCII | re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def text(line: Object, name: str) -> str:
    """A text; "" if it is missing. Whole numbers are accepted too, because ids are often numbers."""
    value = line.get(name)
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RefusedError(f"{name} must be a text.", name)
    return str(value)


def identifier(line: Object, name: str) -> str:
    """An id; "" if it is missing. A long id is shortened to fit its column, but stays different from other ids."""
    value = _exact(line, name)
    return identity(value) if value else ""


def name_of(line: Object, name: str) -> str:
    """The name of a person, a project or an organization; "" if it is missing."""
    value = _exact(line, name)
    return shown_name(value) if value else ""


def _exact(line: Object, name: str) -> str:
    value = text(line, name)
    if "+" in value and _ROUNDED.fullmatch(value.strip()):
        raise RefusedError(
            f"{name} is {shown(value)}: Excel has rounded it. Take it from the source again, as text.", name
        )
    return value


def choice(line: Object, name: str, choices: Sequence[str], default: str) -> str:
    """One of ``choices``; ``default`` if the value is missing."""
    value = text(line, name).strip() or default
    if value not in choices:
        raise RefusedError(f"{name} must be one of {', '.join(choices)}, not {shown(value)}.", name)
    return value


def flag(line: Object, name: str) -> bool:
    """True or false; False if the value is missing."""
    value = line.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.lower() in FLAGS:
        return FLAGS[value.lower()]
    raise RefusedError(f"{name} must be true or false, not {shown(value)}.", name)


def count(line: Object, name: str, limit: int) -> int | None:
    """A whole number from 0 to ``limit``; None if it is missing."""
    value = line.get(name)
    if type(value) is int and 0 <= value <= limit:  # a bool is an int as well, but not a count
        return value
    if value is None:
        return None
    if isinstance(value, str) and _GROUPED.fullmatch(value.strip()):
        raise RefusedError(_badly_written(name, value), name)
    number = decimal(line, name, limit)
    assert number is not None
    if number != number.to_integral_value():
        raise RefusedError(f"{name} must be a whole number, not {shown(line[name])}.", name)
    return int(number)


def subset(line: Object, name: str, limit: int, *, of: str) -> int:
    """A whole number that is a part of the number named ``of``, and so not larger; 0 if it is missing."""
    part = count(line, name, limit) or 0
    if part == 0:
        return 0
    whole = count(line, of, limit) or 0
    if part > whole:
        raise RefusedError(f"{name} is {part}, more than {of} ({whole}), of which it must be a part.", name)
    return part


def decimal(line: Object, name: str, limit: int) -> Decimal | None:
    """A number from 0 to ``limit``; None if it is missing."""
    value = line.get(name)
    if value is None:
        return None
    number = _as_decimal(value)
    if number is None and isinstance(value, str) and "," in value:
        raise RefusedError(_badly_written(name, value), name)
    if number is None or not number.is_finite():
        raise RefusedError(f"{name} must be a number, not {shown(value)}.", name)
    if not 0 <= number <= limit:
        raise RefusedError(f"{name} is {shown(value)}; it must be between 0 and {limit}.", name)
    return number


def _badly_written(name: str, value: str) -> str:
    return f"{name} is {shown(value)}: write numbers without separators of thousands, and decimals with a point."


def _as_decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    written = str(value).strip()
    try:
        return Decimal(written) if _NUMBER.fullmatch(written) else None
    except InvalidOperation:
        return None


def time(line: Object, name: str, now: datetime) -> datetime | None:
    """A moment in UTC, read from ISO 8601 (in UTC if there is no zone) or from Unix seconds; None if it is missing."""
    value = line.get(name)
    if value is None:
        return None
    try:
        moment = _moment(value)
    except (ValueError, OverflowError):  # OverflowError: the last hours of the year 9999 in some zones
        raise RefusedError(f"{name} must be a time such as 2026-11-03T05:06:07Z, not {shown(value)}.", name) from None
    if moment < EARLIEST:
        raise RefusedError(f"{name} is {shown(value)}, before the year {EARLIEST.year}.", name)
    if moment > now + AHEAD:
        raise RefusedError(f"{name} is {shown(value)}, more than 5 minutes ahead of now.", name)
    return moment


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        if not _DATE.fullmatch(value.strip()):
            raise ValueError
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=value)


def shown(value: object) -> str:
    """A value as an error message quotes it, shortened to about 60 characters."""
    quoted = repr(value) if isinstance(value, str) else str(value)
    return quoted if len(quoted) <= 60 else f"{quoted[:60]}…"
