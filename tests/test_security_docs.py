"""docs/security.md has a line for each requirement of ASVS 5.0.0, levels 1 and 2, and all tests that it names exist."""

import re
from pathlib import Path

from accounts.passwords import OWN_WORDS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "security.md").read_text()
LEVEL_1 = """
V1.2:1-5 V1.3:1-2 V1.5:1 V2.1:1 V2.2:1-2 V2.3:1 V3.2:1-2 V3.3:1 V3.4:1-2 V3.5:1-3 V4.1:1 V4.4:1 V5.2:1-2 V5.3:1-2
V6.1:1 V6.2:1-8 V6.3:1-2 V6.4:1-2 V7.2:1-4 V7.4:1-2 V8.1:1 V8.2:1-2 V8.3:1 V9.1:1-3 V9.2:1 V10.4:1-5 V11.3:1-2 V11.4:1
V12.1:1 V12.2:1-2 V13.4:1 V14.2:1 V14.3:1 V15.1:1 V15.2:1 V15.3:1
"""
LEVEL_2 = """
V1.1:1-2 V1.2:6-9 V1.3:3-11 V1.4:1-3 V1.5:2 V2.1:2-3 V2.2:3 V2.3:2-4 V2.4:1 V3.3:2-4 V3.4:3-6 V3.5:4-5 V3.7:1-2
V4.1:2-3 V4.2:1 V4.3:1-2 V4.4:2-4 V5.1:1 V5.2:3 V5.4:1-3 V6.1:2-3 V6.2:9-12 V6.3:3-4 V6.4:3-4 V6.5:1-5 V6.6:1-3
V6.8:1-4 V7.1:1-3 V7.3:1-2 V7.4:3-5 V7.5:1-2 V7.6:1-2 V8.1:2 V8.2:3 V8.4:1 V9.2:2-4 V10.1:1-2 V10.2:1-2 V10.3:1-4
V10.4:6-11 V10.5:1-5 V10.6:1-2 V10.7:1-3 V11.1:1-2 V11.2:1-3 V11.3:3 V11.4:2-4 V11.5:1 V11.6:1 V12.1:2-3 V12.3:1-4
V13.1:1 V13.2:1-5 V13.3:1-2 V13.4:2-5 V14.1:1-2 V14.2:2-4 V14.3:2-3 V15.1:2-3 V15.2:2-3 V15.3:2-7 V16.1:1 V16.2:1-5
V16.3:1-4 V16.4:1-3 V16.5:1-3 V17.1:1 V17.2:1-4 V17.3:1-2
"""
"""The numbers of the published text (OWASP_Application_Security_Verification_Standard_5.0.0_en.csv)."""


def numbers(sections: str) -> list[str]:
    found = []
    for word in sections.split():
        section, _, span = word.partition(":")
        first, _, last = span.partition("-")
        found += [f"{section}.{number}" for number in range(int(first), int(last or first) + 1)]
    return found


def lines() -> list[tuple[list[str], str]]:
    rows = re.findall(r"^\| (V[\d., V]+) \|(.*)$", DOCUMENT, re.MULTILINE)
    return [(requirements.split(", "), told) for requirements, told in rows]


def test_the_numbers_are_as_many_as_the_standard_has() -> None:
    assert (len(numbers(LEVEL_1)), len(numbers(LEVEL_2))) == (70, 183)


def test_every_requirement_has_one_line() -> None:
    told = sorted(requirement for requirements, _ in lines() for requirement in requirements)
    assert told == sorted(numbers(LEVEL_1) + numbers(LEVEL_2))


def test_every_line_has_a_test_or_says_why_not() -> None:
    excuses = ("does not apply", "**operator**", "**Deviation**", "make audit", "make lint", "configuration.md")
    assert [row for row, told in lines() if "`tests/" not in told and not any(text in told for text in excuses)] == []


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", DOCUMENT)
    assert len(named) > 100
    sources = {path: (ROOT / path).read_text() for path, _ in named}
    assert [f"{path}::{name}" for path, name in named if name and f"def {name}(" not in sources[path]] == []


def test_the_words_that_are_no_password_are_those_of_the_code() -> None:
    assert ", ".join(OWN_WORDS) in " ".join(DOCUMENT.split())
