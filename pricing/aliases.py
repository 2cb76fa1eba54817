"""The page on which a Super Admin adds and removes aliases of models."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.audit import record
from accounts.decorators import actor_of, with_viewer
from accounts.forms import Styled
from accounts.models import User
from accounts.viewer import Viewer
from pricing.models import ModelAlias
from pricing.versions import lock_prices


class AliasForm(Styled, forms.ModelForm[ModelAlias]):
    """A new alias. Validate and save the form in one transaction that holds ``lock_prices``, so that nobody else adds
    an alias in between."""

    class Meta:
        model = ModelAlias
        fields = ("alias", "model")

    def clean(self) -> dict[str, Any]:
        """ValidationError for a chain: an alias stands for a model, never for another alias."""
        cleaned = super().clean() or self.cleaned_data
        alias, model = cleaned.get("alias"), cleaned.get("model")
        others = ModelAlias.objects.filter(provider=self.instance.provider)
        if alias and alias == model:
            raise ValidationError("A model needs no alias of its own name.")
        if others.filter(alias=alias).exists():
            raise ValidationError({"alias": "This alias is there already. Please remove that one first."})
        if others.filter(alias=model).exists():
            raise ValidationError({"model": "This is an alias itself. Please name the model that it stands for."})
        if others.filter(model=alias).exists():
            raise ValidationError({"alias": "Another alias stands for this model. Please remove that one first."})
        return cleaned


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@with_viewer
def model_aliases(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The list of aliases. Posting ``alias`` and ``model`` adds an alias, posting ``remove`` removes one."""
    if not viewer.may_edit_pricing:
        raise PermissionDenied
    with transaction.atomic():
        if request.method == "POST":
            lock_prices()
        if "remove" in request.POST:
            return _removed(request)
        form = AliasForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            return _added(request, form)
    context = {"viewer": viewer, "form": form, "aliases": ModelAlias.objects.select_related("author")}
    return render(request, "pricing/aliases.html", context)


def _added(request: HttpRequest, form: AliasForm) -> HttpResponse:
    form.instance.author = actor_of(request)
    alias = form.save()
    _record("model_alias.add", alias, (None, alias.model), by=alias.author)
    messages.success(request, f"New requests that name {alias.alias} are charged and listed as {alias.model}.")
    return redirect("pricing-aliases")


def _removed(request: HttpRequest) -> HttpResponse:
    field = forms.ModelChoiceField(ModelAlias.objects.all())
    try:
        alias = field.clean(request.POST.get("remove"))
    except ValidationError:
        messages.error(request, "This alias was removed already.")
        return redirect("pricing-aliases")
    assert isinstance(alias, ModelAlias)
    _record("model_alias.remove", alias, (alias.model, None), by=actor_of(request))
    alias.delete()
    messages.success(request, f"New requests that name {alias.alias} are charged and listed under that name again.")
    return redirect("pricing-aliases")


def _record(action: str, alias: ModelAlias, change: tuple[str | None, str | None], *, by: User | None) -> None:
    record(action, str(alias), by=by, organization=None, changes={"stands for": change})
