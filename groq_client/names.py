"""Makes names and ids fit for storing: limits their length and removes characters that a database refuses.

Two different ids never become one: an id that is too long keeps its beginning and ends with a hash of the whole. The
client, imports, the writer, the search and filters all call these functions, which leave their own results unchanged,
so that an id is the same everywhere.
"""

import hashlib
import re

MAX_LENGTH = 200
DIGITS = 16
"""Hexadecimal digits of the hash: among 100 million names the odds that two share a hash are 1 in 3,700."""

# Control characters and lone surrogates do not belong in a name; PostgreSQL refuses NUL and lone surrogates.
UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def shown_name(value: object) -> str:
    """The name of a person, a project or an organization without blanks around it and without invisible characters, at
    most 200 characters long."""
    text = UNWANTED.sub("", str(value)).strip()
    return text if len(text) <= MAX_LENGTH else _with_hash(text, text, MAX_LENGTH)


def identity(value: object, length: int = MAX_LENGTH) -> str:
    """An id as it is stored: without blanks around it and at most ``length`` (20 or more) characters long. Different
    ids stay different, even if they differ only in characters that cannot be stored. An id of only blanks becomes "".
    """
    text = str(value).strip()
    if len(text) <= length and text.isprintable():
        return text
    kept = UNWANTED.sub("", text).strip()
    if kept == text and len(text) <= length:
        return text
    return _with_hash(kept, text, length) if kept else ""


def _with_hash(beginning: str, whole: str, length: int) -> str:
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
    return f"{beginning[: length - DIGITS - 1]}…{digest}"
