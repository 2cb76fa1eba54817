"""The page API tokens: keys with which a person's own programs read through the API what the person sees."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts import api_keys
from accounts.decorators import actor_of, with_viewer
from accounts.key_forms import TokenForm
from accounts.models import ApiKey, User
from accounts.organization_choice import chosen_organization, organizations_to_choose
from accounts.viewer import Viewer


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@with_viewer
@sensitive_variables("secret")
def tokens(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The person's tokens, and the form for a new one, whose secret is shown once. A token reads one organization: the
    person's own, or the one that a Super Admin chooses."""
    person, organization = actor_of(request), chosen_organization(request, viewer)
    form = TokenForm(request.POST or None, instance=ApiKey(organization=organization, user=person))
    secret = _made(form, person) if request.method == "POST" and form.is_valid() else ""
    context = {
        "form": form,
        "secret": secret,
        "name": form.instance.name,
        "organization": organization,
        "organizations": organizations_to_choose(viewer),
        "tokens": api_keys.tokens_of(person).select_related("organization", "user"),
    }
    return render(request, "accounts/tokens.html", context)


@require_POST
@with_viewer
def token_revoke(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    person = actor_of(request)
    token = api_keys.tokens_of(person).filter(pk=pk).first()
    if token is None:
        raise Http404
    api_keys.revoke(token, by=person)
    messages.success(request, f"{token.name} does not work any more.")
    return redirect("tokens")


@sensitive_variables("secret")
def _made(form: TokenForm, person: User) -> str:
    """The secret of the new token; "" if it cannot be made, which the form then says."""
    try:
        return api_keys.create(form.instance, by=person)
    except ValidationError as error:
        form.add_error(None, error)
        return ""
