"""The organizations' own keys for Groq, encrypted at rest (Fernet: AES and HMAC).

The keys of the encryption are the setting PROVIDER_KEY_SECRET: one or more, separated by commas. The first encrypts,
and all of them decrypt, so that they can be changed: put a new one in front, run ``manage.py encrypt_provider_keys``,
and take the old one away.
"""

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from accounts.audit import record
from accounts.models import Organization, ProviderKey, User

MISSING = (
    "The server has no PROVIDER_KEY_SECRET, so that it cannot keep a key safely. Whoever runs it can make one with:"
    ' python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)


class UnreadableProviderKeyError(Exception):
    """None of the keys in PROVIDER_KEY_SECRET decrypts a stored provider key."""


def keeps_provider_keys() -> bool:
    """Whether the server has a key to encrypt with, so that organizations may have their own keys for Groq."""
    return bool(settings.PROVIDER_KEY_SECRETS)


@sensitive_variables("key")
def set_provider_key(organization: Organization, key: str, *, by: User) -> None:
    """Encrypt and store an organization's key for Groq, instead of a former one. ValidationError without
    PROVIDER_KEY_SECRET."""
    encrypted, ending = _fernet().encrypt(key.encode()).decode(), key[-4:]
    with transaction.atomic():
        former = ProviderKey.objects.select_for_update().filter(organization=organization).first()
        ProviderKey.objects.update_or_create(
            organization=organization, defaults={"encrypted": encrypted, "ending": ending, "set_by": by}
        )
        changes = {"key for Groq": (former, f"…{ending}")}
        record("provider_key.set", str(organization), by=by, organization=organization, changes=changes)


def remove_provider_key(organization: Organization, *, by: User) -> None:
    """Remove an organization's key for Groq, so that its calls use the server's. Nothing happens without one."""
    with transaction.atomic():
        former = ProviderKey.objects.select_for_update().filter(organization=organization).first()
        if former is not None:
            former.delete()
            changes = {"key for Groq": (former, None)}
            record("provider_key.remove", str(organization), by=by, organization=organization, changes=changes)


def encrypt_again() -> int:
    """Encrypt all stored keys with the first key of PROVIDER_KEY_SECRET. Returns their number. Raises
    UnreadableProviderKeyError, and changes nothing, if one cannot be decrypted."""
    with transaction.atomic():
        rows = list(ProviderKey.objects.select_for_update().order_by("pk"))
        for row in rows:
            ProviderKey.objects.filter(pk=row.pk).update(
                encrypted=_fernet().encrypt(decrypted(row.encrypted).encode()).decode()
            )
    return len(rows)


@sensitive_variables()
def decrypted(encrypted: str) -> str:
    """A stored key in clear. UnreadableProviderKeyError if no key of PROVIDER_KEY_SECRET fits."""
    try:
        return _fernet().decrypt(encrypted).decode()
    except (InvalidToken, ValidationError) as error:
        raise UnreadableProviderKeyError("PROVIDER_KEY_SECRET has no key that decrypts a provider key.") from error


def unreadable_provider_keys() -> list[str]:
    """The slugs of the organizations whose stored key cannot be decrypted."""
    return [
        key.organization.slug for key in ProviderKey.objects.select_related("organization") if not _is_readable(key)
    ]


def _is_readable(key: ProviderKey) -> bool:
    try:
        decrypted(key.encrypted)
    except UnreadableProviderKeyError:
        return False
    return True


def _fernet() -> MultiFernet:
    if not settings.PROVIDER_KEY_SECRETS:
        raise ValidationError(MISSING, code="no_secret")
    return _made(tuple(settings.PROVIDER_KEY_SECRETS))


@lru_cache(maxsize=1)
def _made(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])
