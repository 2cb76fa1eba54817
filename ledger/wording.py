"""How messages to operators are worded."""

from django.template.defaultfilters import pluralize


def counted(number: int, noun: str) -> str:
    """The number with its noun, such as "1 call" or "1,200 calls"."""
    return f"{number:,} {noun}{pluralize(number)}"
