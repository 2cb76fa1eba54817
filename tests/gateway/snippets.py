"""The programs of the page Connect, for tests that run them."""

from connect.snippets import snippet_in


def snippet(name: str, address: str, key: str, model: str = "llama-3.1-8b-instant") -> str:
    """The text of a snippet, such as ``python.py``."""
    return snippet_in(name).text(address, key, model)
