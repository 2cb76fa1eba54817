"""Passkeys (WebAuthn): something that a person has, unlocked by a PIN or a finger, so that one is enough alone."""

from collections.abc import Mapping
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth
from django.core.exceptions import ValidationError
from django.utils import timezone
from fido2.webauthn import ResidentKeyRequirement, UserVerificationRequirement

from accounts.models import User

MAX_PASSKEYS = 10
WRONG = (ValidationError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What allauth and fido2 raise for an answer that is not one to our challenge, or is no answer at all."""


def options_to_add(person: User) -> Mapping[str, Any]:
    """What the browser needs to make a passkey. The challenge is kept in the session."""
    options, state = auth.get_server().register_begin(
        user=auth.build_user_payload(person),
        credentials=auth.get_credentials(person),
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    auth.set_state(state)
    return dict(options)


def options_to_show(person: User | None) -> Mapping[str, Any]:
    """What the browser needs to show a passkey: one of the person's, or (None) any of this host."""
    options, state = auth.get_server().authenticate_begin(
        credentials=auth.get_credentials(person) if person else None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    auth.set_state(state)
    return dict(options)


def add(person: User, name: str, credential: Any) -> bool:
    """Keep the passkey that the browser has made. False if the answer is not one to our challenge."""
    try:
        kept = _known_parts(credential)
        auth.parse_registration_response(kept)
        auth.complete_registration(kept)
    except WRONG:
        return False
    auth.WebAuthn.add(person, name, kept)
    return True


def _known_parts(credential: Any) -> dict[str, Any]:
    """The parts of a new passkey that are kept, whatever else was sent."""
    response = {part: str(credential["response"][part]) for part in ("clientDataJSON", "attestationObject")}
    named = {part: str(credential[part]) for part in ("id", "rawId", "type")}
    return {**named, "response": response, "clientExtensionResults": {}}


def owner_of(credential: Any, person: User | None = None) -> User | None:
    """The person whose passkey has signed our challenge; None if the answer is not right, or not from ``person``."""
    try:
        auth.parse_authentication_response(credential)
        owner = person or auth.extract_user_from_response(credential)
        passkey = auth.complete_authentication(owner, credential)
    except WRONG:
        return None
    Authenticator.objects.filter(pk=passkey.pk).update(last_used_at=timezone.now())
    return User.objects.filter(pk=owner.pk, is_active=True).first()
