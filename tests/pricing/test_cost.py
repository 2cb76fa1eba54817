"""What a usage costs, against plain fractions."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.cost import charges, cost, rounded, tool_charges, total_cost
from tests.pricing.prices import Charged, Used

COUNTS = st.integers(0, 2**63 - 1)
RATES = st.integers(0, 1_000 * 10**9).map(lambda nano: Decimal(nano).scaleb(-9))
SECONDS = st.integers(0, 10**9).map(lambda ms: Decimal(ms).scaleb(-3))
USAGES = st.builds(Used, COUNTS, COUNTS, COUNTS, SECONDS, COUNTS)
PRICES = st.builds(Charged, RATES, RATES, st.none() | RATES, RATES, st.integers(0, 600), RATES)
TOOLS = st.sampled_from(["web_search", "browser_open", "code_interpreter", "x"])
USES = st.dictionaries(TOOLS, st.integers(0, 10**9))
TOOL_RATES = st.dictionaries(TOOLS, RATES)
TIERS = st.sampled_from(["", "on_demand", "flex", "batch"])


def exact_cost(usage: Used, price: Charged, tier: str) -> Fraction:
    """The rules, spelled out in fractions."""
    share = Fraction(1, 2) if tier == "batch" else Fraction(1)
    input_rate = Fraction(price.input_usd_per_1k_tokens or 0) * share
    cached_rate = input_rate
    if price.cached_input_usd_per_1k_tokens is not None and tier != "batch":
        cached_rate = Fraction(price.cached_input_usd_per_1k_tokens)
    cached = min(usage.cached_tokens, usage.input_tokens)
    seconds = max(Fraction(usage.audio_seconds), Fraction(price.audio_minimum_seconds)) if usage.audio_seconds else 0
    return (
        Fraction(usage.input_tokens - cached, 1000) * input_rate
        + Fraction(cached, 1000) * cached_rate
        + Fraction(usage.output_tokens, 1000) * Fraction(price.output_usd_per_1k_tokens or 0) * share
        + Fraction(seconds) / 3600 * Fraction(price.audio_usd_per_hour or 0) * share
        + Fraction(usage.characters, 1000) * Fraction(price.usd_per_1k_characters or 0) * share
    )


@given(USAGES, PRICES, TIERS)
def test_the_cost_is_exact_and_rounded_once(usage: Used, price: Charged, tier: str) -> None:
    found = cost(usage, price, service_tier=tier)
    assert found is not None
    assert int(found.scaleb(9)) == round(exact_cost(usage, price, tier) * 10**9)
    assert found.as_tuple().exponent == -9


@given(st.lists(st.tuples(USAGES, PRICES), max_size=4), TIERS)
def test_the_parts_of_a_compound_call_are_rounded_together(parts: list[tuple[Used, Charged]], tier: str) -> None:
    expected = sum((exact_cost(usage, price, tier) for usage, price in parts), Fraction(0))
    found = total_cost(parts, service_tier=tier)
    assert found is not None
    assert int(found.scaleb(9)) == round(expected * 10**9)


@given(st.lists(st.tuples(USAGES, PRICES), max_size=4), TIERS)
def test_the_charges_add_up_to_the_cost(parts: list[tuple[Used, Charged]], tier: str) -> None:
    lines = [charge for usage, price in parts for charge in charges(usage, price, service_tier=tier)]
    assert None not in [line.dollars for line in lines]
    assert rounded(sum((line.dollars or Fraction(0) for line in lines), Fraction(0))) == total_cost(
        parts, service_tier=tier
    )


@given(USAGES, PRICES, TIERS)
def test_what_was_saved_is_the_difference_to_full_input_prices(usage: Used, price: Charged, tier: str) -> None:
    full = replace(price, cached_input_usd_per_1k_tokens=None)
    saved = sum(charge.saved for charge in charges(usage, price, service_tier=tier))
    assert saved == exact_cost(usage, full, tier) - exact_cost(usage, price, tier)


@given(USAGES, PRICES)
def test_cached_tokens_never_cost_more_than_their_own_price_says(usage: Used, price: Charged) -> None:
    free = replace(price, cached_input_usd_per_1k_tokens=Decimal(0))
    full = replace(price, cached_input_usd_per_1k_tokens=None)
    cheap, dear = cost(usage, free), cost(usage, full)
    assert cheap is not None
    assert dear is not None
    assert cheap <= dear


def test_groqs_own_example() -> None:
    """gpt-oss-120b: $0.15 in, $0.075 cached, $0.60 out per 1M."""
    price = Charged(Decimal("0.00015"), Decimal("0.0006"), Decimal("0.000075"))
    usage = Used(1_000_000, 500_000, 400_000)
    assert cost(usage, price) == Decimal("0.42")  # 0.09 + 0.03 + 0.30
    assert cost(usage, price, service_tier="batch") == Decimal("0.225")  # 0.075 + 0.15, cached or not


@pytest.mark.parametrize(("nano", "whole"), [("1/2", 0), ("3/2", 2), ("1/3", 0), ("51/100", 1), (str(10**40), 10**40)])
def test_dollars_are_rounded_half_even_to_nano_dollars(nano: str, whole: int) -> None:
    assert rounded(Fraction(nano) / 10**9) * 10**9 == whole


@pytest.mark.parametrize(
    ("tokens", "nano"),
    [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4), (1001, 500), (1003, 502)],
)
def test_ties_go_to_the_even_nano_dollar(tokens: int, nano: int) -> None:
    found = cost(Used(tokens), Charged(Decimal("0.0000005")))
    assert found == Decimal(nano).scaleb(-9)


def test_a_tie_made_of_thirds_is_seen() -> None:
    """One part of 1/3 and one of 1/6 nano-dollar make a half: it goes to 0, and a bit more goes to 1."""
    third = Charged(audio_usd_per_hour=Decimal("0.000001200"), audio_minimum_seconds=0)  # 1/3 nano per second
    parts = [(Used(audio_seconds=Decimal(1)), third), (Used(audio_seconds=Decimal("0.5")), third)]
    assert total_cost(parts) == 0
    more = [*parts, (Used(1), Charged(Decimal("0.000000001")))]
    assert total_cost(more) == Decimal("0.000000001")


@pytest.mark.parametrize(("seconds", "billed"), [("0", 0), ("0.001", 10), ("9.999", 10), ("10", 10), ("10.5", 10.5)])
def test_audio_is_billed_for_ten_seconds_at_least(seconds: str, billed: float) -> None:
    price = Charged(audio_usd_per_hour=Decimal("0.036"))
    found = cost(Used(audio_seconds=Decimal(seconds)), price)
    assert found == Decimal(str(billed)) / 100_000


def test_batch_audio_and_characters_cost_half() -> None:
    price = Charged(audio_usd_per_hour=Decimal("0.111"), usd_per_1k_characters=Decimal("0.022"))
    usage = Used(audio_seconds=Decimal(3600), characters=1000)
    assert cost(usage, price) == Decimal("0.133")
    assert cost(usage, price, service_tier="batch") == Decimal("0.0665")


def test_more_cached_than_input_tokens_count_as_all_of_them() -> None:
    price = Charged(Decimal(2), cached_input_usd_per_1k_tokens=Decimal(1))
    assert cost(Used(1000, cached_tokens=5000), price) == 1


def test_the_largest_numbers() -> None:
    price = Charged(Decimal(1000), Decimal(1000))
    assert cost(Used(2**63 - 1, 2**63 - 1), price) == 2 * (2**63 - 1)


def test_the_lines_of_a_cost() -> None:
    price = Charged(Decimal(3), Decimal(5), Decimal(1), audio_usd_per_hour=Decimal(36))
    lines = charges(Used(1000, 0, 400, audio_seconds=Decimal(4)), price)
    assert [(line.unit, line.amount, line.rate, line.dollars, line.saved) for line in lines] == [
        ("input", 600, 3, Fraction(18, 10), 0),
        ("cached", 400, 1, Fraction(4, 10), Fraction(8, 10)),
        ("audio", 10, 36, Fraction(1, 10), 0),
    ]


def test_a_line_without_a_price_says_so() -> None:
    (line,) = charges(Used(1), Charged())
    assert (line.rate, line.dollars, line.saved) == (None, None, 0)


def test_without_a_price_there_is_no_cost() -> None:
    assert cost(Used(10), None) is None
    assert cost(Used(), None) is None


def test_a_disabled_price_is_no_price() -> None:
    assert cost(Used(10), Charged(Decimal(1), Decimal(1), enabled=False)) is None


@pytest.mark.parametrize(
    "usage",
    [Used(1), Used(output_tokens=1), Used(audio_seconds=Decimal("0.1")), Used(characters=1), Used(1, cached_tokens=1)],
)
def test_a_unit_without_a_price_makes_the_call_unpriced(usage: Used) -> None:
    assert cost(usage, Charged()) is None


def test_units_that_were_not_used_need_no_price() -> None:
    assert cost(Used(1000), Charged(Decimal(1))) == 1
    assert cost(Used(1000, cached_tokens=1000), Charged(cached_input_usd_per_1k_tokens=Decimal(1))) == 1


def test_one_unpriced_part_makes_a_compound_call_unpriced() -> None:
    assert total_cost([(Used(1000), Charged(Decimal(1))), (Used(1), None)]) is None


def test_nothing_used_costs_nothing() -> None:
    assert cost(Used(), Charged()) == 0


@pytest.mark.parametrize(
    "usage",
    [
        Used(-1),
        Used(output_tokens=-1),
        Used(10, cached_tokens=-1),
        Used(characters=-1),
        *(Used(audio_seconds=Decimal(text)) for text in ("-0.001", "NaN", "sNaN", "Infinity")),
    ],
)
def test_impossible_usage_is_refused(usage: Used) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        cost(usage, Charged(Decimal(1), Decimal(1)))


# Built-in tools


@given(st.lists(st.tuples(USAGES, PRICES), max_size=3), USES, TOOL_RATES, TIERS)
def test_tools_are_added_by_use_and_rounded_with_the_rest(
    parts: list[tuple[Used, Charged]], uses: dict[str, int], rates: dict[str, Decimal], tier: str
) -> None:
    tokens = sum((exact_cost(usage, price, tier) for usage, price in parts), Fraction(0))
    fees = sum((Fraction(count, 1000) * Fraction(rates.get(tool, 0)) for tool, count in uses.items()), Fraction(0))
    lines = tool_charges(uses, rates)
    found = total_cost(parts, tools=lines, service_tier=tier)
    assert found is not None
    assert int(found.scaleb(9)) == round((tokens + fees) * 10**9)
    assert {line.tool for line in lines if line.rate is None} == {name for name, n in uses.items() if n} - rates.keys()


def test_the_lines_of_tools() -> None:
    lines = tool_charges({"visit": 3, "search": 2, "none": 0}, {"search": Decimal(5)})
    assert [(line.unit, line.tool, line.amount, line.rate, line.dollars) for line in lines] == [
        ("tool", "search", 2, 5, Fraction(1, 100)),
        ("tool", "visit", 3, None, None),
    ]


def test_a_fee_does_not_make_an_unpriced_usage_priced() -> None:
    assert total_cost([(Used(1), None)], tools=tool_charges({"search": 1}, {"search": Decimal(5)})) is None


def test_uses_below_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        tool_charges({"search": -1}, {})
