"""The names of people and projects in calls and forms: which spellings are the same name, and how a name that is too
long for its column is stored.

Names are compared by their keys. A key is the name in Unicode's compatibility form (NFKC) with folded case, without
invisible characters, and with single blanks. A name is shown as it was first written.
"""

import hashlib
import re
import unicodedata
from functools import lru_cache

from django.db import models

MAX_NAME = 200
DIGITS = 16
"""The length of the hash at the end of a shortened name, long enough that no two names of an organization share one."""

# The invisible characters are Unicode's Default_Ignorable_Code_Point (joiners, marks of direction, variation selectors,
# the soft hyphen, the byte order mark, Hangul fillers), the marks of interlinear notes, and the control characters
# except blanks.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]"
)


@lru_cache(maxsize=10_000)
def folded(name: str) -> str:
    """The key that a name is compared by. Two spellings of one name have the same key. The key "" means no name."""
    while (simpler := _folded_once(name)) != name:  # Folding can make characters that NFKC changes.
        name = simpler
    return name


def _folded_once(name: str) -> str:
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFKC", name).casefold())
    return unicodedata.normalize("NFKC", " ".join(visible.split()))


@lru_cache(maxsize=10_000)
def written(name: str) -> str:
    """The name as it is stored and shown: without blanks around it and without characters that PostgreSQL cannot store;
    "" if nothing of it is visible. A name that is too long for its column is stored as its key, shortened if needed. So
    all spellings of a long name are stored alike, and ``folded(written(name))`` always fits the column."""
    storable = name.replace("\0", "").encode("utf-8", "replace").decode().strip()
    key = folded(storable)
    if len(key) > MAX_NAME:
        return shortened(key, MAX_NAME)
    return (storable if len(storable) <= MAX_NAME else key) if key else ""


def shortened(text: str, length: int) -> str:
    """The text with at most ``length`` characters. A longer text becomes its beginning and a hash of the whole text, so
    that two texts that differ only at their ends stay different."""
    if len(text) <= length:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:DIGITS]
    return f"{text[: length - DIGITS - 1]}~{digest}"


class KeyField(models.CharField[str | None, str | None]):
    """The key of another field of the row, computed whenever the row is saved, also by ``bulk_create``. NULL for a row
    that was merged into another or made anonymous, because it has no name of its own any more."""

    def __init__(self, *args: object, of: str = "", **kwargs: object) -> None:
        self.of = of
        fixed = {"max_length": MAX_NAME, "db_collation": "C", "null": True, "editable": False}
        super().__init__(*args, **(kwargs | fixed))  # type: ignore[arg-type]

    def deconstruct(self) -> tuple[str, str, list[object], dict[str, object]]:
        name, path, args, kwargs = super().deconstruct()
        return name, path, [*args], kwargs | {"of": self.of}

    def pre_save(self, model_instance: models.Model, add: bool) -> str | None:
        is_nameless = any(getattr(model_instance, field, None) for field in ("merged_into_id", "anonymised_at"))
        key = None if is_nameless else folded(getattr(model_instance, self.of))
        setattr(model_instance, self.attname, key)
        return key
