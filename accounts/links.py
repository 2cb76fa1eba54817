"""Links with which a person chooses a password. A link is mailed to the owner of the account, or shown to its maker."""

import logging
import re
from dataclasses import dataclass
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from accounts.database import let_go_of_the_database
from accounts.mail import mail
from accounts.models import Role, User

logger = logging.getLogger(__name__)

CONSOLE = "django.core.mail.backends.console.EmailBackend"
WRITTEN = re.compile(r"(?P<person>\d{1,18})(?:-(?P<maker>\d{1,18})-(?P<way>mailed|shown))?", re.ASCII)


class LinkTokens(PasswordResetTokenGenerator):
    """Django's tokens with more reasons to become invalid: the person was shut out, or became a Super Admin after the
    link was made, because an Admin may have seen it. ``of`` names a kind of link; a token of one kind is invalid for
    all others.
    """

    def __init__(self, of: str = "") -> None:
        super().__init__()
        self.key_salt = f"{self.key_salt} {of}"

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        value = super()._make_hash_value(user, timestamp)
        return f"{value}{user.get_session_auth_hash()}{user.role is Role.SUPER_ADMIN}"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that sets the password of ``person_id``. ``maker_id`` is the person who made it, None if the owner asked
    for it. It was mailed to the owner's address, or shown to its maker. The token protects all of these values.
    """

    person_id: int
    maker_id: int | None = None
    is_mailed: bool = True

    @classmethod
    def read(cls, uid: str) -> Self | None:
        """The link that ``uid``, the first part of the address, stands for, also as Django writes it; None for an
        invalid one."""
        try:
            match = WRITTEN.fullmatch(urlsafe_base64_decode(uid).decode())
        except ValueError:
            return None
        if match is None:
            return None
        maker = match["maker"]
        return cls(int(match["person"]), int(maker) if maker else None, match["way"] != "shown")

    @property
    def tokens(self) -> LinkTokens:
        return LinkTokens(self._how)

    def url(self, request: HttpRequest, person: User) -> str:
        """The address of the page on which the person chooses a password. It works once, for PASSWORD_RESET_TIMEOUT."""
        return request.build_absolute_uri(reverse("password-set", args=[self.uid, self.tokens.make_token(person)]))

    @property
    def uid(self) -> str:
        return urlsafe_base64_encode(f"{self.person_id}{self._how}".encode())

    @property
    def _how(self) -> str:
        return "" if self.maker_id is None else f"-{self.maker_id}-{'mailed' if self.is_mailed else 'shown'}"


def sends_mail() -> bool:
    """Whether a mail server is configured. The console backend for developers does not count."""
    return bool(settings.EMAIL_BACKEND != CONSOLE)


def days_of_a_link() -> int:
    seconds: int = settings.PASSWORD_RESET_TIMEOUT
    return seconds // 86_400


def can_be_mailed(person: User) -> bool:
    return bool(person.email) and sends_mail()


def shown_link(request: HttpRequest, person: User, *, by: User) -> str:
    """A link for ``by`` to pass on. Anybody who has it can choose the person's password."""
    return Link(person.pk, by.pk, is_mailed=False).url(request, person)


def mail_link(request: HttpRequest, person: User, *, by: User) -> bool:
    """Mail a link to the person; returns whether it was sent. A failure is logged without the link."""
    if not can_be_mailed(person):
        return False
    others = User.objects.filter(email__iexact=person.email, is_active=True).exclude(pk=person.pk)
    context = {"person": person, "by": by, "days": days_of_a_link(), "has_another_account": others.exists()}
    message = mail("link", person.email, Link(person.pk, by.pk).url(request, person), context)
    let_go_of_the_database()
    try:
        message.send()
    except (OSError, ValueError):  # The server refused, or the address is malformed.
        logger.exception("The mail with the password link for %s could not be sent.", person)
        return False
    return True
