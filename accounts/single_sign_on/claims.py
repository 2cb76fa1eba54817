"""What the claims of an identity provider mean here: an organization, a role, a name and an address."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from accounts.forms import MAX_ADDRESS
from accounts.models import Role

Claims = Mapping[str, Any]
LONGEST_NAME = 150


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody whom the provider vouches for. ``subject`` is the provider's own id, which is never given to others."""

    subject: str
    email: str
    """A verified address in small letters; "" if there is none."""
    first_name: str
    last_name: str
    organization: str | None
    """The slug of the organization; None if the claims name none that the settings know."""
    role: Role | None
    """None for somebody whom no role is meant for."""
    has_second_factor: bool
    """Whether the provider says that a second factor was shown."""


def newcomer(claims: Claims) -> Newcomer:
    first, last = _names(claims)
    methods = set(_texts(claims.get("amr")))
    return Newcomer(
        subject=claims["sub"],
        email=_email(claims),
        first_name=first,
        last_name=last,
        organization=_organization(claims),
        role=_role(claims),
        has_second_factor=not methods.isdisjoint(settings.OIDC_SECOND_FACTOR_METHODS),
    )


def _organization(claims: Claims) -> str | None:
    """The organization that the claim names, by OIDC_ORGANIZATIONS or, without that, by its slug."""
    if not settings.OIDC_ORGANIZATION_CLAIM:
        return str(settings.OIDC_ORGANIZATION)
    named = _texts(_claim(claims, settings.OIDC_ORGANIZATION_CLAIM))
    if not settings.OIDC_ORGANIZATIONS:
        return named[0] if named else None
    return next((slug for value, slug in settings.OIDC_ORGANIZATIONS.items() if value in named), None)


def _role(claims: Claims) -> Role | None:
    """The strongest role that OIDC_ROLES gives for the values of the claim, else OIDC_DEFAULT_ROLE."""
    named = _texts(_claim(claims, settings.OIDC_ROLE_CLAIM)) if settings.OIDC_ROLE_CLAIM else []
    given = {settings.OIDC_ROLES[value] for value in named if value in settings.OIDC_ROLES}
    strongest = next((role for role in Role if role in given), None)
    return strongest or (Role(settings.OIDC_DEFAULT_ROLE) if settings.OIDC_DEFAULT_ROLE else None)


def _email(claims: Claims) -> str:
    """The address, if the provider says that it was verified, or OIDC_TRUST_EMAIL says so for all of them."""
    email, is_verified = claims.get("email"), claims.get("email_verified")
    if not isinstance(email, str) or not (is_verified in (True, "true") or settings.OIDC_TRUST_EMAIL):
        return ""
    try:
        validate_email(email)
    except ValidationError:
        return ""
    return email.lower() if len(email) <= MAX_ADDRESS else ""


def _names(claims: Claims) -> tuple[str, str]:
    whole = _name(claims.get("name")).partition(" ")
    first, last = _name(claims.get("given_name")), _name(claims.get("family_name"))
    return (first, last) if first or last else (whole[0], whole[2])


def _name(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:LONGEST_NAME]


def _claim(claims: Claims, name: str) -> object:
    """The claim of this name, or the one that a name with dots leads to, such as ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(value: object) -> list[str]:
    """A claim that is a text or a list of texts, as a list."""
    values: Iterable[object] = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]
