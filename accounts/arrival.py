"""Coming in: somebody has shown a password, a passkey or an identity from elsewhere, and either is signed in now or is
asked for the second factor first."""

import time
from typing import Any

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.urls import get_script_prefix
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.models import User

BACKEND = "accounts.backends.Backend"
PROVEN = "accounts.backends.ProvenBackend"
PENDING = "sign_in_pending"
"""The key in a visitor's session of who is about to come in, once they have shown the second factor."""
PENDING_SECONDS = 600


def checked_next(request: HttpRequest, otherwise: str) -> str:
    """The address on this host where somebody wanted to go, from the form or the query; else the page ``otherwise``,
    also instead of the bare address."""
    wanted = request.POST.get("next", request.GET.get("next", ""))
    is_here = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_here and wanted != get_script_prefix() else resolve_url(otherwise)


def arrive(request: HttpRequest, person: User, then: str, *, is_proven: bool = False) -> HttpResponse:
    """Let a person in, or ask for the second factor first. ``is_proven`` says that one was shown elsewhere."""
    if is_proven or not person.has_second_factor:
        return enter(request, person, then, backend=PROVEN if is_proven else BACKEND)
    request.session.cycle_key()
    request.session.set_expiry(PENDING_SECONDS)
    request.session[PENDING] = {
        "person": person.pk,
        "hash": person.get_session_auth_hash(),
        "until": time.time() + PENDING_SECONDS,
        "then": then,
    }
    return redirect("sign-in-second")


def enter(request: HttpRequest, person: User, then: str, *, backend: str = BACKEND) -> HttpResponse:
    """Sign the person in, in a new session, and go where they wanted to go."""
    request.session.pop(PENDING, None)
    request.session.set_expiry(None)  # A visitor's session is a short one.
    login(request, person, backend=backend)
    return redirect(then)


def pending(request: HttpRequest) -> tuple[User, str] | None:
    """Who has still to show the second factor, and where they want to go. None after PENDING_SECONDS, and if the person
    was shut out or has another password now."""
    told: Any = request.session.get(PENDING)
    if not told or told["until"] < time.time():
        return None
    person = User.objects.filter(pk=told["person"], is_active=True).first()
    if person is None or not constant_time_compare(person.get_session_auth_hash(), told["hash"]):
        return None
    return person, told["then"]
