"""The pages about the keys of an organization: those of its programs, and its own key for Groq."""

from collections.abc import Callable, Iterable

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import api_keys
from accounts.changes import save_recorded
from accounts.decorators import actor_of, administered, for_super_admins
from accounts.forms import SearchForm
from accounts.key_forms import KeyForm, LimitsForm, ProviderKeyForm
from accounts.models import ApiKey, Organization, ProviderKey
from accounts.paging import page_of
from accounts.provider_keys import keeps_provider_keys, remove_provider_key, set_provider_key
from accounts.search import containing
from accounts.viewer import Viewer

WORDS = ("name", "ending", "next_ending", "project__slug_key", "project__name", "user__handle_key")
"""The fields that are searched."""
REVOKED_LAST = F("revoked_at").desc(nulls_first=True)


@require_safe
@never_cache
@administered(Organization)
def keys(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    """The keys that are not revoked, by name, and then the revoked ones."""
    form = SearchForm(request.GET)
    rows = _found(organization.api_keys.all(), form, WORDS).order_by(REVOKED_LAST, "name", "pk")
    context = {"organization": organization, "tab": "keys", "form": form, "page": page_of(request, rows)}
    context["provider_key"] = ProviderKey.objects.filter(organization=organization).first()
    return render(request, "accounts/keys.html", context)


@require_safe
@never_cache
@for_super_admins
def all_keys(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The keys of all organizations: those that are not revoked, by organization and name, then the revoked ones."""
    form = SearchForm(request.GET)
    everything = ApiKey.objects.select_related("organization")
    rows = _found(everything, form, (*WORDS, "organization__name", "organization__slug"))
    rows = rows.order_by(REVOKED_LAST, "organization__name", "organization", "name", "pk")
    context = {"organization": None, "tab": "keys", "form": form, "page": page_of(request, rows)}
    return render(request, "accounts/all_keys.html", context)


def _found(rows: QuerySet[ApiKey], form: SearchForm, fields: Iterable[str]) -> QuerySet[ApiKey]:
    """The keys that the search form finds, with whom and what each is for."""
    found = containing(rows, form.cleaned_data["q"], fields) if form.is_valid() else rows.none()
    return found.select_related("project__merged_into", "user__merged_into")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_variables("secret")
@administered(Organization)
def key_add(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    form = KeyForm(request.POST or None, instance=ApiKey(organization=organization))
    if request.method == "POST" and form.is_valid():
        try:
            secret = api_keys.create(form.instance, by=actor_of(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return _shown_once(request, form.instance, secret)
    context = {"organization": organization, "tab": "keys", "form": form}
    return render(request, "accounts/key_add.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(ApiKey)
def key(request: HttpRequest, viewer: Viewer, key: ApiKey) -> HttpResponse:
    """The page of one key. Posting changes its name, limits and last day."""
    name, by = key.name, actor_of(request)
    if request.method == "POST" and key.revoked_at is not None:
        messages.error(request, "This key is revoked. Please make a new one.")
        return redirect("key", key.pk)
    form = LimitsForm(request.POST or None, instance=key)
    if request.method == "POST" and form.is_valid() and save_recorded(form, "key.change", by=by):
        messages.success(request, f"{key.name} is saved.")
        return redirect("key", key.pk)
    context = {"organization": key.organization, "tab": "keys", "key": key, "form": form, "name": name}
    return render(request, "accounts/key.html", context)


@require_POST
@never_cache
@sensitive_variables("secret")
@administered(ApiKey)
def key_rotate(request: HttpRequest, viewer: Viewer, key: ApiKey) -> HttpResponse:
    """Makes a second secret and shows it. The first one works until it is dropped."""
    try:
        secret = api_keys.add_secret(key, by=actor_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("key", key.pk)
    return _shown_once(request, key, secret)


@require_POST
@administered(ApiKey)
def key_drop_secret(request: HttpRequest, viewer: Viewer, key: ApiKey) -> HttpResponse:
    by = actor_of(request)
    outcome = "The first secret is dropped. Only the second one works now."
    return _attempt(request, key, outcome, lambda: api_keys.drop_first_secret(key, by=by))


@require_POST
@administered(ApiKey)
def key_revoke(request: HttpRequest, viewer: Viewer, key: ApiKey) -> HttpResponse:
    by = actor_of(request)
    outcome = f"{key.name} is revoked. Nothing works with it any more."
    return _attempt(request, key, outcome, lambda: api_keys.revoke(key, by=by))


def _attempt(request: HttpRequest, key: ApiKey, outcome: str, change: Callable[[], None]) -> HttpResponse:
    """Make a change that may raise ValidationError, and show its outcome as a message."""
    try:
        change()
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, outcome)
    return redirect("key", key.pk)


@sensitive_variables("secret")
def _shown_once(request: HttpRequest, key: ApiKey, secret: str) -> HttpResponse:
    context = {"organization": key.organization, "tab": "keys", "key": key, "secret": secret}
    return render(request, "accounts/key_secret.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_post_parameters("key")
@administered(Organization)
def provider_key(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    """The page on which an Admin enters the organization's own key for Groq."""
    form = ProviderKeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            set_provider_key(organization, form.cleaned_data["key"], by=actor_of(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, f"{organization.name} calls Groq with its own key now.")
            return redirect("keys", organization.pk)
    context = {"organization": organization, "tab": "keys", "form": form, "may_set": keeps_provider_keys()}
    context["provider_key"] = ProviderKey.objects.filter(organization=organization).select_related("set_by").first()
    return render(request, "accounts/provider_key.html", context)


@require_POST
@administered(Organization)
def provider_key_remove(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    remove_provider_key(organization, by=actor_of(request))
    messages.success(request, f"{organization.name} calls Groq with the server's key now.")
    return redirect("keys", organization.pk)
