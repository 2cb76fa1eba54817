"""Who asks: a signed-in person, or a program with a key that may read; and what they may see."""

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.keyring import KeyEntry, KeyringNotReadyError, keyring
from accounts.models import ApiKey, User
from accounts.viewer import Viewer
from api.problems import UnavailableError

SCOPE = "read"
READY_SECONDS = 2.0
SIGN_IN = "Sign in, or send a key of this ledger that may read: Authorization: Bearer gul_…"


class KeyAuthentication(BaseAuthentication):
    """Authentication by a key of the ledger as a bearer token; ``request.auth`` is its entry. No person signs in."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, KeyEntry] | None:
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if not kind:
            return None
        entry = _entry_of(secret.strip()) if kind.lower() == "bearer" else None
        if entry is None:
            raise AuthenticationFailed("This key does not work. " + SIGN_IN)
        keyring.used(entry.id)
        return AnonymousUser(), entry

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _entry_of(secret: str) -> KeyEntry | None:
    """The key with this secret. The first request of a process waits for the keys."""
    try:
        return keyring.find(secret)
    except KeyringNotReadyError:
        if not keyring.wait_until_ready(READY_SECONDS):
            raise UnavailableError from None
        return keyring.find(secret)


class MayRead(BasePermission):
    message = f"This key may not read figures. Ask an Admin for a key with the scope {SCOPE!r}."

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.auth, KeyEntry):
            return SCOPE in request.auth.scopes
        return request.user.is_authenticated


AUTHENTICATION = (KeyAuthentication, SessionAuthentication)


def viewer_of(request: Request) -> Viewer:
    """What the person or the key may see. PermissionDenied if that is nothing."""
    viewer = _of_key(request.auth) if isinstance(request.auth, KeyEntry) else Viewer.of(request.user)
    if not viewer.sees_anything:
        raise PermissionDenied("You belong to no organization yet. Ask an Admin to invite you.")
    return viewer


def _of_key(entry: KeyEntry) -> Viewer:
    related = ("organization", "project__merged_into", "user__organization", "user__merged_into__organization")
    key = ApiKey.objects.select_related(*related).filter(pk=entry.id).first()
    return Viewer.nobody() if key is None else Viewer.of_key(key)


def caller_of(request: Request) -> str:
    """A text that stands for the person or the key, for limits."""
    if isinstance(request.auth, KeyEntry):
        return f"key-{request.auth.id}"
    return f"person-{request.user.pk}" if isinstance(request.user, User) else "nobody"
