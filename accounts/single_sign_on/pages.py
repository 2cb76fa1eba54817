"""The way to the identity provider and back."""

import logging

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.arrival import PENDING_SECONDS, arrive, checked_next
from accounts.client_address import client_address
from accounts.confirmation import CONFIRMED_AT
from accounts.places import NoPlaceError, Places
from accounts.second_factor.sign_in import VISITS
from accounts.single_sign_on.claims import newcomer
from accounts.single_sign_on.people import NotLetInError, person_of
from accounts.single_sign_on.provider import NoIdentityError, identity, is_configured, way_to_provider

logger = logging.getLogger("usage.sign_in")

PLACES = Places(total=8, per_person=4)
"""The places for requests that wait for the identity provider, in this process; a "person" is a client's address."""
NO_IDENTITY = "Your company's sign-in did not work. Please try again."


@require_POST
@never_cache
def go(request: HttpRequest) -> HttpResponse:
    """Sends somebody to the identity provider, by a page that says where they go: browsers would take a redirect of the
    form itself for a form that leads elsewhere. Whoever is signed in confirms who they are, so that they are asked."""
    _check()
    address = client_address(request)
    if not VISITS.allows(address):
        raise NoPlaceError
    if not request.user.is_authenticated:
        request.session.set_expiry(PENDING_SECONDS)
    try:
        with PLACES.taken(address):
            way = way_to_provider(request, checked_next(request, "start"), anew=request.user.is_authenticated)
    except NoIdentityError as error:
        return _refused(request, error, NO_IDENTITY)
    return render(request, "accounts/sso_onwards.html", {"way": way, "name": settings.OIDC_NAME})


@require_safe
@never_cache
def come_back(request: HttpRequest) -> HttpResponse:
    """Takes whoever comes back from the identity provider in, or says why not."""
    _check()
    try:
        with PLACES.taken(client_address(request)):
            claims, then = identity(request)
        guest = newcomer(claims)
        person = person_of(guest)
    except NoIdentityError as error:
        return _refused(request, error, NO_IDENTITY)
    except NotLetInError as error:
        return _refused(request, error, str(error))
    answer = arrive(request, person, then or resolve_url("start"), is_proven=guest.has_second_factor)
    _note_when(request, claims.get("auth_time"))
    return answer


def _note_when(request: HttpRequest, told: object) -> None:
    """Whom the provider knew already, and did not ask, has not just proved who they are."""
    if isinstance(told, int) and CONFIRMED_AT in request.session:
        request.session[CONFIRMED_AT] = min(request.session[CONFIRMED_AT], told)


def _check() -> None:
    if not is_configured():
        raise Http404


def _refused(request: HttpRequest, error: Exception, told: str) -> HttpResponse:
    logger.warning("Single sign-on from %s was refused: %s", client_address(request), error)
    return render(request, "accounts/sso_refused.html", {"reason": told}, status=403)
