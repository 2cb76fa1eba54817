"""What identifies keeps its identity, however long it is and whatever is in it."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groq_client.names import MAX_LENGTH, identity, shown_name

LONG = "x" * MAX_LENGTH


@pytest.mark.parametrize("text", ["", "a", "req_01", "Żółć 🦊", LONG, "a\u200bb", "a  b"])
def test_what_fits_is_left_alone(text: str) -> None:
    assert identity(text) == shown_name(text) == text


def test_two_that_differ_stay_two() -> None:
    ids = ["ab", "a\0b", "a\0\0b", "a\ud800b", "a\udfffb", "a\x1fb", f"{LONG}a", f"{LONG}b", f"{LONG}b\0", "a?b"]
    for one, other in combinations(ids, 2):
        assert identity(one) != identity(other)
    assert shown_name(f"{LONG}a") != shown_name(f"{LONG}b")


def test_nothing_remains_nothing() -> None:
    assert {identity(nothing) for nothing in ("", " ", "\n", "\0", " \0 \ud800")} == {""}
    assert shown_name("\0") == ""


@given(st.text(), st.integers(20, 40))
def test_any_text_can_be_kept_and_is_changed_once(text: str, length: int) -> None:
    for kept in (identity(text, length), shown_name(text)):
        assert len(kept) <= max(length, MAX_LENGTH)
        assert "\0" not in kept
        kept.encode()
    assert len(identity(text, length)) <= length
    assert identity(identity(text, length), length) == identity(text, length)
