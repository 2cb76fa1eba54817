"""The page Connect: programs to copy, a key to put into them, and the call that comes when one of them runs."""

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from accounts.decorators import actor_of, with_viewer
from accounts.models import Organization, ProviderKey
from accounts.organization_choice import chosen_organization, first_choice, organizations_to_choose
from accounts.viewer import Viewer
from analytics.failure import is_partial
from analytics.reports import snapshot
from connect.arrival import Arrival
from connect.first_run import Steps
from connect.fresh_key import fresh_key
from connect.snippets import PLACEHOLDER, Group, groups
from connect.watch import EVERYBODY, Watch

logger = logging.getLogger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sensitive_variables()
@with_viewer
def connect(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The page. Posting makes a key, whose secret is in this one answer and nowhere else."""
    if not (viewer.organization_ids or Organization.objects.exists()):
        return redirect("analytics")  # That page says how to make the first organization.
    organization = chosen_organization(request, viewer)
    watch = Watch.read(request.GET, viewer, actor_of(request), organization)
    context = _page(viewer, watch) | {"organizations": organizations_to_choose(viewer), "steps": None}
    if request.method == "POST" and not context["may_make_keys"]:
        raise PermissionDenied
    made, secret, refusal = None, "", ""
    if request.method == "POST":  # Last, so that no failure of a query loses a secret.
        try:
            made, secret = fresh_key(organization, by=actor_of(request))
        except ValidationError as error:
            refusal = " ".join(error.messages)
    context |= {
        "made": made,
        "secret": secret,
        "refusal": refusal,
        **_snippets(request, secret or PLACEHOLDER, groups()),
    }
    return render(request, "connect/page.html", context)


def first_run(request: HttpRequest, viewer: Viewer, head: dict[str, Any]) -> HttpResponse:
    """The steps to the first call, in place of a page of figures of which there are none yet. ``head`` is what the head
    of such a page needs."""
    person = actor_of(request)
    organization = first_choice(viewer, person)
    if organization is None:
        return render(request, "connect/no_organization.html", head | {"viewer": viewer})
    query = request.GET.copy()
    query["whose"] = EVERYBODY  # The first call ends this, whoever makes it.
    watch = Watch.read(query, viewer, person, organization)
    context = head | _page(viewer, watch) | _snippets(request, PLACEHOLDER, groups()[:1])
    steps = Steps.of(viewer, organization)
    return render(request, "connect/first_run.html", context | {"made": None, "secret": "", "steps": steps})


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


def _page(viewer: Viewer, watch: Watch) -> dict[str, Any]:
    """What the cards of the page need, without the snippets."""
    return {
        "viewer": viewer,
        "organization": watch.organization,
        "may_make_keys": viewer.may_administer(watch.organization.pk),
        "reaches_groq": _reaches_groq(watch.organization),
        "has_gateway": settings.GATEWAY,
        **_waiting(watch),
    }


def _waiting(watch: Watch) -> dict[str, Any]:
    event = watch.newest()
    arrival = Arrival.of(event, watch.viewer, watch.organization.time_zone) if event else None
    return {"watch": watch, "arrival": arrival}


@sensitive_variables("key")
def _snippets(request: HttpRequest, key: str, shown: Sequence[Group]) -> dict[str, Any]:
    """The snippets in their groups, each with its text in pieces, and the chosen one."""
    address = request.build_absolute_uri(reverse("analytics")).rstrip("/")
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
