"""The second step of signing in, and signing in by a passkey alone."""

import logging

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.arrival import PENDING_SECONDS, checked_next, enter, pending
from accounts.attempts import count_attempt
from accounts.client_address import client_address
from accounts.models import User
from accounts.rate import Rate
from accounts.second_factor import codes, passkeys
from accounts.second_factor.factors import factors_of
from accounts.second_factor.forms import CodeForm, CredentialForm

logger = logging.getLogger("usage.sign_in")

VISITS = Rate(settings.SIGN_IN_STARTS_PER_MINUTE)
"""How often visitors from one address may begin in a minute what is kept in a session. Passkeys have no other limit,
because nobody guesses one."""


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def second_step(request: HttpRequest) -> HttpResponse:
    """Asks whoever has shown the password for a code or a passkey."""
    found = pending(request)
    if found is None:
        return redirect("sign-in")
    person, then = found
    form = CodeForm(request.POST if "code" in request.POST else None)
    if request.method == "POST" and _has_shown(request, person, form):
        return enter(request, person, then)
    factors = factors_of(person)
    options = passkeys.options_to_show(person) if factors.passkeys else None
    context = {"form": form, "credential_form": CredentialForm(), "factors": factors, "options": options}
    return render(request, "accounts/sign_in_second.html", context)


def _has_shown(request: HttpRequest, person: User, form: CodeForm) -> bool:
    """Whether the form has a second factor of the person. Attempts are counted for the person wherever they come from:
    whoever gets here knows the password, so that no stranger can use up the attempts of the owner."""
    credential_form = CredentialForm(request.POST)
    if not (form.is_valid() or credential_form.is_valid()):
        return False
    attempt = count_attempt(f"second factor of {person.pk}", None)
    if form.is_bound:
        is_right = codes.is_right(person, form.cleaned_data["code"])
    else:
        is_right = passkeys.owner_of(credential_form.cleaned_data["credential"], person) is not None
    if not is_right:
        logger.warning("A wrong second factor of %s was shown from %s.", person, client_address(request))
        attempt.failed()
        _say_wrong(request, form)
        return False
    attempt.succeeded()
    return True


def _say_wrong(request: HttpRequest, form: CodeForm) -> None:
    if form.is_bound:
        form.add_error("code", "This code is not right, or was used already.")
    else:
        messages.error(request, "The passkey was not accepted. Please try again.")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def by_passkey(request: HttpRequest) -> HttpResponseBase:
    """GET gives a script what the browser needs to show a passkey; POST takes what the passkey has signed."""
    if not VISITS.allows(client_address(request)):
        return JsonResponse({"detail": "Please try again in a minute."}, status=429)
    if request.method != "POST":
        options = dict(passkeys.options_to_show(None))
        if not request.user.is_authenticated:
            request.session.set_expiry(PENDING_SECONDS)
        return JsonResponse(options)
    form = CredentialForm(request.POST)
    person = passkeys.owner_of(form.cleaned_data["credential"]) if form.is_valid() else None
    if person is None:
        logger.warning("A passkey from %s was not accepted.", client_address(request))
        messages.error(request, "The passkey was not accepted. Please try again, or use your password.")
        return redirect("sign-in")
    return enter(request, person, checked_next(request, "start"))
