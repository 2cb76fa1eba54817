"""Passwords chosen by their owners: through a link, or by who knows the old one. Django's pages with our rules."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from axes.utils import reset as lift_lockout
from django.contrib import messages
from django.contrib.auth import forms, views
from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse_lazy

from accounts.audit import record
from accounts.invitations import days_of_a_link, link_tokens, sends_mail
from accounts.models import User

_post = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


class ForgottenForm(forms.PasswordResetForm):
    """Finds also those who were invited and have not chosen a password yet."""

    def get_users(self, email: str) -> Any:
        """The mail goes to the address on record, whatever was typed."""
        people = User.objects.filter(email__iexact=email, is_active=True)
        return people if sends_mail() else people.none()

    def send_mail(self, *args: Any, **kwargs: Any) -> None:
        """Behind the answer, which would else take longer for an address that exists."""
        _post.submit(super().send_mail, *args, **kwargs)


class ForgottenView(views.PasswordResetView):
    """Says the same whether the address exists or not."""

    form_class = ForgottenForm
    token_generator = link_tokens
    template_name = "accounts/password_forgotten.html"
    email_template_name = "accounts/mail/forgotten.txt"
    subject_template_name = "accounts/mail/forgotten_subject.txt"
    success_url = reverse_lazy("password-forgotten-done")
    extra_context = {"sends_mail": sends_mail}

    def form_valid(self, form: Any) -> HttpResponse:
        self.extra_email_context = {"days": days_of_a_link()}
        return super().form_valid(form)


class SetForm(forms.SetPasswordForm):  # type: ignore[type-arg]  # no type arguments at run time
    """Saves nothing but the password. Making it takes a moment, in which its person may have been shut out."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)
        user.save(update_fields=["password"])
        return user


class ChangeForm(SetForm, forms.PasswordChangeForm):
    """The same, for who knows the old password."""


class SetView(views.PasswordResetConfirmView):
    """The page behind a link. Links of those who were deactivated meanwhile do not work."""

    form_class = SetForm
    token_generator = link_tokens
    template_name = "accounts/password_set.html"
    success_url = reverse_lazy("sign-in")

    def get_user(self, uidb64: str) -> User | None:
        user = super().get_user(uidb64)
        return user if isinstance(user, User) and user.is_active else None

    def form_valid(self, form: Any) -> HttpResponse:
        user: User = form.user
        with transaction.atomic():
            response = super().form_valid(form)
            record("password.set", user.username, by=user, organization=user.organization, changes={})
        lift_lockout(username=user.username)
        messages.success(self.request, f"Your password is set. Sign in as {user.username}.")
        return response


class ChangeView(views.PasswordChangeView):
    form_class = ChangeForm
    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("password-change-done")

    def form_valid(self, form: Any) -> HttpResponse:
        user: User = form.user
        with transaction.atomic():
            response = super().form_valid(form)
            record("password.change", user.username, by=user, organization=user.organization, changes={})
        return response
