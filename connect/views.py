"""The page Connect: programs to copy, a key to put into them, and the call that comes when one of them runs."""

import logging
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from accounts.decorators import actor_of, with_viewer
from accounts.models import Organization, ProviderKey
from accounts.organization_choice import chosen_organization, organizations_to_choose
from accounts.viewer import Viewer
from analytics.failure import is_partial
from analytics.reports import snapshot
from connect.arrival import Arrival
from connect.fresh_key import fresh_key
from connect.snippets import PLACEHOLDER, groups
from connect.watch import Watch

logger = logging.getLogger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_variables()
@with_viewer
def connect(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The page. Posting makes a key, whose secret is in this one answer and nowhere else."""
    organization = chosen_organization(request, viewer)
    may_make_keys = viewer.may_administer(organization.pk)
    if request.method == "POST" and not may_make_keys:
        raise PermissionDenied
    context = {
        "viewer": viewer,
        "organization": organization,
        "organizations": organizations_to_choose(viewer),
        "may_make_keys": may_make_keys,
        "reaches_groq": _reaches_groq(organization),
        "has_gateway": settings.GATEWAY,
        **_waiting(Watch.read(request.GET, viewer, actor_of(request), organization)),
    }
    made, secret, refusal = None, "", ""
    if request.method == "POST":  # Last, so that no failure of a query loses a secret.
        try:
            made, secret = fresh_key(organization, by=actor_of(request))
        except ValidationError as error:
            refusal = " ".join(error.messages)
    context |= {"made": made, "secret": secret, "refusal": refusal, **_snippets(request, secret or PLACEHOLDER)}
    return render(request, "connect/page.html", context)


@require_safe
@never_cache
@with_viewer
def call(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The part of the page that waits for a call. A page that looks again gets a 204 until one has come."""
    try:
        with snapshot():
            organization = chosen_organization(request, viewer)
            context = _waiting(Watch.read(request.GET, viewer, actor_of(request), organization))
    except DatabaseError:
        logger.exception("Nobody could look for a call.")
        return HttpResponse(status=503, headers={"HX-Reswap": "none"})  # What is shown stays.
    if context["arrival"] is None and is_partial(request):
        return HttpResponse(status=204)
    return render(request, "connect/_call.html", context | {"viewer": viewer})


def _waiting(watch: Watch) -> dict[str, Any]:
    event = watch.newest()
    arrival = Arrival.of(event, watch.viewer, watch.organization.time_zone) if event else None
    return {"watch": watch, "arrival": arrival}


@sensitive_variables("key")
def _snippets(request: HttpRequest, key: str) -> dict[str, Any]:
    """The snippets in their groups, each with its text in pieces, and the chosen one."""
    address = request.build_absolute_uri(reverse("analytics")).rstrip("/")
    shown = groups()
    names = [snippet.name for group in shown for snippet in group.snippets]
    wanted = request.GET.get("with", "")
    return {
        "address": address,
        "groups": shown,
        "texts": {snippet.name: snippet.pieces(address, key) for group in shown for snippet in group.snippets},
        "chosen": wanted if wanted in names else names[0],
    }


def _reaches_groq(organization: Organization) -> bool:
    """Whether the gateway has a key with which to call Groq for the organization."""
    return bool(settings.GROQ_API_KEY) or ProviderKey.objects.filter(organization=organization).exists()
