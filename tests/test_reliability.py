"""docs/reliability.md names a test for each threat, and all these tests exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = (ROOT / "docs" / "reliability.md").read_text()
LISTED = {*range(1, 17), *range(31, 42), *range(46, 52)}
"""The parts Recording, Analytics and Operation of the list of threats and faults."""


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TABLE)
    assert len(named) > len(LISTED)
    assert [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / path).read_text()] == []


def test_every_threat_has_its_line() -> None:
    lines = {int(number): line for number, line in re.findall(r"^\| (\d+) \|(.*)$", TABLE, re.MULTILINE)}
    assert set(lines) == LISTED
    assert [number for number, line in lines.items() if "`tests/" not in line] == []
