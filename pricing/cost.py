"""What a usage costs at a price. Pure and exact; the only place that computes cost."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Literal, NamedTuple, Protocol

NANO = Decimal("1e-9")
THOUSAND = 1_000
HOUR = 3_600
COMMON_UNIT = THOUSAND * HOUR
"""Prices are per 1,000 or per 3,600 of something. Sums are kept this many times too large and divided at the end."""
BATCH_TIER = "batch"
BATCH_SHARE = Decimal("0.5")

# Wide enough for every sum and product of 2^63 tokens at the highest price. Only the division at the end can be
# inexact, and then never by enough to look like a tie between two nano-dollars.
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
    """The part of a price that says how much; ``pricing.models.Price`` is one."""

    enabled: bool
    input_usd_per_1k_tokens: Decimal | None
    output_usd_per_1k_tokens: Decimal | None
    cached_input_usd_per_1k_tokens: Decimal | None
    audio_usd_per_hour: Decimal | None
    audio_minimum_seconds: int
    usd_per_1k_characters: Decimal | None


Unit = Literal["input", "cached", "output", "audio", "characters"]


class Charge(NamedTuple):
    """One line of a cost: so much of something, at a rate. A cost is the sum of its charges, rounded once."""

    unit: Unit
    amount: int | Decimal
    """Tokens, characters or seconds that are billed. Input is without what was cached; audio has a minimum."""
    rate: Decimal | None
    """US dollars for ``per`` of them, in the tier of the call. None: no price, so that the call has none."""
    per: int
    full_rate: Decimal | None
    """The rate without the discount that only cached tokens have."""

    @property
    def multiple(self) -> Decimal | None:
        """The dollars, COMMON_UNIT times too many: exact, where a division would not be."""
        return None if self.rate is None else self._at(self.rate)

    @property
    def dollars(self) -> Fraction | None:
        """Exact and unrounded."""
        return None if self.multiple is None else Fraction(self.multiple) / COMMON_UNIT

    @property
    def saved(self) -> Fraction:
        """Dollars less than at the full rate, exact; zero where there is no discount."""
        if self.rate is None or self.full_rate is None:
            return Fraction(0)
        return Fraction(EXACT.subtract(self._at(self.full_rate), self._at(self.rate))) / COMMON_UNIT

    def _at(self, rate: Decimal) -> Decimal:
        return EXACT.multiply(EXACT.multiply(self.amount, COMMON_UNIT // self.per), rate)


def cost(usage: Usage, price: Rates | None, *, service_tier: str = "") -> Decimal | None:
    """US dollars, rounded once, half-even, to nano-dollars. None where it has no price: missing, disabled or not for
    a unit that was used.

    input/1000 × input price + output/1000 × output price + audio hours × audio price + characters/1000 × their price.
    Cached tokens cost their own price, or the input price where that is empty. The batch tier costs 50 %, which does
    not stack with the cache discount: every input token, cached or not, costs half the input price (Groq's batch page).
    Audio is billed by its length, at least ``audio_minimum_seconds`` a request.

    ValueError for a negative or not finite amount. More cached than input tokens count as all of them.
    """
    return total_cost([(usage, price)], service_tier=service_tier)


def total_cost(parts: Iterable[tuple[Usage, Rates | None]], *, service_tier: str = "") -> Decimal | None:
    """The cost of several usages, each at its own price (a compound call), rounded once. None if any has no price."""
    total = Decimal(0)
    for usage, price in parts:
        _check(usage)
        if price is None or not price.enabled:
            return None
        for charge in charges(usage, price, service_tier=service_tier):
            multiple = charge.multiple
            if multiple is None:
                return None
            total = EXACT.add(total, multiple)
    return EXACT.divide(total, COMMON_UNIT).quantize(NANO, context=EXACT)


def charges(usage: Usage, price: Rates, *, service_tier: str = "") -> tuple[Charge, ...]:
    """What a usage is charged for at this price, a line for each unit that was used: how its cost comes about."""
    is_batch = service_tier == BATCH_TIER

    def in_tier(rate: Decimal | None) -> Decimal | None:
        return EXACT.multiply(rate, BATCH_SHARE) if is_batch and rate is not None else rate

    lines = []
    cached = min(usage.cached_tokens, usage.input_tokens)
    input_rate, cached_rate = in_tier(price.input_usd_per_1k_tokens), price.cached_input_usd_per_1k_tokens
    if is_batch or cached_rate is None:
        cached_rate = input_rate
    if uncached := usage.input_tokens - cached:
        lines.append(Charge("input", uncached, input_rate, THOUSAND, input_rate))
    if cached:
        lines.append(Charge("cached", cached, cached_rate, THOUSAND, input_rate))
    if usage.output_tokens:
        rate = in_tier(price.output_usd_per_1k_tokens)
        lines.append(Charge("output", usage.output_tokens, rate, THOUSAND, rate))
    if usage.audio_seconds:
        rate = in_tier(price.audio_usd_per_hour)
        seconds = max(usage.audio_seconds, Decimal(price.audio_minimum_seconds))
        lines.append(Charge("audio", seconds, rate, HOUR, rate))
    if usage.characters:
        rate = in_tier(price.usd_per_1k_characters)
        lines.append(Charge("characters", usage.characters, rate, THOUSAND, rate))
    return tuple(lines)


def billing_tier(operation: str, service_tier: str) -> str:
    """The tier that a call is charged in: batches name none of their own."""
    return BATCH_TIER if operation == "batch" else service_tier


def rounded(dollars: Fraction) -> Decimal:
    """Half-even to nano-dollars, as every cost is."""
    return Decimal(round(dollars / Fraction(NANO))).scaleb(-9, EXACT)


def _check(usage: Usage) -> None:
    amounts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.characters)
    if min(amounts) < 0 or not usage.audio_seconds.is_finite() or usage.audio_seconds < 0:
        raise ValueError(f"This usage cannot be: {usage}")
