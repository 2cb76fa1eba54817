"""Tokens, counted with the models' real vocabulary."""

from functools import lru_cache

from groq_client.simulator.texts import pieces
from groq_client.simulator.wire import Json, dumps

try:
    from groq_client import tokens
except ImportError:  # until that module is there
    tokens = None


def prompt_tokens(body: Json, model: str) -> int:
    """Tokens of what was sent."""
    if tokens is None:
        return len(dumps(body)) // 4
    return tokens.estimate_prompt(body, model)


@lru_cache(maxsize=2048)
def text_tokens(text: str, model: str) -> int:
    """Tokens of a text. Remembered, because the simulator says the same sentences again and again."""
    if tokens is None:
        return len(text) // 4
    return tokens.count_text(text, model) if text else 0


def shorten(text: str, limit: int, model: str) -> str:
    """The longest beginning, in whole words, of at most ``limit`` tokens."""
    words = pieces(text)
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if text_tokens("".join(words[:middle]), model) <= limit:
            low = middle
        else:
            high = middle - 1
    return "".join(words[:low])


def warm_up() -> None:
    """Load the vocabulary now rather than in the first request."""
    if tokens is not None:
        tokens.warm_up()
