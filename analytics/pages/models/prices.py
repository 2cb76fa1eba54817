"""How the page Models shows and names prices."""

from dataclasses import dataclass

from analytics.filters.facets import DEFAULT_PROVIDER, MODEL
from analytics.reports.names import NONE_LABEL
from analytics.reports.prices import PriceOf
from analytics.reports.selection import Selection
from pricing.catalogue import Key
from pricing.fields import dollars
from pricing.models import Price


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate of a price, as text."""

    name: str
    text: str
    unit: str


def of_chosen_providers(prices: PriceOf, selection: Selection) -> PriceOf:
    """The prices of the providers that the page is about."""
    return {key: price for key, price in prices.items() if is_chosen(key[0], selection)}


def is_chosen(provider: str, selection: Selection) -> bool:
    """Whether the page is about a provider: one of the chosen ones or, without a choice, any."""
    return provider in selection.chosen.get("provider", (provider,))


def text_of(key: Key) -> str:
    """The text that stands for a model in the query string of this page. Models of Groq go without their provider."""
    provider, model = key
    return MODEL.text(model) if provider == DEFAULT_PROVIDER else f"{provider}:{MODEL.text(model)}"


def label_of(key: Key) -> str:
    """The name of a model on this page, with the provider if that is not Groq."""
    provider, model = key
    return (model or NONE_LABEL) if provider == DEFAULT_PROVIDER else f"{model or NONE_LABEL} ({provider})"


def rates(price: Price) -> tuple[Rate, ...]:
    """The rates of a price, per million tokens as in Groq's price list. Rates for built-in tools are only shown if
    there are no others. Empty for a disabled price."""
    if not price.enabled:
        return ()
    named = (
        ("in", price.input_usd_per_1k_tokens, 1_000, "1M"),
        ("out", price.output_usd_per_1k_tokens, 1_000, "1M"),
        ("audio", price.audio_usd_per_hour, 1, "hour"),
        ("characters", price.usd_per_1k_characters, 1_000, "1M"),
    )
    tokens = tuple(Rate(name, dollars(rate * count), unit) for name, rate, count, unit in named if rate is not None)
    return tokens or tuple(Rate(tool, dollars(rate), "1k") for tool, rate in sorted(price.tool_rates.items()))
