"""Token vocabularies: finding them on disk, verifying and loading them, and counting with them.

Importing this module is cheap: tiktoken and the vocabularies are loaded when a text is first counted, or by a warm-up.
A :class:`Vocabulary` raises no errors and uses no network: if it cannot be used, it returns ``None`` and logs that
once, and the caller has to count in another way.
"""

import base64
import functools
import gzip
import hashlib
import logging
import os
import threading
import unicodedata
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiktoken import Encoding

logger = logging.getLogger(__name__)

MUST_PASS = (KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError)
"""The exceptions that are passed on. All others are caught, BaseException too: a panic of tiktoken derives from it."""

PACKAGED = Path(__file__).parent / "vocab"
PACKAGED_SHA256 = {
    "o200k_base.tiktoken.gz": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "qwen.tiktoken.gz": "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186",
}

# tiktoken's regular expressions backtrack over a run of one character class and panic on a very long run. A text is
# therefore cut at places where a token starts anyway. Beyond a million characters only a sample of it is counted.
PIECE = 8_192
SAMPLED_BEYOND = 1_000_000
SAMPLES = 16

_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
_LOWER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_START = r"[^\r\n\p{L}\p{N}]?"

O200K_PATTERN = (
    rf"{_START}[{_UPPER}]*[{_LOWER}]+{_CONTRACTION}?|{_START}[{_UPPER}]+[{_LOWER}]*{_CONTRACTION}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)
QWEN_PATTERN = rf"{_CONTRACTION}|{_START}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
LLAMA3_PATTERN = rf"{_CONTRACTION}|{_START}\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
KIMI_PATTERN = (
    rf"[\p{{Han}}]+|{_START}[{_UPPER}&&[^\p{{Han}}]]*[{_LOWER}&&[^\p{{Han}}]]+{_CONTRACTION}?"
    rf"|{_START}[{_UPPER}&&[^\p{{Han}}]]+[{_LOWER}&&[^\p{{Han}}]]*{_CONTRACTION}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
)

Ranks = dict[bytes, int]


class BrokenVocabularyError(Exception):
    """A vocabulary file is missing, has the wrong content, or cannot be read."""


def read_ranks(path: Path, sha256: str | None = None) -> Ranks:
    """The tokens of a file in tiktoken's text format, gzipped or not, and their ranks."""
    packed = path.read_bytes()
    text = gzip.decompress(packed) if path.suffix == ".gz" else packed
    if sha256 is not None and hashlib.sha256(text).hexdigest() != sha256:
        raise BrokenVocabularyError(f"{path} has another SHA-256 than expected")
    words = text.split()
    if not words or len(words) % 2:
        raise BrokenVocabularyError(f"{path} is not a tiktoken vocabulary")
    return dict(zip(map(base64.b64decode, words[::2]), map(int, words[1::2]), strict=True))


def read_packaged(directory: Path, name: str) -> Ranks:
    """One of the two shipped vocabularies, verified."""
    return read_ranks(directory / name, PACKAGED_SHA256[name])


def common_ranks(qwen: Ranks) -> Ranks:
    """The 100,256 tokens that Llama 3 and Qwen inherit from OpenAI's cl100k, taken out of Qwen's vocabulary.

    Qwen's first 99,156 ranks are cl100k's in their order, without the 1,100 numbers of two and three digits, which Qwen
    spells digit by digit. Llama 3 is these tokens and 28,000 more, nearly all of them for other scripts than Latin.
    """
    inherited = 99_156
    ranks = {token: rank for token, rank in qwen.items() if rank < inherited}
    numbers = [f"{number:0{digits}d}".encode() for digits in (2, 3) for number in range(10**digits)]
    return ranks | {number: inherited + place for place, number in enumerate(numbers)}


class Vocabulary:
    """A tokenizer. The first thread that uses it loads it; other threads wait for that."""

    def __init__(self, name: str, pattern: str, read: Callable[[], Ranks], *, nfc: bool = False) -> None:
        self.name = name
        self._pattern = pattern
        self._read = read
        self._nfc = nfc
        self._lock = threading.Lock()
        self._encoding: Encoding | None = None
        self._failed = False
        self._panicked = False

    def load(self) -> bool:
        """Loads the vocabulary unless it is loaded, and returns whether it can be used. Blocks while it is loading."""
        if self._encoding is None and not self._failed:
            with self._lock:
                if self._encoding is None and not self._failed:
                    self._load()
        return self._encoding is not None

    def after_fork(self) -> None:
        """Lets a forked child load the vocabulary anew if a thread of the parent was loading it."""
        self._lock = threading.Lock()

    def _load(self) -> None:
        try:
            from tiktoken import Encoding

            self._encoding = Encoding(self.name, pat_str=self._pattern, mergeable_ranks=self._read(), special_tokens={})
        except MUST_PASS:
            raise
        except BaseException as error:
            self._failed = True
            logger.warning("The token vocabulary %s cannot be used, tokens will be guessed: %r", self.name, error)

    def count(self, text: str) -> int | None:
        """The number of tokens in ``text``; ``None`` where the vocabulary cannot be used for it."""
        if not self.load():
            return None
        try:
            return self._count(text)
        except MUST_PASS:
            raise
        except BaseException as error:
            if not self._panicked:
                self._panicked = True
                logger.warning("The token vocabulary %s failed on a text, its tokens are guessed: %r", self.name, error)
            return None

    def _count(self, text: str) -> int:
        known: dict[str, int] = {}  # Pieces may repeat: a megabyte of spaces consists of one piece.
        if len(text) <= SAMPLED_BEYOND:
            return self._count_all(text, known)
        length = SAMPLED_BEYOND // SAMPLES
        step = (len(text) - length) // (SAMPLES - 1)
        counted = sum(self._count_all(text[at : at + length], known) for at in range(0, step * SAMPLES, step))
        return round(counted * len(text) / (length * SAMPLES))

    def _count_all(self, text: str, known: dict[str, int]) -> int:
        encoding = self._encoding
        assert encoding is not None
        if self._nfc:
            text = unicodedata.normalize("NFC", text)
        if len(text) <= PIECE:
            return len(encoding.encode_ordinary(text))
        total = 0
        for piece in pieces(text):
            if piece not in known:
                known[piece] = len(encoding.encode_ordinary(piece))
            total += known[piece]
        return total


def pieces(text: str) -> Iterator[str]:
    """The text in pieces of at most :data:`PIECE` characters, cut after a newline or before a space if possible."""
    start = 0
    while start < len(text):
        end = _cut(text, start)
        yield text[start:end]
        start = end


def _cut(text: str, start: int) -> int:
    end = start + PIECE
    if end >= len(text):
        return len(text)
    half = start + PIECE // 2
    if (newline := text.rfind("\n", half, end)) >= 0:
        return newline + 1
    space = text.rfind(" ", half, end)
    return space if space >= 0 else end


class Library:
    """The shipped vocabularies and the operator's own."""

    def __init__(self, packaged: Path = PACKAGED, own: Path | None = None) -> None:
        self.o200k = Vocabulary("o200k", O200K_PATTERN, lambda: read_packaged(packaged, "o200k_base.tiktoken.gz"))
        self.qwen = Vocabulary("qwen", QWEN_PATTERN, lambda: read_packaged(packaged, "qwen.tiktoken.gz"), nfc=True)
        self.common = Vocabulary(
            "common", LLAMA3_PATTERN, lambda: common_ranks(read_packaged(packaged, "qwen.tiktoken.gz"))
        )
        self.own = {} if own is None else _own_vocabularies(own)

    @classmethod
    def from_environment(cls) -> "Library":
        """A library with the operator's vocabularies from the directory ``GROQ_VOCAB_DIR``."""
        directory = os.environ.get("GROQ_VOCAB_DIR", "")
        return cls(own=Path(directory) if directory else None)

    @property
    def _all(self) -> tuple[Vocabulary, ...]:
        return (self.o200k, self.qwen, self.common, *self.own.values())

    def load(self) -> None:
        """Loads all vocabularies, so that no call has to wait for them."""
        for vocabulary in self._all:
            vocabulary.load()

    def after_fork(self) -> None:
        for vocabulary in self._all:
            vocabulary.after_fork()


def _own_vocabularies(directory: Path) -> dict[str, Vocabulary]:
    patterns = {"llama3": LLAMA3_PATTERN, "llama4": O200K_PATTERN, "kimi": KIMI_PATTERN}
    found = {}
    for name, pattern in patterns.items():
        paths = [directory / f"{name}.tiktoken", directory / f"{name}.tiktoken.gz"]
        if path := next((path for path in paths if path.is_file()), None):
            found[name] = Vocabulary(f"{name} ({path})", pattern, functools.partial(read_ranks, path))
    return found
