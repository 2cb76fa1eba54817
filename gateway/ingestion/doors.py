"""What both doors have in common: the key, the places, the body, and the answer while the database is away."""

from functools import cache
from typing import Any

import django.db
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.bearer import AWAY_SECONDS, KeyAuthentication, OneForm
from accounts.keyring import KeyEntry
from accounts.places import NoPlaceError, Places
from gateway.ingestion.bodies import BodyRefusedError, body_of
from gateway.ingestion.entrance import NO_PLACE
from gateway.ingestion.intake import OrganizationGoneError
from gateway.rates import TOLD, OverRateError, Rates, shared_windows
from ledger.recording.record import MAY_PASS

AWAY = (*MAY_PASS, django.db.OperationalError, django.db.InterfaceError)
SCOPE = "ingest"
PLACES = Places(settings.INGEST_AT_ONCE, max(1, settings.INGEST_AT_ONCE // 2))
"""The places for requests that are being recorded. One key can take half of them."""
BUSY_SECONDS = 1
"""How long a sender should wait before it sends the same again, if there was no place."""
AWAY_MESSAGE = "The database is away. Send this again: what is recorded already is not recorded twice."


@cache
def rates() -> Rates:
    """What each key has told within the last minute."""
    return Rates(shared_windows(), TOLD)


class RefusalError(APIException):
    """An answer in place of a result. ``wait`` seconds are told to the sender as Retry-After."""

    def __init__(self, status: int, message: str, wait: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status
        if wait is not None:
            self.wait = wait


class OnlyByKey(KeyAuthentication):
    """No request comes in without a key."""

    refusal = "Send a key of this ledger: Authorization: Bearer gul_…"
    away = AWAY_MESSAGE

    def authenticate(self, request: Request) -> tuple[AnonymousUser, KeyEntry]:
        authenticated = super().authenticate(request)
        if authenticated is None:
            raise AuthenticationFailed(self.refusal)
        return authenticated


class MayIngest(BasePermission):
    message = f"This key may not send events. Ask an Admin for a key with the scope {SCOPE!r}."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, KeyEntry) and SCOPE in request.auth.scopes


class Door(APIView):
    """A view for programs with a key. A subclass has ``enter``."""

    over_rate_status = 429

    authentication_classes = (OnlyByKey,)
    permission_classes = (MayIngest,)
    content_negotiation_class = OneForm
    http_method_names = ["post", "options"]

    def post(self, request: Request) -> Any:
        """Answer, while a place is held. Errors that pass become 503 with Retry-After: sending again changes nothing
        that is recorded already."""
        key = request.auth
        assert isinstance(key, KeyEntry)
        try:
            if NO_PLACE in getattr(request._request, "scope", {}):
                raise NoPlaceError
            with PLACES.taken(key.id):
                rates().let_in(key)
                body = body_of(request._request, settings.INGEST_MAX_MB << 20)
                return self.enter(request, key, body)
        except NoPlaceError:
            raise RefusalError(503, "Too many requests are being recorded. Send this again.", BUSY_SECONDS) from None
        except OverRateError as error:
            raise RefusalError(self.over_rate_status, str(error), error.seconds) from None
        except BodyRefusedError as error:
            raise RefusalError(error.status, str(error)) from None
        except OrganizationGoneError:
            raise RefusalError(403, "The organization of this key does not exist any more.") from None
        except AWAY:
            raise RefusalError(503, AWAY_MESSAGE, AWAY_SECONDS) from None

    def enter(self, request: Request, key: KeyEntry, body: bytes) -> Any:
        raise NotImplementedError
