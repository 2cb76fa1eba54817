"""Typed readers of environment variables.

Every setting ``NAME`` can also be given as ``NAME_FILE``, the path of a file that holds the value, because container
platforms pass secrets as files. A bad value stops the start with a message that says what to do.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

YES, NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """The value of ``name``, or the content of the file ``name_FILE``, or the default."""
    path = os.environ.get(f"{name}_FILE")
    if path is None:
        return os.environ.get(name, default)
    if name in os.environ:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: cannot read {path}: {error.strerror}.") from error


def flag(name: str, default: bool = False) -> bool:
    """A flag, written as 1/0, true/false, yes/no or on/off."""
    value = text(name, "1" if default else "0").lower()
    if value not in YES | NO:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")
    return value in YES


def number(name: str, default: int, minimum: int = 0, maximum: int | None = None) -> int:
    """A whole number of at least ``minimum`` and at most ``maximum``."""
    value = text(name, str(default))
    try:
        result = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
    if result < minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}, not {result}.")
    if maximum is not None and result > maximum:
        raise ImproperlyConfigured(f"{name} must be at most {maximum}, not {result}.")
    return result


def choice(name: str, values: Sequence[str]) -> str:
    """One of a few values, by default the first of them."""
    value = text(name, values[0]).lower()
    if value not in values:
        raise ImproperlyConfigured(f"{name} must be {_either(values)}, not {value!r}.")
    return value


def _either(values: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(values[:-1]), values[-1])))


def address(name: str) -> str:
    """The address of another service, or nothing. The message does not quote it, since it may hold a password."""
    value = text(name)
    if value and not _is_web_address(value):
        raise ImproperlyConfigured(f"{name} must be a whole address, such as https://example.com.")
    return value


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def words(name: str, default: str = "") -> list[str]:
    """A list separated by commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def pairs(name: str) -> dict[str, str]:
    """A list of ``key=value`` separated by commas."""
    result = {}
    for word in words(name):
        key, sign, value = word.partition("=")
        if not sign:
            raise ImproperlyConfigured(f"{name} must look like key=value,key=value; {word!r} has no '='.")
        result[key.strip()] = value.strip()
    return result


def mapping(name: str) -> dict[str, str]:
    """A JSON object whose values are texts."""
    value = text(name) or "{}"
    try:
        result = json.loads(value)
    except ValueError:
        result = None
    if not isinstance(result, dict) or not all(isinstance(target, str) for target in result.values()):
        raise ImproperlyConfigured(f'{name} must be a JSON object of texts, such as {{"staff": "User"}}.')
    return result
