"""The metadata of a call: a small JSON object given by the caller.

A value that cannot be kept is replaced by the reason; the other values stay.
"""

import json
import math
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any, cast

from groq_client.names import UNWANTED, identity

MAX_BYTES = 4096
"""At most this many bytes of metadata, as JSON in UTF-8, are kept."""
MAX_DEPTH = 8
DROPPED = "_dropped"
"""The key whose value tells how many entries were dropped, or why no metadata could be kept."""

Container = dict[str, Any] | list[Any]


def clean_metadata(metadata: object, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """``metadata`` as plain JSON of at most ``max_bytes``, which any database takes. Never raises.

    If the JSON is too long, the largest values are dropped first, nested ones too, and then whole entries, whose number
    is kept under ``_dropped``.
    """
    try:
        if not isinstance(metadata, Mapping):
            return dropped("no JSON object")
        cleaned = {_key(key): _whole(value, max_bytes) for key, value in islice(metadata.items(), max_bytes // 2)}
        return _shed(cast("dict[str, Any]", _fitted(cleaned, max_bytes, max_bytes)), len(metadata), max_bytes)
    except Exception as error:
        return dropped(type(error).__name__)


def dropped(why: str) -> dict[str, Any]:
    """The metadata to keep in place of metadata that was dropped as a whole, with the reason ``why``."""
    return {DROPPED: f"dropped: {why}"}


class _TooManyValuesError(Exception):
    """The metadata has more values, nested ones included, than could be kept."""


class _Cleaner:
    """Makes plain JSON of one value. It counts the values, since nested lists that repeat can hold far too many."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._left = max_bytes // 2  # Each value takes at least a digit and a comma.
        self._path: list[int] = []

    def clean(self, value: object) -> object:
        try:
            return self._clean(value)
        except _TooManyValuesError:
            raise
        except Exception as error:
            return f"dropped: {type(error).__name__}"

    def _clean(self, value: object) -> object:
        self._left -= 1
        if self._left < 0:
            raise _TooManyValuesError
        if isinstance(value, float) and not math.isfinite(value):
            return f"dropped: {json.dumps(value)}"
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            str(value)  # ValueError for a number of thousands of digits, which is no JSON either
            return value
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(value)
        return self._text(str(value))

    def _text(self, text: str) -> str:
        kept = UNWANTED.sub("", text)
        size = _size(kept)
        return kept if size <= self._max_bytes else _too_large(size, self._max_bytes)

    def _container(self, value: Collection[object]) -> object:
        if id(value) in self._path:
            return "dropped: it contains itself"
        if len(self._path) == MAX_DEPTH:
            return f"dropped: nested deeper than {MAX_DEPTH} levels"
        if len(value) > self._left:
            return f"dropped: {len(value):,} values, the limit is {self._max_bytes:,} bytes"
        self._path.append(id(value))
        try:
            if isinstance(value, Mapping):
                return {_key(key): self.clean(item) for key, item in value.items()}
            return [self.clean(item) for item in value]
        finally:
            self._path.pop()


def _key(key: object) -> str:
    try:
        return identity(key)
    except Exception:
        return DROPPED


def _whole(value: object, max_bytes: int) -> object:
    try:
        return _Cleaner(max_bytes).clean(value)
    except _TooManyValuesError:
        return f"dropped: too many values, the limit is {max_bytes:,} bytes"


def _fitted(container: Container, room: int, max_bytes: int) -> Container:
    """The container with its largest values dropped until it has at most ``room`` bytes, or until dropping makes
    nothing smaller."""
    items: dict[Any, Any] = dict(container.items() if isinstance(container, dict) else enumerate(container))
    sizes = {key: _size(item) for key, item in items.items()}
    size = _size(container)
    for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if size <= room:
            break
        smaller = _smaller(items[key], sizes[key], room - (size - sizes[key]), max_bytes)
        saved = sizes[key] - _size(smaller)
        if saved <= 0:
            break
        items[key], size = smaller, size - saved
    return items if isinstance(container, dict) else list(items.values())


def _smaller(item: object, size: int, room: int, max_bytes: int) -> object:
    if isinstance(item, dict | list) and room > 0:
        fitted = _fitted(item, room, max_bytes)
        if _size(fitted) <= room:
            return fitted
    return _too_large(size, max_bytes)


def _shed(cleaned: dict[str, Any], total: int, max_bytes: int) -> dict[str, Any]:
    """``cleaned`` without its largest entries, until the rest fits. ``total`` is the number of entries at first."""
    size, missing = _size(cleaned), total - len(cleaned)
    by_size = sorted(cleaned, key=lambda key: _size({key: cleaned[key]}))
    note = _size(dropped(f"{total:,} values, the limit is {max_bytes:,} bytes"))
    while by_size and size + (note if missing else 0) > max_bytes:
        key = by_size.pop()
        size -= _size({key: cleaned.pop(key)})
        missing += 1
    if missing:
        cleaned |= dropped(f"{missing:,} values, the limit is {max_bytes:,} bytes")
    return cleaned


def _too_large(size: int, max_bytes: int) -> str:
    limit = "the limit" if size > max_bytes else "the limit of all"
    return f"dropped: {size:,} bytes, {limit} is {max_bytes:,}"


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())
