"""The cost of a usage at a price, computed exactly and without a database. No other code computes costs."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Literal, NamedTuple, Protocol

NANO = Decimal("1e-9")
THOUSAND = 1_000
HOUR = 3_600
COMMON_UNIT = THOUSAND * HOUR
"""Prices are per 1,000 or per 3,600 units. Sums are kept multiplied by COMMON_UNIT and divided once at the end, because
a division by 3,600 is not exact."""
BATCH_TIER = "batch"
BATCH_SHARE = Decimal("0.5")

# The precision is enough for every sum and product of 2^63 tokens at the highest price. Only the division at the end
# can be inexact, and its error is too small to look like a tie between two nano-dollars.
EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)


class Usage(Protocol):
    """The billable part of a call. Cached tokens are a subset of the input tokens."""

    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def audio_seconds(self) -> Decimal: ...
    @property
    def characters(self) -> int: ...


class Rates(Protocol):
    """The rates of a price, as ``pricing.models.Price`` has them."""

    enabled: bool
    input_usd_per_1k_tokens: Decimal | None
    output_usd_per_1k_tokens: Decimal | None
    cached_input_usd_per_1k_tokens: Decimal | None
    audio_usd_per_hour: Decimal | None
    audio_minimum_seconds: int
    usd_per_1k_characters: Decimal | None


Unit = Literal["input", "cached", "output", "audio", "characters", "tool"]


class Charge(NamedTuple):
    """One line of a cost: an amount of a unit at a rate. A cost is the sum of its charges, rounded once."""

    unit: Unit
    amount: int | Decimal
    """The billed tokens, characters, seconds or uses. Input excludes cached tokens; audio has a minimum."""
    rate: Decimal | None
    """US dollars for ``per`` units, in the tier of the call. None if the unit has no price."""
    per: int
    full_rate: Decimal | None
    """The rate without the discount for cached tokens. Other units have no discount."""
    tool: str = ""
    """The name of the built-in tool, for the unit ``tool``."""

    def at(self, rate: Decimal) -> Decimal:
        """The dollars at this rate multiplied by COMMON_UNIT, which is exact."""
        amount, factor = self.amount, COMMON_UNIT // self.per
        # Whole numbers are multiplied as such, which is exact as well and takes half as long.
        return EXACT.multiply(amount * factor if isinstance(amount, int) else EXACT.multiply(amount, factor), rate)

    @property
    def dollars(self) -> Fraction | None:
        """The exact, unrounded US dollars; None without a rate."""
        return None if self.rate is None else Fraction(self.at(self.rate)) / COMMON_UNIT

    @property
    def saved(self) -> Fraction:
        """The exact US dollars that the discount saves; zero without a discount."""
        if self.rate is None or self.full_rate is None:
            return Fraction(0)
        return Fraction(EXACT.subtract(self.at(self.full_rate), self.at(self.rate))) / COMMON_UNIT


def cost(usage: Usage, price: Rates | None, *, service_tier: str = "") -> Decimal | None:
    """The cost in US dollars, rounded once, half-even, to nano-dollars. None if the price is missing or disabled, or
    has no rate for a unit that was used.

    input/1000 × input price + output/1000 × output price + audio hours × audio price + characters/1000 × their price.
    Cached tokens cost their own price, or the input price if they have none. The batch tier costs 50 %, which does not
    add to the cache discount: every input token, cached or not, costs half the input price (Groq's batch page). Audio
    is billed by its length, at least ``audio_minimum_seconds`` per request.

    ValueError for an amount that is negative or not finite. If there are more cached than input tokens, all input
    tokens count as cached.
    """
    return total_cost([(usage, price)], service_tier=service_tier)


def total_cost(
    parts: Iterable[tuple[Usage, Rates | None]], *, tools: Iterable[Charge] = (), service_tier: str = ""
) -> Decimal | None:
    """The cost in US dollars of several usages (a compound call), each at its own price, and of built-in tools, rounded
    once. None if any usage has no price. The cost leaves out tools without a rate, which its display has to say.
    """
    total = Decimal(0)
    for usage, price in parts:
        _check(usage)
        if price is None or not price.enabled:
            return None
        for charge in charges(usage, price, service_tier=service_tier):
            if charge.rate is None:
                return None
            total = EXACT.add(total, charge.at(charge.rate))
    for tool in tools:
        if tool.rate is not None:
            total = EXACT.add(total, tool.at(tool.rate))
    return EXACT.divide(total, COMMON_UNIT).quantize(NANO, context=EXACT)


def charges(usage: Usage, price: Rates, *, service_tier: str = "") -> tuple[Charge, ...]:
    """The charges for a usage at this price, one for each unit that was used."""
    lines = []
    cached = min(usage.cached_tokens, usage.input_tokens)
    input_rate = _in_tier(price.input_usd_per_1k_tokens, service_tier)
    cached_rate = price.cached_input_usd_per_1k_tokens
    if service_tier == BATCH_TIER or cached_rate is None:
        cached_rate = input_rate
    if uncached := usage.input_tokens - cached:
        lines.append(Charge("input", uncached, input_rate, THOUSAND, input_rate))
    if cached:
        lines.append(Charge("cached", cached, cached_rate, THOUSAND, input_rate))
    if usage.output_tokens:
        rate = _in_tier(price.output_usd_per_1k_tokens, service_tier)
        lines.append(Charge("output", usage.output_tokens, rate, THOUSAND, rate))
    if usage.audio_seconds:
        rate = _in_tier(price.audio_usd_per_hour, service_tier)
        seconds = max(usage.audio_seconds, Decimal(price.audio_minimum_seconds))
        lines.append(Charge("audio", seconds, rate, HOUR, rate))
    if usage.characters:
        rate = _in_tier(price.usd_per_1k_characters, service_tier)
        lines.append(Charge("characters", usage.characters, rate, THOUSAND, rate))
    return tuple(lines)


class _CachedInput(NamedTuple):
    """A usage of nothing but cached tokens."""

    cached_tokens: int
    input_tokens: int
    output_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)
    characters: int = 0


def saved_by_cache(cached_tokens: int, price: Rates, *, service_tier: str = "") -> Fraction:
    """The exact US dollars that cached tokens cost less than as many uncached ones at this price. Savings are
    proportional to tokens, so the tokens of many calls at one price and tier can be given as their sum."""
    usage = _CachedInput(cached_tokens, cached_tokens)
    return sum((charge.saved for charge in charges(usage, price, service_tier=service_tier)), Fraction(0))


def _in_tier(rate: Decimal | None, service_tier: str) -> Decimal | None:
    return rate if rate is None or service_tier != BATCH_TIER else EXACT.multiply(rate, BATCH_SHARE)


def tool_charges(uses: Mapping[str, int], rates: Mapping[str, Decimal]) -> tuple[Charge, ...]:
    """The charges for built-in tools in the order of their names: uses/1000 × the tool's rate. The rate is the same in
    every tier, because the batch discount is for tokens and audio. ValueError for a negative number of uses.
    """
    if min(uses.values(), default=0) < 0:
        raise ValueError(f"These uses cannot be: {dict(uses)}")
    return tuple(
        Charge("tool", count, rates.get(tool), THOUSAND, rates.get(tool), tool)
        for tool, count in sorted(uses.items())
        if count
    )


def billing_tier(operation: str, service_tier: str) -> str:
    """The tier that a call is charged in. Requests of a batch name no tier and are charged in the batch tier."""
    return BATCH_TIER if operation == "batch" else service_tier


def rounded(dollars: Fraction) -> Decimal:
    """The dollars rounded to nano-dollars, half-even, as every cost is."""
    return Decimal(round(dollars / Fraction(NANO))).scaleb(-9, EXACT)


def _check(usage: Usage) -> None:
    amounts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.characters)
    seconds = usage.audio_seconds
    if min(amounts) < 0 or (seconds and not (seconds.is_finite() and seconds > 0)):
        raise ValueError(f"This usage cannot be: {usage}")
