"""The pages on which people choose their own password, with a link or with the old password: Django's pages with
additional rules."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.auth import authenticate, forms, views
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix, reverse, reverse_lazy, set_script_prefix

from accounts.attempts import TooManyAttemptsError, count_attempt, forget_attempts
from accounts.audit import Changes, record
from accounts.invitations import take_address_as_username
from accounts.links import Link, LinkTokens, days_of_a_link, sends_mail
from accounts.mail import mail
from accounts.models import WITHOUT_PASSWORD, Standing, User

logger = logging.getLogger(__name__)

_post = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")

OWN_WORDS = (
    "groq",
    "usage",
    "dashboard",
    "ledger",
    "admin",
    "super",
    "user",
    "password",
    "token",
    "cost",
    "llm",
    "api",
)
"""What nobody may make a whole password of, also not with digits and signs between (docs/security.md)."""


class OwnWordsValidator:
    """Refuses passwords that are nothing but words of this product, and the names of the person's organization."""

    def validate(self, password: str, user: User | None = None) -> None:
        rest = "".join(filter(str.isalpha, password.lower()))
        organization = user.organization if user is not None else None
        names = {organization.slug, *organization.name.split()} if organization else set()
        own = {"".join(filter(str.isalpha, name.lower())) for name in (*OWN_WORDS, *names)} - {""}
        for word in sorted(own, key=len, reverse=True):
            rest = rest.replace(word, "")
        if not rest:
            raise ValidationError("This is made of words that anybody would try here.", code="own_words")

    def get_help_text(self) -> str:
        return "It cannot be made of nothing but digits, signs, and the names of this product and of your organization."


class ForgottenForm(forms.PasswordResetForm):
    """Django's form, which here also finds people who were invited and have not chosen a password yet."""

    def get_users(self, email: str) -> Any:
        """The active accounts with this address. An address may have an account in each of several organizations, and
        each gets a mail to the address on record. Requests for one address are limited like attempts to sign in.
        """
        try:
            count_attempt(f"link for {email.lower()}", None)
        except TooManyAttemptsError:
            return User.objects.none()
        people = User.objects.filter(email__iexact=email, is_active=True)
        people = people.exclude(WITHOUT_PASSWORD, last_login__isnull=False)  # For these the identity provider vouches.
        return people if sends_mail() else people.none()

    def send_mail(self, *args: Any, **kwargs: Any) -> None:
        """Sends in a thread, because a slower answer would reveal that an address has an account."""
        _subject, _text, context, _sender, to = args
        _post.submit(_send, get_script_prefix(), to, context)


def _send(root_path: str, to: str, context: dict[str, Any]) -> None:
    """Send a mail whose link begins with the root path. Django keeps the root path in each thread, so the thread that
    sends mail has to set it. A failure is logged without the link."""
    set_script_prefix(root_path)
    address = reverse("password-set", args=[context["uid"], context["token"]])
    try:
        mail("forgotten", to, f"{context['protocol']}://{context['domain']}{address}", context).send()
    except Exception:
        logger.exception("The mail for a forgotten password of %s could not be sent.", context["user"])


class ForgottenView(views.PasswordResetView):
    """The page for a forgotten password. The answer is the same whether the address has an account or not."""

    form_class = ForgottenForm
    token_generator = LinkTokens()
    template_name = "accounts/password_forgotten.html"
    success_url = reverse_lazy("password-forgotten-done")
    extra_context = {"sends_mail": sends_mail}

    def form_valid(self, form: Any) -> HttpResponse:
        self.extra_email_context = {"days": days_of_a_link()}
        return super().form_valid(form)


class NewPasswordForm(forms.SetPasswordForm):  # type: ignore[type-arg]  # no type arguments at run time
    """A form that saves only the password, with an audit record. The password is hashed before the transaction, which
    takes a moment; so ``check`` looks at the person as stored afterwards, who may have been shut out meanwhile.
    """

    action: ClassVar[str]
    """The action in the audit record."""

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)
        with transaction.atomic():
            self.check(User.objects.select_for_update().get(pk=user.pk))
            user.save(update_fields=["password"])
            self.saved(user)
            record(self.action, str(user), by=user, organization=user.organization, changes=self.told())
        return user

    def check(self, stored: User) -> None:
        """Raise an error if the password may not be saved; ``stored`` is the person as stored now."""

    def saved(self, user: User) -> None:
        """Hook for further changes in the transaction that saves the password."""

    def told(self) -> Changes:
        """The changes in the audit record."""
        return {}


class LinkUsedError(Exception):
    """Another password was set while this one was being hashed, so that the link is used up."""


class SetForm(NewPasswordForm):
    """The form behind a link. For an invalid link Django makes one without a user and does not show it."""

    action = "password.set"

    def __init__(self, user: User | None, *args: Any, link: Link | None = None, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.link = link
        self.accepts_invitation = user is not None and user.standing is Standing.INVITED
        self.former_password = user.password if user is not None else ""

    def check(self, stored: User) -> None:
        """LinkUsedError if the link was used meanwhile: it works only once, even if used twice at the same moment."""
        if stored.password != self.former_password:
            raise LinkUsedError

    def saved(self, user: User) -> None:
        if self.accepts_invitation and self.link and self.link.is_mailed:
            take_address_as_username(user)

    def told(self) -> Changes:
        """The maker of the link, who may have used it, and whether it was mailed or shown; empty if the owner asked for
        the link."""
        if self.link is None or self.link.maker_id is None:
            return {}
        maker = User.objects.get(pk=self.link.maker_id)
        return {"link made by": (None, maker), "link was": (None, "mailed" if self.link.is_mailed else "shown")}


class ChangeForm(NewPasswordForm, forms.PasswordChangeForm):
    """The form for people who know the old password. Guesses of it count as attempts to sign in."""

    action = "password.change"

    def __init__(self, user: User, *args: Any, request: HttpRequest | None = None, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        old: str = self.cleaned_data["old_password"]
        if authenticate(self.request, username=self.user.get_username(), password=old) is None:
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return old


class SetView(views.PasswordResetConfirmView):
    """The page behind a link. The link of a person who was deactivated does not work."""

    link: Link | None = None
    form_class = SetForm
    template_name = "accounts/password_set.html"
    success_url = reverse_lazy("sign-in")

    def get_user(self, uidb64: str) -> User | None:
        """The person whose password the link sets; None if there is none. From here on, Django checks the token with
        the tokens of this kind of link."""
        self.link = Link.read(uidb64)
        if self.link is None:
            return None
        self.token_generator = self.link.tokens
        return User.objects.filter(pk=self.link.person_id, is_active=True).first()

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"link": self.link}

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            response = super().form_valid(form)
        except LinkUsedError:
            self.validlink = False
            return self.render_to_response(self.get_context_data())
        user: User = form.user
        forget_attempts(user.username)
        messages.success(self.request, f"Your password is set. Sign in as {user.username}.")
        return response


class ChangeView(views.PasswordChangeView):
    form_class = ChangeForm
    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("password-change-done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}
