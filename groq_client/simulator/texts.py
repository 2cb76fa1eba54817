"""The texts of the simulated models: the same text for the same prompt, short or long as the prompt asks."""

import random
import re
import zlib

SENTENCES = (
    "The quickest way to start is to write down what the result should look like.",
    "Most of the cost comes from a small number of long conversations.",
    "A shorter system prompt often gives the same quality at half the price.",
    "Compare the two variants on the same twenty questions before choosing one.",
    "If the answer has to be exact, ask for the source of each figure.",
    "Group the requests by customer and look at the largest group first.",
    "The deadline is realistic, provided that the review takes no more than two days.",
    "Revenue grew by eight percent while support requests stayed flat.",
    "Keep the old process running until the new one has served a full month.",
    "There are three options, and the second one is the easiest to undo.",
    "Please check the figures for March, because one invoice was entered twice.",
    "A small model is enough for sorting mail, but not for writing a contract.",
    "The error appears only when two people edit the same record.",
    "Translate the summary first and leave the appendix for later.",
    "It helps to name one person who decides.",
    "The customer asked for a refund on Monday and received it on Thursday.",
    "Our index finds the right paragraph in nine of ten cases.",
    "Split the document at its headings, so that each part can stand alone.",
    "The measurements agree with the forecast within two percent.",
    "A cache saves little here, since hardly any question is asked twice.",
    "The meeting ended with a clear decision and two open questions.",
    "Latency depends more on the length of the answer than on that of the question.",
    "Use the faster model for drafts and the larger one for the final text.",
    "Nothing in the contract forbids a second supplier.",
)

REASONING = (
    "The user wants a practical answer.",
    "I should first work out what is being asked and what can be left out.",
    "There are a few ways to read this, so I take the most likely one.",
    "Let me check the facts that I would rely on.",
    "A list might help, but a short paragraph reads better.",
    "I have to be careful with the figures.",
    "The answer should say what to do next.",
    "That seems complete, so I can write it down.",
)

TRICKY = "Grüße aus 東京 🚀 — naïve café, 👩‍👩‍👧 family,\u2028a line separator,\u0085a next line, and Ελληνικά. "
"""Characters of two, three and four bytes, and two line separators at which a stream must not be split."""

_SHORT = re.compile(r"\b(short|brief|briefly|one sentence|one word)\b", re.IGNORECASE)
_LONG = re.compile(r"\b(long|detailed|in detail|essay|report)\b", re.IGNORECASE)
_WORD = re.compile(r"\s*\S+")
_EFFORT = {"none": 0, "low": 2, "medium": 5, "high": 16}


def seeded(*parts: object) -> random.Random:
    """A random source that yields the same values for the same ``parts`` in every process."""
    return random.Random(zlib.crc32("\x1f".join(map(str, parts)).encode(errors="replace")))


def compose(source: random.Random, prompt: str) -> str:
    """An answer to the prompt, whose words may ask for a short or a long one."""
    if _SHORT.search(prompt):
        count = source.randint(1, 2)
    elif _LONG.search(prompt):
        count = source.randint(40, 60)
    else:
        count = source.randint(3, 7)
    return sentences(source, SENTENCES, count)


def think(source: random.Random, effort: str) -> str:
    """The reasoning before an answer; "" with the effort ``none``."""
    return sentences(source, REASONING, _EFFORT.get(effort, 5))


def sentences(source: random.Random, material: tuple[str, ...], count: int) -> str:
    """A text of ``count`` sentences, in which no sentence repeats before all were used."""
    chosen: list[str] = []
    while len(chosen) < count:
        chosen += source.sample(material, min(count - len(chosen), len(material)))
    return " ".join(chosen)


def pieces(text: str) -> list[str]:
    """The text in pieces of about a word each, as a stream delivers them. Joined, the pieces are the text."""
    found = _WORD.findall(text)
    return [*found[:-1], found[-1] + text[sum(map(len, found)) :]] if found else []


def in_chunks(text: str, count: int) -> list[str]:
    """The text in exactly ``count`` pieces. A text with too few words is repeated; surplus words are joined."""
    words = pieces(text) or ["word"]
    while len(words) < count:
        words += [" " + words[0].lstrip(), *words[1:]]
    return ["".join(words[i * len(words) // count : (i + 1) * len(words) // count]) for i in range(count)]


def instance_of(schema: object, source: random.Random, depth: int = 0) -> object:
    """A value that roughly fits a JSON schema, for tool arguments and JSON answers."""
    if not isinstance(schema, dict) or depth > 8:
        return None
    if isinstance(choices := schema.get("enum"), list) and choices:
        return source.choice(choices)
    properties = schema.get("properties")
    if isinstance(properties, dict):
        return {str(name): instance_of(value, source, depth + 1) for name, value in properties.items()}
    if schema.get("type") == "array":
        return [instance_of(schema.get("items"), source, depth + 1)]
    return _SCALARS.get(str(schema.get("type")), "Oslo")


_SCALARS: dict[str, object] = {"integer": 7, "number": 2.5, "boolean": True, "null": None, "object": {}}
