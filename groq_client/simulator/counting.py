"""Tokens, counted with the models' real vocabulary."""

from functools import lru_cache

from groq_client import tokens
from groq_client.simulator.texts import pieces
from groq_client.simulator.wire import Json


def prompt_tokens(body: Json, model: str) -> int:
    """Tokens of what was sent."""
    return tokens.estimate_prompt(body, model)


def input_tokens(body: Json, model: str) -> int:
    """Tokens of the input of an embeddings request."""
    return tokens.estimate_embedding_input(body, model)


@lru_cache(maxsize=2048)
def text_tokens(text: str, model: str) -> int:
    """Tokens of a text. Remembered, because the simulator says the same sentences again and again."""
    return tokens.count_text(text, model) if text else 0


@lru_cache(maxsize=2048)
def completion_tokens(text: str, reasoning: str, tool_calls: tuple[str, ...], model: str) -> int:
    """Tokens of an answer, with what the model writes around its parts."""
    return tokens.estimate_completion(text, reasoning, tool_calls, model)


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
    tokens.warm_up()
