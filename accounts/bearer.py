"""What the doors for programs that Django answers have in common: a key as a bearer token, and answers of one form."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request

from accounts.current_request import note_caller
from accounts.keyring import KeyEntry, KeyringNotReadyError, keyring

READY_SECONDS = 2.0
"""How long the first request of a process waits for the keys."""
AWAY_SECONDS = 5


class KeysAwayError(APIException):
    """No keys could be read yet. ``wait`` is told to the sender as Retry-After."""

    status_code = 503
    wait = AWAY_SECONDS


class KeyAuthentication(BaseAuthentication):
    """Authentication by a key as a bearer token; ``request.auth`` is its entry. No person signs in. A request without
    the header is left to other ways of authentication."""

    refusal = "This key does not work. Send a key of this ledger: Authorization: Bearer gul_…"
    away = "The database is away. Please try again."

    def authenticate(self, request: Request) -> tuple[AnonymousUser, KeyEntry] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        kind, _, secret = header.partition(" ")
        entry = self._entry_of(secret.strip()) if kind.lower() == "bearer" else None
        if entry is None:
            raise AuthenticationFailed(self.refusal)
        keyring.used(entry.id)
        note_caller(entry.organization, entry.id)
        return AnonymousUser(), entry

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def _entry_of(self, secret: str) -> KeyEntry | None:
        """The key with this secret."""
        try:
            return keyring.find(secret)
        except KeyringNotReadyError:
            if not keyring.wait_until_ready(READY_SECONDS):
                raise KeysAwayError(self.away) from None
            return keyring.find(secret)


class OneForm(BaseContentNegotiation):
    """Answers have one form, whatever the caller accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type
