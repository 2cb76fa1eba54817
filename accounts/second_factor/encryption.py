"""The encryption at rest of what an app makes its codes of (Fernet: AES and HMAC).

PROVIDER_KEY_SECRET encrypts if it is set. Else a key made of SECRET_KEY does, which also goes on to decrypt what it has
encrypted. Former keys are values of PROVIDER_KEY_SECRET behind the first one, or of SECRET_KEY_FALLBACKS.
"""

import base64

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from accounts.models import User

ISSUER = "Groq usage"
INFO = b"accounts.second_factor"
"""Keeps the key of this purpose apart from those of others that are made of SECRET_KEY."""


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types
    """What allauth asks of us about second factors."""

    def encrypt(self, text: str) -> str:
        return _fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Raises cryptography's InvalidToken if none of the present keys has encrypted this."""
        return _fernet().decrypt(encrypted_text).decode()

    def get_totp_issuer(self) -> str:
        return ISSUER

    def get_totp_label(self, user: User) -> str:
        return str(user)


def encrypted_again(text: str) -> str:
    """A stored text, encrypted with the first of the present keys."""
    return _fernet().rotate(text).decode()


def _fernet() -> MultiFernet:
    derived = [_derived(str(key)) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]
    keys: list[bytes | str] = [*settings.PROVIDER_KEY_SECRETS, *derived]
    return MultiFernet([Fernet(key) for key in keys])


def _derived(secret: str) -> bytes:
    return base64.urlsafe_b64encode(HKDF(SHA256(), 32, salt=None, info=INFO).derive(secret.encode()))
