"""The page on which a Super Admin edits what is known of a model."""

from dataclasses import asdict
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.audit import differences, record
from accounts.decorators import actor_of, with_viewer
from accounts.forms import Styled
from accounts.models import User
from accounts.viewer import Viewer
from pricing.catalogue import CAPABILITIES, LANGUAGES, Facts, as_json, as_of, changed, edited, published
from pricing.models import DEFAULT_PROVIDER, FactsEdit
from pricing.versions import lock_prices

MOST_TOKENS = 1_000_000_000
STORED_STATUSES = {"": "Not known", "current": "Current", "preview": "Preview", "retired": "Retired"}


class FactsForm(Styled, forms.Form):
    """All facts of one model. An empty field means that the fact is not known."""

    name = forms.CharField(max_length=100, required=False, help_text="As people say it.")
    maker = forms.CharField(max_length=100, required=False, label="Made by")
    capabilities = forms.MultipleChoiceField(
        choices=tuple(CAPABILITIES.items()), required=False, widget=forms.CheckboxSelectMultiple
    )
    languages = forms.MultipleChoiceField(
        choices=tuple(LANGUAGES.items()), required=False, widget=forms.CheckboxSelectMultiple
    )
    context_tokens = forms.IntegerField(
        label="Context length, in tokens", min_value=1, max_value=MOST_TOKENS, required=False
    )
    max_output_tokens = forms.IntegerField(
        label="Maximum output, in tokens", min_value=1, max_value=MOST_TOKENS, required=False
    )
    status = forms.ChoiceField(choices=tuple(STORED_STATUSES.items()), required=False)
    retires_on = forms.DateField(
        label="Retires on",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="The first day on which the provider no longer serves the model. From then on the status is retired.",
    )
    replaced_by = forms.CharField(max_length=200, required=False, help_text="The model that the provider recommends.")
    is_system = forms.BooleanField(
        label="A system of other models", required=False, help_text="Calls are charged at the prices of its parts."
    )
    source = forms.CharField(max_length=500, required=False, help_text="Where these facts can be looked up.")

    def facts(self) -> Facts:
        """The facts that a valid form says. Capabilities and languages come in the order of their lists, so that the
        same choice is the same fact."""
        cleaned = self.cleaned_data
        lists = {"capabilities": CAPABILITIES, "languages": LANGUAGES}
        return Facts(**cleaned | {name: _in_order(cleaned[name], known) for name, known in lists.items()})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@with_viewer
def edit_facts(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The facts of ``?model=`` of ``?provider=`` (default: Groq). Posting the form saves them, posting ``reset`` takes
    the edits back. 404 without a model."""
    if not viewer.may_edit_pricing:
        raise PermissionDenied
    provider, model = request.GET.get("provider") or DEFAULT_PROVIDER, request.GET.get("model", "")
    if not model or len(model) > 200 or len(provider) > 50 or "\0" in provider + model:
        raise Http404
    with transaction.atomic():
        if request.method == "POST":
            lock_prices()
        edit = FactsEdit.objects.filter(provider=provider, model=model).select_related("author").first()
        base = published(provider, model)
        present = edited(base, edit.changes) if edit else base
        form = FactsForm(request.POST if request.method == "POST" else None, initial=asdict(present))
        wanted = _wanted(request, form, base)
        if wanted is not None:
            _save(provider, model, base, present, wanted, by=actor_of(request))
            messages.success(request, f"The facts of {model} are saved.")
            return redirect(f"{reverse('models')}?{urlencode({'find': model})}")
    context = {"viewer": viewer, "form": form, "model": model, "provider": provider, "edit": edit, "as_of": as_of()}
    return render(request, "pricing/facts.html", context)


def _wanted(request: HttpRequest, form: FactsForm, base: Facts) -> Facts | None:
    """The facts to save; None if nothing valid was posted."""
    if request.method != "POST":
        return None
    if "reset" in request.POST:
        return base
    return form.facts() if form.is_valid() else None


def _save(provider: str, model: str, base: Facts, present: Facts, wanted: Facts, *, by: User) -> None:
    """Keep the differences from the published facts, and an audit record of the differences from the present ones."""
    changes, kept = changed(base, wanted), FactsEdit.objects.filter(provider=provider, model=model)
    if not changes:
        kept.delete()
    else:
        FactsEdit.objects.update_or_create(provider=provider, model=model, defaults={"changes": changes, "author": by})
    if audited := differences(_said(present), _said(wanted)):
        record("model_facts.change", f"{provider}/{model}", by=by, organization=None, changes=audited)


def _said(facts: Facts) -> dict[str, Any]:
    """The facts as text for the audit trail; what is not known is None."""
    said = {name: as_json(name, facts) for name in asdict(facts)}
    return {name: (", ".join(value) if isinstance(value, list) else value) or None for name, value in said.items()}


def _in_order(chosen: list[str], known: dict[str, str]) -> tuple[str, ...]:
    return tuple(name for name in known if name in chosen)
