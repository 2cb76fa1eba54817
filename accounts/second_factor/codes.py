"""Codes to type: of an app (TOTP, RFC 6238), and recovery codes. Each works once, in whatever process it is shown."""

import base64
import hashlib
import logging
import secrets
from contextlib import suppress

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from cryptography.fernet import InvalidToken
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.models import User
from accounts.second_factor.encryption import encrypted_again

logger = logging.getLogger(__name__)

RECOVERY_CODES = 10
RECOVERY_BYTES = 15
"""120 random bits, so that a plain hash of a code is as good as a slow one."""
LETTERS_IN_A_ROW = 4


def counter_of(secret: str, code: str) -> int | None:
    """The counter of the half minute in which an app with this secret shows this code; None if it shows another now.
    The half minutes before and after this one count too, since clocks differ."""
    digits = code.replace(" ", "")
    for counter in auth.yield_hotp_counters_from_time():
        if constant_time_compare(auth.format_hotp_value(auth.hotp_value(secret, counter)), digits):
            return int(counter)
    return None


def add_app(person: User, secret: str, counter: int) -> bool:
    """Keep the secret of an app, whose first code was that of the counter. False if the person has an app already."""
    data = {"secret": get_adapter().encrypt(secret), "counter": counter}
    _, is_new = Authenticator.objects.get_or_create(user=person, type=Authenticator.Type.TOTP, defaults={"data": data})
    return bool(is_new)


def make_recovery_codes(person: User) -> list[str]:
    """New recovery codes, instead of former ones. Only their hashes are kept, so they can be shown only now."""
    codes = [base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    Authenticator.objects.update_or_create(
        user=person,
        type=Authenticator.Type.RECOVERY_CODES,
        defaults={"data": {"digests": [_digest(code) for code in codes]}, "created_at": timezone.now()},
    )
    return ["-".join(code[n : n + LETTERS_IN_A_ROW] for n in range(0, len(code), LETTERS_IN_A_ROW)) for code in codes]


@transaction.atomic
def is_right(person: User, code: str) -> bool:
    """Whether this is a code of the person's app or a recovery code, which is used up then."""
    kinds = {Authenticator.Type.TOTP: _uses_app, Authenticator.Type.RECOVERY_CODES: _uses_recovery_code}
    rows = Authenticator.objects.select_for_update().filter(user=person, type__in=kinds).order_by("pk")
    return any(kinds[row.type](row, code) for row in rows)


def recovery_codes_left(person: User) -> int:
    row = Authenticator.objects.filter(user=person, type=Authenticator.Type.RECOVERY_CODES).first()
    return len(row.data["digests"]) if row else 0


@transaction.atomic
def encrypt_apps_again() -> int:
    """Encrypt the secrets of all apps with the first of the present keys. Returns how many could be decrypted."""
    count = 0
    for row in Authenticator.objects.select_for_update().filter(type=Authenticator.Type.TOTP).order_by("pk"):
        with suppress(InvalidToken):
            row.data["secret"] = encrypted_again(row.data["secret"])
            row.save(update_fields=["data"])
            count += 1
    return count


def _uses_app(row: Authenticator, code: str) -> bool:
    try:
        secret = get_adapter().decrypt(row.data["secret"])
    except InvalidToken:
        logger.error("The codes of %s cannot be checked: SECRET_KEY or PROVIDER_KEY_SECRET is another one.", row.user)
        return False
    counter = counter_of(secret, code)
    if counter is None or counter <= row.data["counter"]:
        return False
    row.data["counter"] = counter
    row.last_used_at = timezone.now()
    row.save(update_fields=["data", "last_used_at"])
    return True


def _uses_recovery_code(row: Authenticator, code: str) -> bool:
    digests, digest = row.data["digests"], _digest(code)
    if digest not in digests:
        return False
    digests.remove(digest)
    row.last_used_at = timezone.now()
    row.save(update_fields=["data", "last_used_at"])
    return True


def _digest(code: str) -> str:
    """The hash of a recovery code, however its letters are grouped."""
    return hashlib.sha256("".join(filter(str.isalnum, code.lower())).encode()).hexdigest()
