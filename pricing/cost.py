"""What a usage costs at a price. Pure and exact; the only place that computes cost."""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Protocol

NANO = Decimal("1e-9")
THOUSAND = Decimal(1_000)
HOUR = Decimal(3_600)
BATCH_TIER = "batch"
BATCH_SHARE = Decimal("0.5")

# Wide enough for 2^63 tokens at the highest price. Every step is exact but for a division by 3,600, which comes after
# its multiplication: an amount that lies exactly between two nano-dollars is then still seen as such.
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


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


def cost(usage: Usage, price: Rates | None, *, service_tier: str = "") -> Decimal | None:
    """US dollars, rounded once, half-even, to nano-dollars. None where it has no price: missing, disabled or not for
    a unit that was used.

    input/1000 × input price + output/1000 × output price + audio hours × audio price + characters/1000 × their price.
    Cached tokens cost their own price, or the input price where that is empty. The batch tier costs 50 %, which does
    not stack with the cache discount: a cached token costs the smaller of the two (Groq's pricing page).
    Audio is billed by its length, at least ``audio_minimum_seconds`` a request.
    """
    return total_cost([(usage, price)], service_tier=service_tier)


def total_cost(parts: Iterable[tuple[Usage, Rates | None]], *, service_tier: str = "") -> Decimal | None:
    """The cost of several usages, each at its own price (a compound call), rounded once. None if any has no price."""
    total = Decimal(0)
    for usage, price in parts:
        exact = _exact_cost(usage, price, service_tier)
        if exact is None:
            return None
        total = EXACT.add(total, exact)
    return total.quantize(NANO, context=EXACT)


def _exact_cost(usage: Usage, price: Rates | None, service_tier: str) -> Decimal | None:
    if price is None or not price.enabled:
        return None
    share = BATCH_SHARE if service_tier == BATCH_TIER else Decimal(1)
    total = Decimal(0)
    for amount, rate, unit in _charges(usage, price, share):
        if amount:
            if rate is None:
                return None
            total = EXACT.add(total, EXACT.divide(EXACT.multiply(Decimal(amount), rate), unit))
    return total


def _charges(usage: Usage, price: Rates, share: Decimal) -> tuple[tuple[int | Decimal, Decimal | None, Decimal], ...]:
    """Each amount, the price of its unit in this tier, and how many of the amount make a unit."""
    cached = min(usage.cached_tokens, usage.input_tokens)
    input_rate, cached_rate = _times(price.input_usd_per_1k_tokens, share), price.cached_input_usd_per_1k_tokens
    if cached_rate is None:
        cached_rate = input_rate
    elif input_rate is not None and share != 1:
        cached_rate = min(cached_rate, input_rate)
    seconds = max(usage.audio_seconds, Decimal(price.audio_minimum_seconds)) if usage.audio_seconds else Decimal(0)
    return (
        (usage.input_tokens - cached, input_rate, THOUSAND),
        (cached, cached_rate, THOUSAND),
        (usage.output_tokens, _times(price.output_usd_per_1k_tokens, share), THOUSAND),
        (seconds, _times(price.audio_usd_per_hour, share), HOUR),
        (usage.characters, _times(price.usd_per_1k_characters, share), THOUSAND),
    )


def _times(rate: Decimal | None, share: Decimal) -> Decimal | None:
    return None if rate is None else EXACT.multiply(rate, share)
