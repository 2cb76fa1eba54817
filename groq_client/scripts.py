"""Corrections per script, for models whose own vocabulary is not shipped; and guesses without any vocabulary.

Where the numbers come from. ``o200k`` and ``common`` (tokens per character in the two vocabularies that are counted
with) were measured here, on a sentence per language; ``tibetan`` and ``odia`` are rough. ``llama3`` and ``kimi`` (that
model's tokens per token of the common vocabulary) are ratios of the tokens that Llama 3.1, Kimi K2 and cl100k need for
the same 2 MiB of web text in each language, as published in the results of bgub/tokka-bench (August 2025); the most
used language stands for its script. ``llama4`` (its tokens per o200k token) is only a rough reading of two small
published comparisons, for Japanese, Korean, Russian and Ukrainian; other scripts have no correction. None of the three
could be verified here against the models' own vocabularies.
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import Literal

Column = Literal["llama3", "llama4", "kimi"]


@dataclass(frozen=True, slots=True, eq=False)  # hashed by identity, which is fast
class Script:
    """Tokens per character in two vocabularies, and the factors of three models."""

    name: str
    o200k: float
    common: float
    llama3: float = 1.0
    llama4: float = 1.0
    kimi: float = 1.0


LATIN = Script("latin", 0.25, 0.27, kimi=1.07)
VIETNAMESE = Script("vietnamese", 0.30, 0.49, llama3=0.577, kimi=1.13)
CZECH = Script("czech", 0.36, 0.48, llama3=0.726, kimi=0.95)
TURKISH = Script("turkish", 0.26, 0.38, llama3=0.763, kimi=1.02)
CYRILLIC = Script("cyrillic", 0.26, 0.48, llama3=0.69, llama4=0.90, kimi=0.855)
UKRAINIAN = Script("ukrainian", 0.33, 0.61, llama3=0.555, llama4=0.89, kimi=0.73)
ARABIC = Script("arabic", 0.29, 0.70, llama3=0.57, kimi=0.70)
PERSIAN = Script("persian", 0.26, 0.72, llama3=0.497, kimi=0.68)
URDU = Script("urdu", 0.29, 0.87, llama3=0.718, kimi=0.53)
HAN = Script("han", 0.68, 1.15, llama3=0.681, kimi=0.56)
KANA = Script("kana", 0.68, 0.92, llama3=0.678, llama4=0.84, kimi=0.86)
HANGUL = Script("hangul", 0.60, 1.10, llama3=0.648, llama4=0.83, kimi=0.85)
COMMON = Script("common", 0.5, 0.5)  # Punctuation and symbols need no correction and have little weight.
OTHER = Script("other", 1.8, 2.2)
SPACE = Script("space", 0.25, 0.0)  # A vocabulary joins a space to the next word; only a guess counts it apart.

# Each block starts at this code point and ends where the next block starts.
_BLOCKS: tuple[tuple[int, Script], ...] = (
    (0x0000, LATIN),
    (0x0080, COMMON),
    (0x00C0, LATIN),
    (0x0250, COMMON),
    (0x0370, Script("greek", 0.33, 0.89, llama3=0.443, kimi=0.66)),
    (0x0400, CYRILLIC),
    (0x0530, Script("armenian", 0.38, 1.86, llama3=0.867, kimi=0.327)),
    (0x0590, Script("hebrew", 0.41, 0.97, kimi=0.63)),
    (0x0600, ARABIC),
    (0x0700, OTHER),
    (0x0750, ARABIC),
    (0x0780, OTHER),
    (0x0900, Script("devanagari", 0.27, 0.99, llama3=0.54, kimi=0.586)),
    (0x0980, Script("bengali", 0.25, 1.30, llama3=0.988, kimi=0.52)),
    (0x0A00, Script("gurmukhi", 0.48, 1.60, llama3=0.992, kimi=0.475)),
    (0x0A80, Script("gujarati", 0.32, 1.67, kimi=0.50)),
    (0x0B00, Script("odia", 1.0, 2.4, llama3=0.978, kimi=0.518)),
    (0x0B80, Script("tamil", 0.29, 1.35, kimi=0.556)),
    (0x0C00, Script("telugu", 0.35, 1.78, kimi=0.477)),
    (0x0C80, Script("kannada", 0.31, 1.74, kimi=0.419)),
    (0x0D00, Script("malayalam", 0.31, 1.62, kimi=0.368)),
    (0x0D80, Script("sinhala", 0.59, 1.82, kimi=0.474)),
    (0x0E00, Script("thai", 0.37, 0.90, llama3=0.525, kimi=0.833)),
    (0x0E80, Script("lao", 1.85, 2.12, llama3=0.921, kimi=0.644)),
    (0x0F00, Script("tibetan", 1.4, 2.0, kimi=0.431)),
    (0x1000, Script("burmese", 0.58, 1.94, kimi=0.424)),
    (0x10A0, Script("georgian", 0.38, 1.89, kimi=0.442)),
    (0x1100, HANGUL),
    (0x1200, Script("ethiopic", 1.82, 2.42, kimi=0.56)),
    (0x13A0, OTHER),
    (0x1780, Script("khmer", 0.64, 1.61, kimi=0.75)),
    (0x1800, OTHER),
    (0x1E00, LATIN),
    (0x1F00, OTHER),
    (0x2000, COMMON),
    (0x2E80, HAN),
    (0x3000, COMMON),
    (0x3040, KANA),
    (0x3100, HAN),
    (0x3130, HANGUL),
    (0x3190, HAN),
    (0x31F0, KANA),
    (0x3200, COMMON),
    (0x3400, HAN),
    (0xA000, OTHER),
    (0xAC00, HANGUL),
    (0xD7B0, OTHER),
    (0xF900, HAN),
    (0xFB00, COMMON),
    (0xFB50, ARABIC),
    (0xFE00, COMMON),
    (0xFE70, ARABIC),
    (0xFF00, COMMON),
    (0xFF66, KANA),
    (0xFFA0, COMMON),
    (0x10000, OTHER),
    (0x20000, HAN),
    (0x30000, OTHER),
)
_STARTS = [start for start, _ in _BLOCKS]

_LANGUAGES: tuple[tuple[Script, Script, frozenset[str], float], ...] = (
    (LATIN, VIETNAMESE, frozenset("ăđơưạảấầẩẫậắằẳặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"), 0.04),
    (LATIN, CZECH, frozenset("ěřůĚŘ"), 0.01),
    (LATIN, TURKISH, frozenset("ığşİĞŞ"), 0.02),
    (CYRILLIC, UKRAINIAN, frozenset("їєґЇЄҐ"), 0.003),
    (ARABIC, URDU, frozenset("ٹڈڑےںہھ"), 0.02),
    (ARABIC, PERSIAN, frozenset("پچژگیک"), 0.02),
)
"""Languages recognised by their letters: script, language, letters, and the least share of these in the script."""

_SAMPLE = 1_024
_ACCENTS = 0.01
"""Latin text with this share of accented letters has no English part; with fewer, a proportional part is English."""


def correction(text: str, column: Column) -> float:
    """The factor for the base vocabulary's count. The base is o200k for Llama 4, else the common tokens."""
    if text.isascii():
        return 1.0
    weighed = corrected = 0.0
    for script, characters, share in _scripts(text):
        if script is SPACE:
            continue
        tokens = characters * (script.o200k if column == "llama4" else script.common)
        weighed += tokens
        corrected += tokens * (1 + (_factor(script, column) - 1) * share)
    return corrected / weighed if weighed else 1.0


def guess(text: str) -> int:
    """A guess of the tokens from the characters alone. It is fast, and about 25 % off."""
    if not text:
        return 0
    if text.isascii():
        return max(1, round(len(text) * LATIN.o200k))
    tokens = sum(characters * script.o200k for script, characters, _ in _scripts(text))
    return max(1, round(tokens * len(text) / len(_sample(text))))


def _factor(script: Script, column: Column) -> float:
    if column == "llama3":
        return script.llama3
    return script.llama4 if column == "llama4" else script.kimi


def _sample(text: str) -> str:
    return text if len(text) <= 2 * _SAMPLE else text[:: len(text) // _SAMPLE]


def _scripts(text: str) -> list[tuple[Script, int, float]]:
    """The scripts in (a sample of) a text, each with its characters and the share of them that its factor is for."""
    characters = Counter(_sample(text))
    scripts: Counter[Script] = Counter()
    accented = 0
    for character, times in characters.items():
        script = _script(character)
        scripts[script] += times
        if script is LATIN and character >= "\x80":
            accented += times
    found = []
    for script, times in scripts.items():
        language = _language(script, times, characters)
        share = min(1.0, accented / (_ACCENTS * times)) if language is LATIN else 1.0
        found.append((language, times, share))
    return found


def _script(character: str) -> Script:
    if character < "\x80":
        return SPACE if character == " " else LATIN
    return _BLOCKS[bisect_right(_STARTS, ord(character)) - 1][1]


def _language(script: Script, times: int, characters: Counter[str]) -> Script:
    for of, language, letters, least in _LANGUAGES:
        if of is script and sum(characters[letter] for letter in letters) >= least * times:
            return language
    return script
