"""Counts tokens with the models' real vocabulary."""

from functools import lru_cache

from groq_client import tokens
from groq_client.simulator.texts import pieces
from groq_client.simulator.wire import Json


def prompt_tokens(body: Json, model: str) -> int:
    """Tokens of the prompt of a chat request."""
    return tokens.estimate_prompt(body, model)


def input_tokens(body: Json, model: str) -> int:
    """Tokens of the input of an embeddings request."""
    return tokens.estimate_embedding_input(body, model)


@lru_cache(maxsize=2048)
def text_tokens(text: str, model: str) -> int:
    """Tokens of a text. The results are remembered, because the simulator repeats its sentences."""
    return tokens.count_text(text, model) if text else 0


@lru_cache(maxsize=2048)
def completion_tokens(text: str, reasoning: str, tool_calls: tuple[str, ...], model: str) -> int:
    """Tokens of an answer, with the tokens that the model writes around its parts."""
    return tokens.estimate_completion(text, reasoning, tool_calls, model)


def shorten(text: str, limit: int, model: str) -> str:
    """The longest beginning of the text in whole words that has at most ``limit`` tokens."""
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
    """Load the vocabulary now, so that the first request need not wait for it."""
    tokens.warm_up()
