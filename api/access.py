"""Who asks: a signed-in person, or a program with a key that may read; and what they may see."""

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.bearer import KeyAuthentication
from accounts.keyring import KeyEntry
from accounts.models import ApiKey, User
from accounts.viewer import Viewer

SCOPE = "read"
SIGN_IN = "Sign in, or send a key of this ledger that may read: Authorization: Bearer gul_…"
AUTHENTICATION = (KeyAuthentication, SessionAuthentication)


class MayRead(BasePermission):
    message = f"This key may not read figures. Ask an Admin for a key with the scope {SCOPE!r}."

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.auth, KeyEntry):
            return SCOPE in request.auth.scopes
        if not request.user.is_authenticated:
            raise NotAuthenticated(SIGN_IN)
        return True


def viewer_of(request: Request) -> Viewer:
    """What the person or the key may see. PermissionDenied if that is nothing."""
    if isinstance(request.auth, KeyEntry):
        key = key_of(request.auth)
        viewer, nothing = Viewer.of_key(key) if key else Viewer.nobody(), "The person of this key may see nothing."
    else:
        person = _person_of(request)
        viewer, nothing = Viewer.of(person), "You belong to no organization yet. Ask an Admin to invite you."
        if isinstance(person, User) and person.lacks_second_factor:
            nothing = "Your role needs a second factor. Set one up on the page Security of your account menu."
    if not viewer.sees_anything:
        raise PermissionDenied(nothing)
    return viewer


def key_of(entry: KeyEntry) -> ApiKey | None:
    """The key itself, with what it is for; None if it was deleted meanwhile."""
    related = ("organization", "project__merged_into", "user__organization", "user__merged_into__organization")
    return ApiKey.objects.select_related(*related).filter(pk=entry.id).first()


def caller_of(request: Request) -> str:
    """A text that stands for the person or the key, for limits."""
    if isinstance(request.auth, KeyEntry):
        return f"key-{request.auth.id}"
    return f"person-{request.user.pk}"


def _person_of(request: Request) -> User | AnonymousUser:
    assert isinstance(request.user, User | AnonymousUser)
    return request.user
