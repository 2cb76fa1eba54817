"""Making, rotating and revoking the keys of programs. Every change is audited, and no secret is ever stored or logged.

A secret is ``gul_``, 32 random letters and digits (190 bits), and a checksum of 6 more. Scanners that look for leaked
secrets recognise it by its beginning, and confirm it by its checksum.
"""

import hashlib
import secrets
import string
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts.audit import record
from accounts.models import ApiKey, Organization, User

PREFIX = "gul_"
RANDOM_LENGTH = 32
CHECKSUM_LENGTH = 6
ENDING_LENGTH = 4
MAX_KEYS = 1_000
"""At most this number of keys of an organization, tokens apart, are not revoked. Each process has all of them in
memory."""
MAX_TOKENS = 5_000
"""At most this number of tokens of an organization's people are not revoked. They have room of their own, so that the
tokens of many people leave the programs theirs."""
MAX_TOKENS_OF_PERSON = 20
TOKENS = Q(user=F("created_by"), may_read=True, may_call=False, may_ingest=False)
"""The keys that are tokens: a person made them for the own reading. ``ApiKey.is_token`` says the same."""
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRETS = len(ALPHABET) ** RANDOM_LENGTH
"""The number of different secrets."""


def new_secret() -> str:
    """A new secret."""
    return secret_of(secrets.randbelow(SECRETS))


def secret_of(number: int) -> str:
    """The secret that a number stands for: its last RANDOM_LENGTH digits in our alphabet, and the rest of a secret."""
    text = PREFIX + _digits(number, RANDOM_LENGTH)
    return text + _digits(crc32(text.encode()), CHECKSUM_LENGTH)


def digest_of(secret: str) -> bytes:
    """What is stored of a secret. A fast hash is enough, since nobody can guess 190 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _digits(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


@sensitive_variables("secret")
def create(key: ApiKey, *, by: User, secret: str = "") -> str:
    """Save a new key and return its secret, which cannot be shown again; a new one unless the caller has made it.
    ValidationError if another key of the organization has the name, or if there is no room for one more."""
    secret = secret or new_secret()
    key.digest, key.ending, key.created_by = digest_of(secret), secret[-ENDING_LENGTH:], by
    with transaction.atomic():
        _check_room(key, by)
        try:
            with transaction.atomic():
                key.save()
        except IntegrityError:
            raise ValidationError({"name": "Another key has this name. Please choose another."}, code="taken") from None
        given = {
            "project": key.project,
            "person": key.user and key.user.display_name,
            "scopes": ", ".join(sorted(key.scopes)),
            "requests a minute": key.requests_per_minute,
            "tokens a minute": key.tokens_per_minute,
            "expires": key.expires_at,
            "secret": f"…{key.ending}",
        }
        _record("key.create", key, by, {name: (None, value) for name, value in given.items() if value is not None})
    return secret


def tokens_of(person: User) -> "QuerySet[ApiKey]":
    """The tokens that a person made and that are not revoked."""
    return ApiKey.objects.filter(TOKENS, user=person, revoked_at=None)


def _check_room(key: ApiKey, by: User) -> None:
    """ValidationError if there are as many keys, or tokens, as there may be. The locks let one key be made at a
    time."""
    Organization.objects.select_for_update(no_key=True).get(pk=key.organization_id)
    keys = ApiKey.objects.filter(organization=key.organization_id, revoked_at=None)
    tokens = keys.filter(TOKENS).count()
    if not key.is_token:
        _check_fewer(keys.count() - tokens, MAX_KEYS, "There are {:,} keys already. Please revoke one before.")
        return
    _check_fewer(tokens, MAX_TOKENS, "Your organization has {:,} tokens already. Please ask an Admin to revoke some.")
    person = User.objects.select_for_update(no_key=True).get(pk=by.pk)
    _check_fewer(tokens_of(person).count(), MAX_TOKENS_OF_PERSON, "You have {} tokens. Please revoke one before.")


def _check_fewer(number: int, most: int, message: str) -> None:
    if number >= most:
        raise ValidationError(message.format(most), code="full")


@sensitive_variables("secret")
def add_secret(key: ApiKey, *, by: User) -> str:
    """Give a key a second secret and return it. Both work until ``drop_first_secret``. ValidationError if the key has
    two secrets already, or is revoked."""
    secret = new_secret()
    with transaction.atomic():
        key = _locked(key)
        if key.next_digest is not None:
            raise ValidationError("This key has a second secret already. Drop the first one before.", code="rotating")
        key.next_digest, key.next_ending = digest_of(secret), secret[-ENDING_LENGTH:]
        key.save(update_fields=["next_digest", "next_ending"])
        _record("key.rotate", key, by, {"second secret": (None, f"…{key.next_ending}")})
    return secret


def drop_first_secret(key: ApiKey, *, by: User) -> None:
    """End a rotation: only the second secret works from now on. ValidationError if there is none."""
    with transaction.atomic():
        key = _locked(key)
        if key.next_digest is None:
            raise ValidationError("This key has only one secret.", code="not_rotating")
        former = key.ending
        key.digest, key.ending, key.next_digest, key.next_ending = key.next_digest, key.next_ending, None, ""
        key.save(update_fields=["digest", "ending", "next_digest", "next_ending"])
        _record("key.drop_secret", key, by, {"secret": (f"…{former}", f"…{key.ending}")})


@sensitive_variables("secret")
def replace_secret(key: ApiKey, *, by: User) -> str:
    """Give a key another secret and return it. The former one ends at once, and so does a rotation. ValidationError if
    the key is revoked."""
    secret = new_secret()
    with transaction.atomic():
        key = _locked(key)
        former = key.ending
        key.digest, key.ending, key.next_digest, key.next_ending = digest_of(secret), secret[-ENDING_LENGTH:], None, ""
        key.save(update_fields=["digest", "ending", "next_digest", "next_ending"])
        _record("key.replace_secret", key, by, {"secret": (f"…{former}", f"…{key.ending}")})
    return secret


def revoke(key: ApiKey, *, by: User) -> None:
    """Revoke a key for good. ValidationError if it is revoked already."""
    with transaction.atomic():
        key = _locked(key)
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        _record("key.revoke", key, by, {"revoked": (None, key.revoked_at.isoformat(timespec="seconds"))})


def _locked(key: ApiKey) -> ApiKey:
    """The key as it is stored, locked. ValidationError if it is revoked."""
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("organization").get(pk=key.pk)
    if key.revoked_at is not None:
        raise ValidationError("This key is revoked. Please make a new one.", code="revoked")
    return key


def _record(action: str, key: ApiKey, by: User, changes: Mapping[str, tuple[Any, Any]]) -> None:
    record(action, str(key), by=by, organization=key.organization, changes=changes)
