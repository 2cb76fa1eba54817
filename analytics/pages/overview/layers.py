"""The parts of a chart that stand for the values of a dimension."""

import html

LAYERS = 8
"""At most this number of values has a part of its own. All others share one."""


def named(name: str) -> dict[str, str]:
    """The plain name, and a label for Plotly, which reads a few HTML tags and entities but none for quotes."""
    return {"name": name, "label": html.escape(name, quote=False)}


def others_named(number: int) -> str:
    """The name of the part that this number of values shares."""
    return "1 other" if number == 1 else f"{number} others"
