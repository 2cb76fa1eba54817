"""The names of models: callers may use aliases and a prefix, Groq and the price table use one name for each model."""

from collections.abc import Callable, Mapping

PREFIX = "groq/"
"""The prefix that routers such as LiteLLM put before Groq's names. Some of Groq's own names begin with it as well
(``groq/compound``)."""


def canonical(provider: str, name: str, aliases: Mapping[tuple[str, str], str], is_known: Callable[[str], bool]) -> str:
    """The name that a model is charged and listed under. An alias for the name decides; next an alias for the name
    without Groq's prefix, unless the whole name ``is_known``.

    Without an alias, the prefix is removed if the rest has another slash (``groq/openai/gpt-oss-120b``), since none of
    Groq's names has two. It is also removed if the rest ``is_known`` and the whole name is not, so that
    ``groq/compound`` stays. Any other name is returned unchanged.
    """
    if (provider, name) in aliases:
        return aliases[provider, name]
    rest = name.removeprefix(PREFIX)
    if provider != "groq" or rest == name or not rest:
        return name
    if (provider, rest) in aliases:
        return name if is_known(name) else aliases[provider, rest]
    return rest if "/" in rest or (is_known(rest) and not is_known(name)) else name
