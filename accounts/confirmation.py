"""Confirming who one is before something delicate: whoever changes second factors or ends sessions has signed in, or
given the password again, within the last minutes. So nobody does that at a computer that was left alone."""

import time
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec

from django import forms
from django.contrib.auth import authenticate, update_session_auth_hash, user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.arrival import checked_next
from accounts.decorators import signed_in
from accounts.models import User
from accounts.single_sign_on.provider import is_configured

P = ParamSpec("P")

CONFIRMED_AT = "confirmed_at"
"""The key in a session of the time at which its owner proved last who they are."""
RECENT_SECONDS = 600


class PasswordForm(forms.Form):
    """Asks for the person's own password. Guesses of it count as attempts to sign in."""

    password = forms.CharField(
        strip=False,
        max_length=4_096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    def __init__(self, *args: Any, request: HttpRequest, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": ""} | kwargs)
        self.request, self.person = request, person

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if authenticate(self.request, username=self.person.get_username(), password=password) != self.person:
            raise forms.ValidationError("This is not your password.", code="incorrect")
        return password


def confirmed(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Call ``view(request, person, …)`` for somebody who has proved within RECENT_SECONDS who they are. Others are sent
    to the page that asks for the password, and come back to the page Security or to the page that they wanted to see.
    """

    @signed_in
    def guarded(request: HttpRequest, person: User, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        return view(request, person, *args, **kwargs) if is_recent(request) else to_confirmation(request)

    update_wrapper(guarded, view)
    return guarded


def to_confirmation(request: HttpRequest) -> HttpResponse:
    """A redirect to the page that asks for the password, from where people come back."""
    back = request.get_full_path() if request.method == "GET" else reverse("security")
    return redirect(f"{reverse('confirm')}?{urlencode({'next': back})}")


def is_recent(request: HttpRequest) -> bool:
    """Whether the owner of the session has proved a moment ago who they are."""
    at: float = request.session.get(CONFIRMED_AT, 0.0)
    return 0 <= time.time() - at < RECENT_SECONDS


@receiver(user_logged_in)
def note_confirmation(request: HttpRequest, **_: Any) -> None:
    request.session[CONFIRMED_AT] = time.time()


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@signed_in
def confirm(request: HttpRequest, person: User) -> HttpResponse:
    """The page that asks for the password. Somebody without one signs in again at the identity provider."""
    back = checked_next(request, "security")
    form = PasswordForm(request.POST or None, request=request, person=person)
    if request.method == "POST" and person.has_usable_password() and form.is_valid():
        person.refresh_from_db(fields=["password"])  # It may have been hashed anew.
        update_session_auth_hash(request, person)
        note_confirmation(request)
        return redirect(back)
    context = {"form": form, "next": back, "person": person, "signs_in_elsewhere": is_configured()}
    return render(request, "accounts/confirm.html", context)
