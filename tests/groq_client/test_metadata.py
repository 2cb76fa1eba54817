"""Metadata: one bad value costs no other, and says in its place what was wrong with it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groq_client.metadata import MAX_BYTES, clean_metadata


class Unreadable:
    def __str__(self) -> str:
        raise LookupError


ENDLESS: dict[str, Any] = {"n": 1}
ENDLESS["self"] = ENDLESS
BOMB: Any = 1
for _ in range(7):
    BOMB = [BOMB] * 20


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (float("nan"), "dropped: NaN"),
        (float("-inf"), "dropped: -Infinity"),
        ("x" * 12_343, "dropped: 12,345 bytes, the limit is 4,096"),
        (10**5_000, "dropped: ValueError"),
        (Unreadable(), "dropped: LookupError"),
        (ENDLESS, {"n": 1, "self": "dropped: it contains itself"}),
        (BOMB, "dropped: too many values, the limit is 4,096 bytes"),
        (list(range(5_000)), "dropped: 5,000 values, the limit is 4,096 bytes"),
        ([[[[[[[[[1]]]]]]]]], [[[[[[[["dropped: nested deeper than 8 levels"]]]]]]]]),
        ([[1, float("nan"), "x" * 5_000]], [[1, "dropped: NaN", "dropped: 5,002 bytes, the limit is 4,096"]]),
        ({Unreadable(): 1, "b": 2}, {"_dropped": 1, "b": 2}),
    ],
    ids=str.split("nan infinity long digits unreadable endless bomb list deep nested key"),
)  # fmt: skip
def test_a_bad_value_is_dropped_alone_and_says_so(value: Any, kept: Any) -> None:
    assert clean_metadata({"before": 1, "bad": value, "after": {"a": [None, True]}}) == {
        "before": 1,
        "bad": kept,
        "after": {"a": [None, True]},
    }


def test_the_largest_go_first_where_all_together_are_too_much() -> None:
    metadata = {"a": "x" * 2_000, "b": {"c": "y" * 2_500, "d": "near"}, "e": "z" * 1_000, "f": 0}
    assert clean_metadata(metadata) == metadata | {
        "b": {"c": "dropped: 2,502 bytes, the limit of all is 4,096", "d": "near"}
    }


def test_of_ever_so_many_values_those_that_fit_are_kept_and_the_others_counted() -> None:
    for number in (1_000, 100_000):
        kept = clean_metadata({f"key {n}": n for n in range(number)})
        said = kept.pop("_dropped")
        assert len(kept) > 150
        assert said == f"dropped: {number - len(kept):,} values, the limit is 4,096 bytes"


def test_keys_that_are_too_long_stay_two() -> None:
    kept = clean_metadata({"k" * 300 + "a": 1, "k" * 300 + "b": 2})
    assert list(kept.values()) == [1, 2]
    assert {len(key) for key in kept} == {200}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3_000) | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=300), ANYTHING) | ANYTHING)
def test_whatever_is_said_becomes_small_json_and_is_changed_once(metadata: Any) -> None:
    kept = clean_metadata(metadata)
    written = json.dumps(kept, allow_nan=False, ensure_ascii=False).encode()
    assert len(written) <= MAX_BYTES
    assert b"\0" not in written
    assert clean_metadata(kept) == kept
