"""The pages for signing in and out, and those for people who have to wait: after too many attempts to sign in, or while
too many passwords are hashed."""

from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.arrival import arrive, checked_next
from accounts.hashing import PATIENCE_SECONDS
from accounts.second_factor.forms import CredentialForm
from accounts.single_sign_on.provider import is_configured


class SignInView(LoginView):
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True

    def get_success_url(self) -> str:
        """The page that somebody wanted to see before; the start page if that was only the bare address."""
        return checked_next(self.request, "start")

    def form_valid(self, form: Any) -> HttpResponse:
        return arrive(self.request, form.get_user(), self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        elsewhere = settings.OIDC_NAME if is_configured() else ""
        return super().get_context_data(**kwargs) | {"elsewhere": elsewhere, "credential_form": CredentialForm()}


class SignOutView(LogoutView):
    """Django's view, which also has the browser drop what it keeps of pages."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        response.headers["Clear-Site-Data"] = '"cache"'
        return response


def locked_out(request: HttpRequest) -> HttpResponse:
    """A 429 response that says how long to wait before the next attempt to sign in."""
    seconds = int(settings.SIGN_IN_PAUSE.total_seconds())
    page = render(request, "accounts/locked_out.html", {"minutes": seconds // 60}, status=429)
    page.headers["Retry-After"] = str(seconds)
    return page


def busy(request: HttpRequest) -> HttpResponse:
    """A 503 response for a password that was not checked, because too many others are being hashed."""
    page = render(request, "accounts/busy.html", status=503)
    page.headers["Retry-After"] = str(int(PATIENCE_SECONDS))
    return page
