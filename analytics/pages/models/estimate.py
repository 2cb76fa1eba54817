"""What a prompt would cost on every model, before anybody sends it.

The tokens are counted by the tokenizers of ``groq_client``, in this process. The prompt arrives in the body of a POST,
so that it is in no address, and it is neither stored nor logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from accounts.database import let_go_of_the_database
from accounts.decorators import actor_of, with_viewer
from accounts.rate import Rate
from accounts.viewer import Viewer
from analytics.display.colors import colors_apart
from analytics.failure import is_partial
from analytics.pages.models.prices import PriceOf, has_rates, label_of, prices_in_force
from analytics.reports.selection import Selection
from groq_client import chat_template
from groq_client.tokens import estimate_prompt, family_of
from pricing.catalogue import Catalogue, Key
from pricing.cost import cost
from pricing.models import Price

LONGEST_PROMPT = 100_000
"""The longest prompt, in characters. Counting this many takes some hundredths of a second for each tokenizer."""
MOST_OUTPUT = 1_000_000
USUAL_OUTPUT = 500
EXACT_TEMPLATES = (chat_template.HARMONY, chat_template.QWEN)
"""The templates whose models are counted in their own vocabularies."""
RATE = Rate(settings.ESTIMATES_PER_MINUTE)
TOO_OFTEN = "You have asked for many estimates within a minute. Please wait a moment and try again."


class EstimateForm(forms.Form):
    prompt = forms.CharField(
        label="Prompt",
        max_length=LONGEST_PROMPT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "class": "input", "autocomplete": "off", "spellcheck": "false"}),
    )
    output = forms.IntegerField(
        label="Length of the answer, in tokens",
        min_value=0,
        max_value=MOST_OUTPUT,
        initial=USUAL_OUTPUT,
        widget=forms.NumberInput(attrs={"class": "input", "list": "usual-lengths", "autocomplete": "off"}),
    )


@dataclass(frozen=True, slots=True)
class Expected:
    """The usage of one call that is not made."""

    input_tokens: int = 0
    output_tokens: int = 0
    characters: int = 0
    cached_tokens: int = 0
    audio_seconds: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of the prompt on one model, in US dollars."""

    label: str
    color: int
    usage: Expected
    is_exact: bool
    """Whether the model's own vocabulary counted the prompt; otherwise the nearest known one did."""
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
    without_text: int
    """The number of models that are left out, because they are not charged by text alone, such as by audio."""


@sensitive_post_parameters("prompt")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@with_viewer
@sensitive_variables("form")
def estimate(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The page with the form and, after a POST, the costs. A request by htmx gets only the costs. PermissionDenied for
    viewers who may not see prices."""
    if not viewer.sees_pricing:
        raise PermissionDenied
    form = EstimateForm(request.POST if request.method == "POST" else None, label_suffix="")
    made = None
    if form.is_bound and not RATE.allows(actor_of(request).pk):
        form.add_error("prompt", TOO_OFTEN)
    elif form.is_valid():
        today = timezone.now().date()
        prices, catalogue = prices_in_force(viewer, Selection(today, today)), Catalogue.load()
        let_go_of_the_database()
        made = estimates(form.cleaned_data["prompt"], form.cleaned_data["output"], prices, catalogue, today)
    part = "_estimates" if is_partial(request) else "estimate"
    return render(request, f"analytics/models/{part}.html", {"viewer": viewer, "form": form, "estimates": made})


@sensitive_variables("prompt")
def estimates(prompt: str, output: int, prices: PriceOf, catalogue: Catalogue, today: date) -> Estimates:
    """The cost of the prompt, as one message of a user, with an answer of ``output`` tokens on each model that can be
    called and has a price."""
    priced = {key: price for key, price in prices.items() if price.enabled and has_rates(price)}
    offered = {key: price for key, price in priced.items() if not catalogue.facts(*key).is_retired_on(today)}
    usages = _usages(prompt, output, offered)
    colors = colors_apart(model for _, model in usages)
    rows = [
        Estimate(
            label=label_of(key),
            color=colors[key[1]],
            usage=usage,
            is_exact=bool(usage.characters) or family_of(key[1]).template in EXACT_TEMPLATES,
            cost=charged,
            is_own=offered[key].organization_id is not None,
            is_too_long=_is_too_long(usage, key, catalogue),
        )
        for key, usage in usages.items()
        if (charged := cost(usage, offered[key])) is not None
    ]
    rows.sort(key=lambda row: (row.cost, row.label))
    return Estimates(tuple(rows), len(priced) - len(offered), len(offered) - len(rows))


@sensitive_variables("prompt", "body")
def _usages(prompt: str, output: int, prices: Mapping[Key, Price]) -> dict[Key, Expected]:
    """The usage on each model that reads text. Models of one family share a count."""
    found: dict[Key, Expected] = {}
    counted: dict[tuple[str, str | None, bool], int] = {}
    body: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
    for key, price in prices.items():
        if price.input_usd_per_1k_tokens is None and price.usd_per_1k_characters is not None:
            found[key] = Expected(characters=len(prompt))
        elif price.input_usd_per_1k_tokens is not None:
            family = family_of(key[1])
            way = (family.template.name, family.column, family.qwen)
            if way not in counted:
                counted[way] = estimate_prompt(body, key[1])
            found[key] = Expected(input_tokens=counted[way], output_tokens=output)
    return found


def _is_too_long(usage: Expected, key: Key, catalogue: Catalogue) -> bool:
    facts = catalogue.facts(*key)
    whole = usage.input_tokens + usage.output_tokens
    is_over_context = facts.context_tokens is not None and whole > facts.context_tokens
    is_over_output = facts.max_output_tokens is not None and usage.output_tokens > facts.max_output_tokens
    return is_over_context or is_over_output
