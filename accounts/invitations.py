"""Invitations: somebody becomes a member of an organization, and gets a link by which to choose a password."""

import logging
import secrets
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.audit import record
from accounts.directory import MAX_USERNAME
from accounts.models import SEEN_IN_CALLS, Organization, Role, Standing, User
from accounts.roles import check_role_change, replace_role

logger = logging.getLogger(__name__)

CONSOLE = "django.core.mail.backends.console.EmailBackend"


class LinkTokens(PasswordResetTokenGenerator):
    """Beside what Django knows, a link dies for good when its person is shut out; and one that was made for somebody
    else than a Super Admin, which an Admin may have seen, does not open a Super Admin's account.
    """

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        value = super()._make_hash_value(user, timestamp)
        return f"{value}{user.get_session_auth_hash()}{user.role is Role.SUPER_ADMIN}"


link_tokens = LinkTokens()


@dataclass(frozen=True, slots=True)
class Guest:
    """Who is invited. Without a ``handle``, the name that calls have used so far is found by the address."""

    email: str
    role: Role
    handle: str = ""
    first_name: str = ""
    last_name: str = ""


@transaction.atomic
def invite(guest: Guest, organization: Organization, *, by: User) -> User:
    """Make the guest a member who has no password yet. Whoever calls know by the handle already is taken over, so that
    past usage belongs to the member. ValidationError, for a field where it concerns one, if that cannot be.
    """
    email = guest.email.lower()
    handle = guest.handle or _handle_by_address(email, organization)
    person = _known_in_calls(handle, organization)
    try:
        check_address(email, person)
    except ValidationError as error:
        raise ValidationError({"email": error}) from error
    _make_way(email, person)
    person.username = person.email = email
    person.first_name, person.last_name = guest.first_name, guest.last_name
    person.is_active, person.date_joined = True, timezone.now()
    person.set_unusable_password()
    try:
        with transaction.atomic():
            person.save()
    except IntegrityError as error:
        raise ValidationError("Somebody else has just taken this address or name. Please try again.") from error
    check_role_change(person, guest.role, is_active=True, by=by)
    replace_role(person, guest.role)
    changes = {"role": (None, guest.role), "name in calls": (None, handle)}
    record("member.invite", email, by=by, organization=organization, changes=changes)
    return person


def _handle_by_address(email: str, organization: Organization) -> str:
    """The address, or the part before the @ where calls name somebody so."""
    name = email.partition("@")[0]
    known = User.objects.filter(SEEN_IN_CALLS, organization=organization, handle__in=[email, name])
    handles = set(known.values_list("handle", flat=True))
    return name if handles == {name} else email


def check_address(email: str, person: User) -> None:
    """ValidationError if another member has this address."""
    members = User.objects.exclude(SEEN_IN_CALLS).exclude(pk=person.pk)
    if members.filter(Q(username__iexact=email) | Q(email__iexact=email)).exists():
        raise ValidationError("Somebody with this address has an account already.", code="taken")


def _known_in_calls(handle: str, organization: Organization) -> User:
    """Whom calls name so, or a new person. ValidationError if that is a member already."""
    known = User.objects.select_for_update().filter(organization=organization, handle=handle).first()
    if known is not None and known.standing is not Standing.SEEN_IN_CALLS:
        raise ValidationError({"handle": f"Another member is called {handle} in calls already."}, code="taken")
    return known or User(organization=organization, handle=handle)


def _make_way(username: str, person: User) -> None:
    """Whom calls named after somebody else's address, in any organization, does not keep it: they never sign in."""
    squatters = User.objects.filter(SEEN_IN_CALLS, username=username).exclude(pk=person.pk)
    squatters.update(username=f"{username[: MAX_USERNAME - 17]}~{secrets.token_hex(8)}")


def password_link(request: HttpRequest, person: User) -> str:
    """Opens the page on which the person chooses a password, until it is used or PASSWORD_RESET_TIMEOUT is over."""
    uid, token = urlsafe_base64_encode(force_bytes(person.pk)), link_tokens.make_token(person)
    return request.build_absolute_uri(reverse("password-set", args=[uid, token]))


def sends_mail() -> bool:
    """Whether a mail server is configured. The console is for developers; nobody reads their mail there."""
    return bool(settings.EMAIL_BACKEND != CONSOLE)


def days_of_a_link() -> int:
    seconds: int = settings.PASSWORD_RESET_TIMEOUT
    return seconds // 86_400


def mail_link(link: str, person: User, *, by: User) -> bool:
    """Send the link to its person; whether that worked. What goes wrong is logged, without the link."""
    if not (person.email and sends_mail()):
        return False
    context = {"link": link, "person": person, "by": by, "days": days_of_a_link()}
    subject = " ".join(render_to_string("accounts/mail/link_subject.txt", context).split())
    try:
        send_mail(subject, render_to_string("accounts/mail/link.txt", context), None, [person.email])
    except (OSError, ValueError):  # the server's refusals are OSErrors, an impossible address is a ValueError
        logger.exception("The mail with the password link for %s could not be sent.", person.username)
        return False
    return True
