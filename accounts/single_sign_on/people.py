"""The account of somebody whom the identity provider vouches for: found by the provider's own id, else by a verified
address, else made. Nobody comes in here who was shut out, and nobody is a Super Admin unless the settings say so."""

import logging

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.audit import Changes, record
from accounts.invitations import Guest, become_member, take_address_as_username
from accounts.models import SEEN_IN_CALLS, Organization, Role, User
from accounts.roles import set_role
from accounts.single_sign_on.claims import Newcomer

logger = logging.getLogger("usage.sign_in")


class NotLetInError(Exception):
    """This person does not come in. The message says to them what to do."""


NO_ORGANIZATION = "Your company's sign-in does not say which organization you belong to. Ask your Super Admin."
NO_ROLE = "Your company's sign-in gives you no role here. Ask your Super Admin."
NO_ADDRESS = "Your company's sign-in does not vouch for your e-mail address, which an account here needs."
SHUT_OUT = "This account is not active. Ask an Admin of your organization."
TAKEN = "There is an account already that this sign-in may not take over. Ask your Super Admin."


@transaction.atomic
def person_of(newcomer: Newcomer) -> User:
    """The person's account, brought up to date. NotLetInError if they do not come in."""
    identity = SocialAccount.objects.select_related("user__merged_into").filter(
        provider=settings.OIDC_ISSUER, uid=newcomer.subject
    )
    known = identity.first()
    if known is not None:
        return _updated(_active(known.user.current), newcomer)
    organization, role = _place(newcomer)
    if not newcomer.email:
        raise NotLetInError(NO_ADDRESS)
    person = _linked(newcomer, organization, role) or _made(newcomer, organization, role)
    SocialAccount.objects.create(user=person, provider=settings.OIDC_ISSUER, uid=newcomer.subject)
    return _updated(person, newcomer)


def _place(newcomer: Newcomer) -> tuple[Organization, Role]:
    organization = Organization.objects.filter(slug=newcomer.organization).first() if newcomer.organization else None
    if organization is None:
        raise NotLetInError(NO_ORGANIZATION)
    if newcomer.role is None:
        raise NotLetInError(NO_ROLE)
    return organization, newcomer.role


def _active(person: User) -> User:
    if not person.is_active:
        raise NotLetInError(SHUT_OUT)
    return person


def _linked(newcomer: Newcomer, organization: Organization, role: Role) -> User | None:
    """The member of the organization with this verified address, from now on known by the provider's id; None if there
    is none. An account of a Super Admin is linked only to somebody whom the settings make one."""
    members = User.objects.select_for_update().exclude(SEEN_IN_CALLS).filter(organization=organization)
    found = list(members.filter(email__iexact=newcomer.email, merged_into=None)[:2])
    if not found:
        return None
    person = _active(found[0])
    is_other = SocialAccount.objects.filter(user=person, provider=settings.OIDC_ISSUER).exists()
    if len(found) > 1 or is_other or (person.role is Role.SUPER_ADMIN and role is not Role.SUPER_ADMIN):
        raise NotLetInError(TAKEN)
    changes: Changes = {"single sign-on": (None, settings.OIDC_NAME)}
    record("member.link", str(person), by=None, organization=organization, changes=changes)
    return person


def _made(newcomer: Newcomer, organization: Organization, role: Role) -> User:
    """A new member. Calls that have named the person so far become theirs, as by an invitation."""
    guest = Guest(newcomer.email, role, first_name=newcomer.first_name, last_name=newcomer.last_name)
    try:
        person = become_member(guest, organization, by=None)
    except ValidationError as error:
        logger.warning("%s could not be made a member: %s", newcomer.email, "; ".join(error.messages))
        raise NotLetInError(TAKEN) from error
    take_address_as_username(person)
    changes: Changes = {
        "single sign-on": (None, settings.OIDC_NAME), "role": (None, role), "name in calls": (None, person.handle),
    }  # fmt: skip
    record("member.join", str(person), by=None, organization=organization, changes=changes)
    return person


def _updated(person: User, newcomer: Newcomer) -> User:
    """With OIDC_UPDATES, the person gets the organization and the role that the claims give now. Somebody to whom they
    give none does not come in."""
    if not settings.OIDC_UPDATES:
        return person
    organization, role = _place(newcomer)
    if person.organization_id != organization.pk and not (person.organization is None and role is Role.SUPER_ADMIN):
        _move(person, organization)
    try:
        set_role(person, role)
    except ValidationError:
        logger.warning("%s stays the last Super Admin, although the claims say %s.", person, role)
    return person


def _move(person: User, organization: Organization) -> None:
    """Move the person to another organization. Each of both audit trails has a record, and neither names the other."""
    left = person.organization
    person.organization = organization
    try:
        with transaction.atomic():
            person.save()
    except IntegrityError as error:
        raise NotLetInError(TAKEN) from error
    if left is not None:
        record("member.leave", str(person), by=None, organization=left, changes={"organization": (left, None)})
    changes: Changes = {"organization": (None, organization)}
    record("member.join", str(person), by=None, organization=organization, changes=changes)
