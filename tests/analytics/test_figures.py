"""Numbers as people read them."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.display import figures, missing_cost
from analytics.display.change import change, change_in_points
from analytics.display.colors import COLORS, color_of, colors_apart
from analytics.pages.overview.cards import spark
from analytics.pages.overview.charts import data
from analytics.reports import Point, Row, Totals
from pricing.catalogue import listed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "$0.00"),
        ("1234.561", "$1,234.56"),
        ("1", "$1.00"),
        ("0.5", "$0.50"),
        ("0.0123456", "$0.01235"),
        ("0.001234", "$0.001234"),
        ("0.000000001", "$0.000000001"),
        ("0.999999", "$1.00"),
    ],
)
def test_money(value: str, text: str) -> None:
    assert figures.money(Decimal(value)) == text


@given(st.integers(min_value=1, max_value=10**18))
def test_money_that_exists_is_never_shown_as_none(nano: int) -> None:
    assert any(digit in "123456789" for digit in figures.money(Decimal(nano).scaleb(-9)))


def test_exact_money_has_every_digit() -> None:
    assert figures.exact_money(Decimal("1234.567890123")) == "$1,234.567890123"
    assert figures.exact_money(Decimal("0.10")) == "$0.10"
    assert figures.exact_money(None) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (9_999, "9,999"), (10_000, "10.0K"), (999_499, "999K"), (999_600, "1.00M"), (12_345_678, "12.3M"),
        (3 * 10**9, "3.00B"), (5 * 10**15, "5,000T"),
    ],
)  # fmt: skip
def test_compact(value: int, text: str) -> None:
    assert figures.compact(value) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "–"), (0, "0 ms"), (0.2, "<1 ms"), (412.4, "412 ms"), (999.7, "1.00 s"), (12_340, "12.3 s"),
        (119_000, "119 s"), (125_000, "2 m 5 s"),
    ],
)  # fmt: skip
def test_duration(milliseconds: float | None, text: str) -> None:
    assert figures.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0, "0%"),
        (0.0004, "<0.1%"),
        (0.0312, "3.1%"),
        (0.03, "3.0%"),
        (0.5, "50.0%"),
        (4, "400.0%"),
        (0.99999, ">99.9%"),
        (1, "100%"),
    ],
)
def test_percent(share: float | None, text: str) -> None:
    assert figures.percent(share) == text


def test_days_say_nothing_twice() -> None:
    assert figures.days(date(2026, 11, 2), date(2026, 11, 2)) == "2 Nov 2026"
    assert figures.days(date(2026, 11, 2), date(2026, 11, 9)) == "2 – 9 Nov 2026"
    assert figures.days(date(2026, 10, 24), date(2026, 11, 22)) == "24 Oct – 22 Nov 2026"
    assert figures.days(date(2025, 12, 30), date(2026, 1, 5)) == "30 Dec 2025 – 5 Jan 2026"


def test_a_change_says_whether_it_is_good() -> None:
    dearer, faster = change(Decimal(3), Decimal(2), "bad"), change(100.0, 200.0, "bad")
    assert dearer
    assert (dearer.text, dearer.sentiment, dearer.direction) == ("50.0%", "bad", "up")
    assert faster
    assert (faster.text, faster.sentiment, faster.direction) == ("50.0%", "good", "down")


def test_a_change_from_nothing_is_new_and_from_nothing_to_nothing_is_none() -> None:
    fresh = change(5, 0, "good")
    assert fresh
    assert fresh.text == "new"
    assert change(0, 0) is None
    assert change(None, 3) is None


def test_a_rate_changes_in_percentage_points() -> None:
    worse = change_in_points(0.031, 0.02, "bad")
    assert worse
    assert (worse.text, worse.sentiment) == ("1.1 pp", "bad")
    same = change_in_points(0.02, 0.02, "bad")
    assert same
    assert (same.text, same.sentiment) == ("no change", "neutral")


def test_a_spark_fits_its_box_however_long_the_range() -> None:
    points = [Point(date(2026, 1, 1), None, Totals(requests=n)) for n in range(3_660)]
    pairs = [pair.split(",") for pair in spark(points, lambda t: t.requests).split()]
    assert len(pairs) <= 70
    assert all(0 <= float(x) <= 100 and 0 <= float(y) <= 30 for x, y in pairs)
    assert spark(points[:1], lambda t: t.requests) == ""


def test_a_models_colour_never_changes() -> None:
    assert color_of("openai/gpt-oss-120b") == 1
    assert color_of("somebody/something-new") == color_of("somebody/something-new")
    assert all(1 <= color_of(f"model-{n}") <= COLORS for n in range(100))


def test_no_two_of_the_first_models_of_the_catalogue_share_a_colour() -> None:
    """The file lists the models that can be called first, and those that were retired long ago last."""
    assert len({color_of(model) for model in listed()[:20]}) == 20


def test_a_model_keeps_its_colour_whatever_is_shown_beside_it() -> None:
    """Another page, range or filter shows it among others, and a chart shows the first eight of many."""
    for model in (*listed()[:20], *(f"somebody/new-{n}" for n in range(50))):
        assert colors_apart([*listed()[:20], model])[model] == colors_apart([model])[model] == color_of(model)
    rows = [Row(model, model, Totals(requests=1)) for model in (*listed()[5:12], "somebody/new", *listed()[12:20])]
    parts = data(Totals(), [], rows, lambda row: f"?model={row.value}", "", sees_cost=False)["models"]
    assert [part["color"] for part in parts] == [*(color_of(str(row.value)) for row in rows[:8]), 0]


def test_models_that_are_shown_together_have_different_colours() -> None:
    unknown = [f"somebody/new-{n}" for n in range(COLORS - 2)]
    assert len({color_of(model) for model in unknown}) < len(unknown)  # By themselves, some would share one.
    found = colors_apart([*unknown, "openai/gpt-oss-120b", "openai/gpt-oss-20b"])
    assert len(set(found.values())) == len(found) == COLORS
    assert (found["openai/gpt-oss-120b"], found["openai/gpt-oss-20b"]) == (1, 3)
    assert set(colors_apart(f"somebody/new-{n}" for n in range(100)).values()) == set(range(1, COLORS + 1))


def test_names_are_escaped_for_plotly_alone() -> None:
    rows = [Row(name, name, Totals(requests=1)) for name in ("<b>x</b>", "R&D 'a'")]
    slices = data(Totals(), [], rows, lambda row: f"?model={row.value}", "", sees_cost=False)["models"]
    assert [part["name"] for part in slices] == ["<b>x</b>", "R&D 'a'"]
    assert [part["label"] for part in slices] == ["&lt;b&gt;x&lt;/b&gt;", "R&amp;D 'a'"]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01, "<0.1"), (0.05, "0.1"), (2.0, "2"), (33.33, "33.3"), (12_345.6, "12.3K")]
)
def test_an_average_is_never_shown_as_zero(value: float, text: str) -> None:
    assert figures.average(value) == text


@pytest.mark.parametrize(("models", "last"), [(8, "m7"), (9, "1 other"), (10, "2 others")])
def test_the_rest_of_the_models_is_counted_in_words(models: int, last: str) -> None:
    rows = [Row(f"m{n}", f"m{n}", Totals(requests=100 - n)) for n in range(models)]
    assert data(Totals(), [], rows, lambda row: "", "", sees_cost=False)["models"][-1]["name"] == last


def test_charts_know_whose_cost_is_a_part() -> None:
    rows = [
        Row("a", "a", Totals(requests=3, unpriced=2, cost_usd=Decimal(1))),
        Row("b", "b", Totals(requests=1, cost_usd=Decimal(2))),
    ]
    points = [Point(date(2026, 1, 1), None, Totals(requests=4, unpriced=2, cost_usd=Decimal(3)))]
    shown = data(Totals(), points, rows, lambda row: "", "", sees_cost=True)
    assert [part["unpriced"] for part in shown["models"]] == [2, 0]
    assert shown["series"]["unpriced"] == [2]
    hidden = data(Totals(), points, rows, lambda row: "", "", sees_cost=False)
    assert "unpriced" not in f"{hidden}"


@pytest.mark.parametrize(
    ("unpriced", "cost", "text"), [(0, "0", "$0.00"), (0, "1.5", "$1.50"), (2, "1.5", "≥ $1.50"), (2, "0", "–")]
)
def test_a_sum_that_lacks_costs_says_so(unpriced: int, cost: str, text: str) -> None:
    assert missing_cost.told(Totals(unpriced=unpriced, cost_usd=Decimal(cost))) == text
