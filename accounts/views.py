"""The sign-in page, and the pages for people who have to wait: after too many attempts to sign in, or while too many
passwords are hashed."""

from django.conf import settings
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import get_script_prefix

from accounts.hashing import PATIENCE_SECONDS


class SignInView(LoginView):
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True

    def get_success_url(self) -> str:
        """The page that somebody wanted to see before; the start page if that was only the bare address."""
        wanted = super().get_success_url()
        return self.get_default_redirect_url() if wanted == get_script_prefix() else wanted


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
