"""How many tokens a request or an answer has, counted here: for calls where Groq reported no usage.

Exact for the text of gpt-oss and Qwen. Llama, Kimi and unknown models are counted in the nearest vocabulary that may be
shipped, corrected per script (see :mod:`groq_client.scripts`), or exactly with the operator's own vocabularies
(``GROQ_VOCAB_DIR``). Chat templates add what real responses were seen to add (see :mod:`groq_client.chat_template`).

Nothing here raises, whatever it is given; nothing touches the network; the vocabularies are loaded when first needed,
in the caller's thread. Audio is never counted in tokens.
"""

import functools
import logging
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
    """How a family of models is counted: its template, and its vocabulary or the column that corrects another's."""

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
    """Tokens of what a model delivered: its text, its reasoning, and the names and arguments of its tool calls."""

    def estimate() -> int:
        family = family_of(model)
        count = functools.partial(_count, family=family)
        return chat_template.completion_tokens(text, reasoning, tool_calls, family.template, count)

    return _guarded(estimate, [text, reasoning, tool_calls])


def estimate_embedding_input(body: Mapping[str, object], model: str) -> int:
    """Tokens in the input of an embeddings request: a text, texts, or tokens that the caller has counted already."""

    def estimate() -> int:
        family = family_of(model)
        given = body.get("input")
        items = given if isinstance(given, list | tuple) else [given]
        return sum(_input_tokens(item, family) for item in items)

    return _guarded(estimate, body)


def warm_up() -> None:
    """Load the vocabularies now, in this thread, so that no call has to wait for them. Threads may call it at once."""
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
    """Llama 3 and Kimi are nearest to the common tokens: in English and code they differ from them by 1 % or less."""
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
    """The estimate; where it fails, a guess from all the strings in what it was made from."""
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
    """The vocabularies of this process. Made when first needed: settings may set the environment after the import."""
    if not _loaded:
        with _loading:
            if not _loaded:
                _loaded.append(Library.from_environment())
    return _loaded[0]
