"""What a call would cost on every model, before anybody makes it.

The tokens are counted by the tokenizers of ``groq_client``, in this process. A prompt is neither stored nor logged.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.views.decorators.debug import sensitive_variables

from analytics.reports.prices import PriceOf, has_rates
from groq_client import chat_template
from groq_client.tokens import estimate_prompt, family_of
from pricing.catalogue import Catalogue, Key
from pricing.cost import cost
from pricing.models import Price

EXACT_TEMPLATES = (chat_template.HARMONY, chat_template.QWEN)
"""The templates whose models are counted in their own vocabularies."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The usage of one call that is not made."""

    input_tokens: int = 0
    output_tokens: int = 0
    characters: int = 0
    cached_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)


Usages = Callable[[Mapping[Key, Price]], Mapping[Key, Expected]]
"""The usage on each of the models with a price; models that the call is not for are left out."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of the call on one model, in US dollars."""

    key: Key
    usage: Expected
    is_exact: bool
    """Whether the model's own vocabulary counts the prompt; otherwise the nearest known one does."""
    cost: Decimal
    is_own: bool
    """Whether the price is an organization's own."""
    is_too_long: bool
    """Whether the prompt and the answer do not fit into the model's context, or the answer is longer than its longest
    one."""


@dataclass(frozen=True, slots=True)
class Estimates:
    rows: tuple[Estimate, ...]
    """The cheapest first."""
    retired: int
    """The number of models with a price that are left out, because nobody can call them any more."""
    others: int
    """The number of models that are left out, because such a call is not what they are charged for."""


def estimates(usages_on: Usages, prices: PriceOf, catalogue: Catalogue, today: date) -> Estimates:
    """The cost on each model that can be called and has a price."""
    priced = {key: price for key, price in prices.items() if price.enabled and has_rates(price)}
    offered = {key: price for key, price in priced.items() if not catalogue.facts(*key).is_retired_on(today)}
    rows = [
        Estimate(
            key=key,
            usage=usage,
            is_exact=bool(usage.characters) or family_of(key[1]).template in EXACT_TEMPLATES,
            cost=charged,
            is_own=offered[key].organization_id is not None,
            is_too_long=_is_too_long(usage, key, catalogue),
        )
        for key, usage in usages_on(offered).items()
        if (charged := cost(usage, offered[key])) is not None
    ]
    rows.sort(key=lambda row: (row.cost, row.key[1], row.key[0]))
    return Estimates(tuple(rows), len(priced) - len(offered), len(offered) - len(rows))


@sensitive_variables("body", "text")
def usages_of(body: Mapping[str, Any], text: str, output: int) -> Usages:
    """The usage of a request body with messages, and an answer of ``output`` tokens, on each model that reads text.
    ``text`` is what a model reads aloud. Models of one family share a count."""

    @sensitive_variables("body", "text")
    def usages(prices: Mapping[Key, Price]) -> dict[Key, Expected]:
        found: dict[Key, Expected] = {}
        counted: dict[tuple[str, str | None, bool], int] = {}
        for key, price in prices.items():
            if price.input_usd_per_1k_tokens is None and price.usd_per_1k_characters is not None:
                found[key] = Expected(characters=len(text))
            elif price.input_usd_per_1k_tokens is not None:
                family = family_of(key[1])
                way = (family.template.name, family.column, family.qwen)
                if way not in counted:
                    counted[way] = estimate_prompt(body, key[1])
                found[key] = Expected(input_tokens=counted[way], output_tokens=output)
        return found

    return usages


def _is_too_long(usage: Expected, key: Key, catalogue: Catalogue) -> bool:
    facts = catalogue.facts(*key)
    whole = usage.input_tokens + usage.output_tokens
    is_over_context = facts.context_tokens is not None and whole > facts.context_tokens
    is_over_output = facts.max_output_tokens is not None and usage.output_tokens > facts.max_output_tokens
    return is_over_context or is_over_output
