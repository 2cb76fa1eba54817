"""Invitations: a person becomes a member of an organization and has yet to choose a password (``accounts.links``).

Organizations must not learn of each other's people. So an e-mail address may have an account in each organization, and
the answer to an invitation does not depend on other accounts with the address. A new member's username is the address
with the organization's slug. Once the owner of the address uses a link that was mailed there, the username becomes the
plain address, unless another account has it already. Pages and the audit trail show the address, never the username.
"""

import secrets
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.audit import record
from accounts.directory import MAX_USERNAME
from accounts.models import SEEN_IN_CALLS, Organization, Role, Standing, User
from accounts.names import folded, shortened, written
from accounts.roles import check_role_change, replace_role


@dataclass(frozen=True, slots=True)
class Guest:
    """The invited person. Without a ``handle``, the name that calls have used so far is looked up by the address."""

    email: str
    role: Role
    handle: str = ""
    first_name: str = ""
    last_name: str = ""


@transaction.atomic
def invite(guest: Guest, organization: Organization, *, by: User) -> User:
    """Make the guest a member who has yet to choose a password, with an audit record. ValidationError, for a field if
    it concerns one, if this is not possible.
    """
    person = become_member(guest, organization, by=by)
    changes = {"role": (None, guest.role), "name in calls": (None, person.handle)}
    record("member.invite", person.email, by=by, organization=organization, changes=changes)
    return person


def become_member(guest: Guest, organization: Organization, *, by: User | None) -> User:
    """Make the guest a member without a password. If calls have already named a person by the handle, that person
    becomes the member, with all past usage. ``by`` is None if an identity provider vouches for the guest. Call this in
    a transaction.
    """
    email = guest.email.lower()
    username = username_at(organization, email)
    handle = written(guest.handle) or _handle_by_address(email, organization)
    person = _known_in_calls(handle, organization)
    try:
        check_address(email, person, organization)
    except ValidationError as error:
        raise ValidationError({"email": error}) from error
    _make_way(username, person)
    person.username, person.email = username, email
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
    return person


def _handle_by_address(email: str, organization: Organization) -> str:
    """The part of the address before the @ if calls have used only that as a name; else the address."""
    name = email.partition("@")[0]
    keys = {folded(email): email, folded(name): name}
    known = User.objects.filter(SEEN_IN_CALLS, organization=organization, handle_key__in=keys)
    found = [keys[key] for key in known.values_list("handle_key", flat=True) if key]
    return name if found == [name] else email


def check_address(email: str, person: User, organization: Organization | None) -> None:
    """ValidationError if another member of the organization has this address. Other organizations do not matter."""
    members = User.objects.exclude(SEEN_IN_CALLS).exclude(pk=person.pk).filter(organization=organization)
    if members.filter(Q(username__iexact=email) | Q(email__iexact=email)).exists():
        raise ValidationError("Somebody with this address has an account already.", code="taken")


def username_at(organization: Organization | None, email: str) -> str:
    """The username of a member until the owner of the address is proved. It contains the organization's slug, so that
    it is free even if another organization has an account with this address.
    """
    return shortened(f"{email}@{organization.slug}" if organization else email, MAX_USERNAME)


def take_address_as_username(person: User) -> None:
    """Make the address the username of a person who used a link that was mailed there. If another account of the same
    owner has this username already, the person keeps the longer username. Call this in a transaction.
    """
    if person.username != username_at(person.organization, person.email):
        return  # A Super Admin has changed the username.
    _make_way(person.email, person)
    try:
        with transaction.atomic():
            User.objects.filter(pk=person.pk).update(username=person.email)
    except IntegrityError:
        return
    person.username = person.email


def _known_in_calls(handle: str, organization: Organization) -> User:
    """The person whom calls name by the handle, or a new one. ValidationError if that person is a member already."""
    key = folded(handle)
    found = User.objects.filter(Q(handle_key=key) | Q(aliases__handle_key=key), organization=organization)
    known = User.objects.select_for_update().filter(pk__in=found.values("pk")).first()
    if known is not None and known.standing is not Standing.SEEN_IN_CALLS:
        raise ValidationError({"handle": f"Another member is called {handle} in calls already."}, code="taken")
    return known or User(organization=organization, handle=handle)


def _make_way(username: str, person: User) -> None:
    """Free a username, by giving another one to a person who is only known from calls and has it. Such a person never
    signs in, so nobody notices."""
    squatters = User.objects.filter(SEEN_IN_CALLS, username=username).exclude(pk=person.pk)
    squatters.update(username=shortened(f"{username}~{secrets.token_hex(8)}", MAX_USERNAME))
