"""The page API tokens: keys with which a person's own programs read through the API what the person sees."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts import api_keys
from accounts.decorators import actor_of, with_viewer
from accounts.key_forms import TokenForm
from accounts.models import ApiKey, User
from accounts.viewer import Viewer

MAX_TOKENS = 20
"""At most this number of tokens of one person are not revoked."""


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@with_viewer
@sensitive_variables("secret")
def tokens(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The person's tokens, and the form for a new one, whose secret is shown once."""
    person = actor_of(request)
    if person.organization is None:  # A key belongs to an organization, and so would see less than this person.
        return render(request, "accounts/tokens.html", {"form": None, "tokens": (), "secret": ""})
    form = TokenForm(request.POST or None, instance=ApiKey(organization=person.organization, user=person))
    secret = _made(form, person) if request.method == "POST" and form.is_valid() else ""
    context = {"form": form, "tokens": tokens_of(person), "secret": secret, "name": form.instance.name}
    return render(request, "accounts/tokens.html", context)


@require_POST
@with_viewer
def token_revoke(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    person = actor_of(request)
    token = tokens_of(person).filter(pk=pk).first()
    if token is None:
        raise Http404
    api_keys.revoke(token, by=person)
    messages.success(request, f"{token.name} does not work any more.")
    return redirect("tokens")


def tokens_of(person: User) -> "QuerySet[ApiKey]":
    """The keys that a person made as tokens and that are not revoked."""
    own = ApiKey.objects.filter(user=person, created_by=person, revoked_at=None)
    return own.filter(may_read=True, may_call=False, may_ingest=False).select_related("organization", "user")


@sensitive_variables("secret")
def _made(form: TokenForm, person: User) -> str:
    """The secret of the new token; "" if it cannot be made, which the form then says."""
    if tokens_of(person).count() >= MAX_TOKENS:
        form.add_error(None, f"You have {MAX_TOKENS} tokens. Please revoke one before.")
        return ""
    try:
        return api_keys.create(form.instance, by=person)
    except ValidationError as error:
        form.add_error(None, error)
        return ""
