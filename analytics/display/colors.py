"""The colours of models and of other values in charts."""

import zlib
from collections.abc import Callable, Iterable

from pricing.catalogue import listed

COLORS = 32
# The most used models have the clearest colours, which are the first sixteen.
_FIRST = (
    "openai/gpt-oss-120b",
    "llama-3.3-70b-versatile",
    "openai/gpt-oss-20b",
    "llama-3.1-8b-instant",
    "qwen/qwen3.8-27b",
    "moonshotai/kimi-k2-instruct-0905",
    "meta-llama/llama-4-maverick-17b-128e-instruct",
    "meta-llama/llama-4-scout-17b-16e-instruct",
    "whisper-large-v3-turbo",
    "whisper-large-v3",
    "groq/compound",
    "groq/compound-mini",
)
_OF_LISTED: tuple[int, ...] = (*range(1, 13), *range(17, 27))
_OF_OTHERS: tuple[int, ...] = (*range(13, 17), *range(27, COLORS + 1))
"""The colours of models that the catalogue does not list, or that were retired long ago. They are other ones, so that
such a model keeps its colour wherever models of the catalogue are shown beside it."""
_COLOR_OF: dict[str, int] = dict(zip(dict.fromkeys((*_FIRST, *listed())), _OF_LISTED, strict=False))


def color_of(model: str) -> int:
    """The number of a model's colour, 1 to ``COLORS``, the same on every page. ``colors_apart`` keeps the colours of
    models apart that are shown together."""
    return _COLOR_OF.get(model) or _OF_OTHERS[zlib.crc32(model.encode()) % len(_OF_OTHERS)]


STATUS_COLORS = {"success": 3, "error": 2, "timeout": 6}


def colors_apart(models: Iterable[str]) -> dict[str, int]:
    """The colours of models that are shown together. No two share one, unless there are more models than colours. A
    model has its own colour, except where two models that the catalogue does not list would share one: then the later
    by name has the next free one."""
    in_order = sorted(set(models), key=lambda model: (model not in _COLOR_OF, model))
    return _apart(in_order, color_of, (*_OF_OTHERS, *_OF_LISTED))


def colors_of_values(values: Iterable[str]) -> dict[str, int]:
    """The colours of projects, people or other values that are shown together; no two share one while there are
    enough."""
    every = tuple(range(1, COLORS + 1))
    return _apart(sorted(set(values)), lambda value: every[zlib.crc32(value.encode()) % COLORS], every)


def _apart(names: Iterable[str], own: Callable[[str], int], every: tuple[int, ...]) -> dict[str, int]:
    """The own colour of each name, or the next one of ``every`` that no name before has."""
    found: dict[str, int] = {}
    for name in names:
        start = every.index(own(name))
        taken = set(found.values())
        found[name] = next((color for color in every[start:] + every[:start] if color not in taken), own(name))
    return found
