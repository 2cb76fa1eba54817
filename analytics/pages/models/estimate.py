"""What a prompt would cost on every model, before anybody sends it.

The tokens are counted by the tokenizers of ``groq_client``, in this process. The prompt arrives in the body of a POST,
so that it is in no address, and it is neither stored nor logged.
"""

from collections.abc import Sequence

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
from analytics.pages.models.prices import label_of
from analytics.reports.estimates import Estimate, estimates, usages_of
from analytics.reports.prices import prices_in_force
from analytics.reports.selection import Selection
from pricing.catalogue import Catalogue

LONGEST_PROMPT = 100_000
"""The longest prompt, in characters. Counting this many takes some hundredths of a second for each tokenizer."""
MOST_OUTPUT = 1_000_000
USUAL_OUTPUT = 500
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


@sensitive_post_parameters("prompt")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@with_viewer
@sensitive_variables("form", "prompt", "body")
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
        prompt, output = form.cleaned_data["prompt"], form.cleaned_data["output"]
        body = {"messages": [{"role": "user", "content": prompt}]}
        made = estimates(usages_of(body, prompt, output), prices, catalogue, today)
    part = "_estimates" if is_partial(request) else "estimate"
    context = {"viewer": viewer, "form": form, "estimates": made, "rows": _named(made.rows if made else ())}
    return render(request, f"analytics/models/{part}.html", context)


def _named(rows: Sequence[Estimate]) -> list[tuple[str, int, Estimate]]:
    """Each estimate after the name and the colour of its model."""
    colors = colors_apart(row.key[1] for row in rows)
    return [(label_of(row.key), colors[row.key[1]], row) for row in rows]
