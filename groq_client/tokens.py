"""Counts the tokens of a request or an answer, for calls whose usage Groq did not report.

The count is exact for the text of gpt-oss and Qwen. Llama, Kimi and unknown models are counted in the nearest shipped
vocabulary, corrected per script (see :mod:`groq_client.scripts`), or exactly with the operator's own
vocabularies (``GROQ_VOCAB_DIR``). The tokens of chat templates were measured on real responses (see
:mod:`groq_client.chat_template`).

The functions here raise no errors and use no network. Vocabularies are loaded when first needed, in the thread that
counts. Audio is never counted in tokens.
"""

import functools
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from groq_client import chat_template
from groq_client.chat_template import Template
from groq_client.scripts import Column, correction, guess
from groq_client.vocabularies import MUST_PASS, Library, Vocabulary

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Family:
    """The way to count a family of models: its template, and its vocabulary or the correction of another vocabulary."""

    template: Template
    column: Column | None = None
    qwen: bool = False


def count_text(text: str, model: str) -> int:
    """Tokens in a bare text, without any template."""
    return _guarded(lambda: _count(text, family_of(model)), text)


def estimate_prompt(body: Mapping[str, object], model: str) -> int:
    """Tokens in the prompt of a ``/chat/completions`` request, given its JSON body."""

    def estimate() -> int:
        family = family_of(model)
        return chat_template.prompt_tokens(body, family.template, functools.partial(_count, family=family))

    return _guarded(estimate, body)


def estimate_completion(text: str, reasoning: str, tool_calls: Sequence[str], model: str) -> int:
    """Tokens of an answer: its text, its reasoning, and the names and arguments of its tool calls."""

    def estimate() -> int:
        family = family_of(model)
        count = functools.partial(_count, family=family)
        return chat_template.completion_tokens(text, reasoning, tool_calls, family.template, count)

    return _guarded(estimate, [text, reasoning, tool_calls])


def estimate_embedding_input(body: Mapping[str, object], model: str) -> int:
    """Tokens in the input of an embeddings request, which is a text, a list of texts, or tokens."""

    def estimate() -> int:
        family = family_of(model)
        given = body.get("input")
        items = given if isinstance(given, list | tuple) else [given]
        return sum(_input_tokens(item, family) for item in items)

    return _guarded(estimate, body)


def warm_up() -> None:
    """Loads the vocabularies in this thread, so that no call has to wait for them. Safe in several threads at once."""
    _library().load()


@functools.lru_cache(maxsize=256)
def family_of(model: str) -> Family:
    """The family that a model's id belongs to. Ids come with and without an owner (``openai/gpt-oss-120b``)."""
    name = str(model).lower()
    if "gpt-oss" in name or "compound" in name:
        return Family(chat_template.HARMONY)
    if "deepseek-r1-distill" in name:
        qwen = "qwen" in name
        return Family(chat_template.DEEPSEEK, None if qwen else "llama3", qwen)
    if "qwen" in name:
        return Family(chat_template.QWEN, qwen=True)
    if "kimi" in name:
        return Family(chat_template.KIMI, "kimi")
    return _llama_family(name) if "llama" in name else Family(chat_template.OTHER)


def _llama_family(name: str) -> Family:
    if "llama-4" in name or "llama-guard-4" in name or "llama4" in name:
        return Family(chat_template.LLAMA4, "llama4")
    later = "llama-3." in name or "llama3." in name
    return Family(chat_template.LLAMA31 if later else chat_template.LLAMA30, "llama3")


def _count(text: object, family: Family) -> int:
    if not isinstance(text, str) or not text:
        return 0
    library = _library()
    own = library.own.get(family.column) if family.column else None
    if own is not None and (exact := own.count(text)) is not None:
        return exact
    counted = _base(library, family).count(text)
    if counted is None:
        return guess(text)
    if family.column is None:
        return counted
    return round(counted * correction(text, family.column))


def _base(library: Library, family: Family) -> Vocabulary:
    """The shipped vocabulary nearest to a family. For Llama 3 and Kimi it is the common tokens: 1 % off in English."""
    if family.qwen:
        return library.qwen
    return library.common if family.column in ("llama3", "kimi") else library.o200k


def _input_tokens(item: object, family: Family) -> int:
    if isinstance(item, int):
        return 1
    if isinstance(item, list | tuple):
        return len(item)
    return _count(item, family)


def _guarded(estimate: Callable[[], int], material: object) -> int:
    """The result of ``estimate``; if that fails, a guess from all strings in ``material``."""
    try:
        return estimate()
    except MUST_PASS:
        raise
    except BaseException:
        _log_once()
    try:
        return sum(guess(text) for text in chat_template.strings(material))
    except MUST_PASS:
        raise
    except BaseException:
        return 0


@functools.cache
def _log_once() -> None:
    logger.warning("Tokens could not be estimated and are guessed. Said once.", exc_info=True)


_loading = threading.Lock()
_loaded: list[Library] = []


def _library() -> Library:
    """The vocabularies of this process. They are made when first needed, since settings may set GROQ_VOCAB_DIR late."""
    if not _loaded:
        with _loading:
            if not _loaded:
                _loaded.append(Library.from_environment())
    return _loaded[0]


def _after_fork() -> None:
    """Renews the locks in a forked child, where a thread of the parent that was loading cannot release them."""
    global _loading
    _loading = threading.Lock()
    for library in _loaded:
        library.after_fork()


os.register_at_fork(after_in_child=_after_fork)
