"""The colours of models and of other values in charts."""

import zlib
from collections.abc import Iterable

from pricing.catalogue import listed

COLORS = 32
# The most used models have the sixteen clearest colours.
_FIRST = (
    "openai/gpt-oss-120b",
    "llama-3.3-70b-versatile",
    "openai/gpt-oss-20b",
    "llama-3.1-8b-instant",
    "qwen/qwen3-32b",
    "moonshotai/kimi-k2-instruct-0905",
    "meta-llama/llama-4-maverick-17b-128e-instruct",
    "meta-llama/llama-4-scout-17b-16e-instruct",
    "whisper-large-v3-turbo",
    "whisper-large-v3",
    "groq/compound",
    "groq/compound-mini",
)
_COLOR_OF = {model: number for number, model in enumerate(dict.fromkeys((*_FIRST, *listed())), 1) if number <= COLORS}
"""No two of the models in the catalogue's file share a colour, as long as there are enough."""


def color_of(model: str) -> int:
    """The number of a model's colour, 1 to ``COLORS``. A model of the catalogue has the same colour on every page.
    Where several models are shown together, ``colors_apart`` keeps the colours of other models apart."""
    return _COLOR_OF.get(model) or zlib.crc32(model.encode()) % COLORS + 1


STATUS_COLORS = {"success": 3, "error": 2, "timeout": 6}


def colors_apart(values: Iterable[str]) -> dict[str, int]:
    """The colours of models, or of other values, that are shown together. No two share one, unless there are more
    values than colours. A model that the catalogue does not list, or another value, has its own colour if no other one
    of them has it, else the next free one."""
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(set(values), key=lambda model: (model not in _COLOR_OF, model)):
        own = color_of(name)
        in_turn = ((own - 1 + step) % COLORS + 1 for step in range(COLORS))
        found[name] = next((number for number in in_turn if number not in taken), own)
        taken.add(found[name])
    return found
