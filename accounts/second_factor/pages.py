"""The page Security, on which people keep their second factors and see where they are signed in, and its subpages."""

import base64
from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.confirmation import confirmed
from accounts.decorators import signed_in
from accounts.models import User
from accounts.second_factor import codes, passkeys
from accounts.second_factor.factors import APP, RECOVERY_CODES, factors_of, note, remove
from accounts.second_factor.forms import CodeForm, PasskeyForm
from accounts.sign_ins import end, end_others, sign_ins_of

SECRET = "second_factor_secret"  # noqa: S105 - the name of a key
"""The key in a session of the secret of an app that is being set up, encrypted."""
MAX_SHOWN = 50


@require_safe
@never_cache
@signed_in
def security(request: HttpRequest, person: User) -> HttpResponse:
    context = {
        "person": person,
        "factors": factors_of(person),
        "max_passkeys": passkeys.MAX_PASSKEYS,
        "sign_ins": sign_ins_of(person)[:MAX_SHOWN],
        "session": request.session.session_key,
    }
    return render(request, "accounts/security.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@confirmed
@sensitive_variables("secret")
def app_add(request: HttpRequest, person: User) -> HttpResponse:
    """Shows the secret as a picture for the app, and asks for the first code."""
    if factors_of(person).app is not None:
        return redirect("security")
    secret = _secret_of(request)
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        counter = codes.counter_of(secret, form.cleaned_data["code"])
        if counter is not None:
            return _added(request, person, APP, codes.add_app(person, secret, counter))
        form.add_error("code", "The app shows another code. Please try the next one.")
    url = get_adapter().build_totp_url(person, secret)
    picture = base64.b64encode(get_adapter().build_totp_svg(url).encode()).decode()
    rows = [secret[n : n + 4] for n in range(0, len(secret), 4)]
    return render(request, "accounts/app_add.html", {"form": form, "picture": picture, "rows": rows})


def _secret_of(request: HttpRequest) -> str:
    """The secret that is being set up in this session: a new one whenever the page is opened."""
    if request.method != "POST" or SECRET not in request.session:
        request.session[SECRET] = get_adapter().encrypt(generate_totp_secret())
    return str(get_adapter().decrypt(request.session[SECRET]))


@require_POST
@confirmed
def app_remove(request: HttpRequest, person: User) -> HttpResponse:
    return _removed(request, person, Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).first())


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@confirmed
def passkey_add(request: HttpRequest, person: User) -> HttpResponse:
    if len(factors_of(person).passkeys) >= passkeys.MAX_PASSKEYS:
        messages.error(request, f"You have {passkeys.MAX_PASSKEYS} passkeys. Remove one first.")
        return redirect("security")
    form = PasskeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]
        if passkeys.add(person, name, form.cleaned_data["credential"]):
            return _added(request, person, f"passkey {name}", True)
        form.add_error(None, "This did not work. Please try again.")
    context: dict[str, Any] = {"form": form, "options": passkeys.options_to_add(person)}
    return render(request, "accounts/passkey_add.html", context)


@require_POST
@confirmed
def passkey_remove(request: HttpRequest, person: User, pk: int) -> HttpResponse:
    rows = Authenticator.objects.filter(user=person, type=Authenticator.Type.WEBAUTHN)
    return _removed(request, person, rows.filter(pk=pk).first())


@require_POST
@never_cache
@confirmed
def recovery_codes(request: HttpRequest, person: User) -> HttpResponse:
    """Makes new recovery codes, which end the former ones."""
    if not factors_of(person).exist:
        raise Http404
    with transaction.atomic():
        made = codes.make_recovery_codes(person)
        note("add", person, RECOVERY_CODES, by=person)
    return render(request, "accounts/recovery_codes.html", {"codes": made, "added": ""})


def _added(request: HttpRequest, person: User, factor: str, is_new: bool) -> HttpResponse:
    """Records a new factor and ends other sessions, which began without it. The first one comes with recovery codes."""
    request.session.pop(SECRET, None)
    if not is_new:
        return redirect("security")
    with transaction.atomic():
        note("add", person, factor, by=person)
        made = [] if codes.recovery_codes_left(person) else codes.make_recovery_codes(person)
        end_others(request, person)
    if made:
        return render(request, "accounts/recovery_codes.html", {"codes": made, "added": factor})
    messages.success(request, f"Your {factor} is set up. You are signed out everywhere else.")
    return redirect("security")


def _removed(request: HttpRequest, person: User, row: Authenticator | None) -> HttpResponse:
    if row is None:
        raise Http404
    remove(person, row)
    end_others(request, person)
    messages.success(request, f"{row} does not count any more. You are signed out everywhere else.")
    return redirect("security")


@require_POST
@confirmed
def sign_in_end(request: HttpRequest, person: User, pk: int) -> HttpResponse:
    if not end(sign_ins_of(person).filter(pk=pk)):
        raise Http404
    messages.success(request, "That device is signed out.")
    return redirect("security")


@require_POST
@confirmed
def sign_ins_end(request: HttpRequest, person: User) -> HttpResponse:
    """Signs out everywhere else."""
    end_others(request, person)
    messages.success(request, "You are signed out everywhere else.")
    return redirect("security")
