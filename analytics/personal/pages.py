"""The page that says what is recorded about a person, for oneself and for an Admin about a member, and its file."""

import logging
from typing import Any

from allauth.mfa.models import Authenticator
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import actor_of, administered, viewer_of, with_own_data
from accounts.models import Role, User
from accounts.places import NoPlaceError
from accounts.sign_ins import sign_ins_of
from accounts.viewer import Viewer
from analytics.export.download import BUSY, BUSY_SECONDS, download
from analytics.export.export import JSONL, columns_of
from analytics.failure import failed
from analytics.personal.file import always, personal_file
from analytics.personal.known import audit_of, keys_of, views_of
from analytics.reports import Report, snapshot

logger = logging.getLogger(__name__)


@require_safe
@never_cache
@with_own_data
def privacy(request: HttpRequest, person: User) -> HttpResponse:
    """What is recorded about oneself."""
    return _page(request, person)


@require_safe
@never_cache
@administered(User)
def member_privacy(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponse:
    """The same about a member, for who answers the member's questions."""
    return _page(request, person)


@require_safe
@never_cache
@with_own_data
def privacy_file(request: HttpRequest, person: User) -> HttpResponseBase:
    """One's own data, which everybody may have, also without the permission to export."""
    return _file(request, person)


@require_safe
@never_cache
@administered(User)
def member_privacy_file(request: HttpRequest, viewer: Viewer, person: User) -> HttpResponseBase:
    if not viewer.may_export:
        raise PermissionDenied
    return _file(request, person)


def _page(request: HttpRequest, person: User) -> HttpResponse:
    viewer = viewer_of(request)
    try:
        with snapshot():
            context = _context(person, viewer)
    except DatabaseError:
        logger.exception("What is recorded about a person could not be loaded.")
        return failed(request)
    is_self = person == actor_of(request)
    may_have_file = is_self or viewer.may_export
    context |= {"is_self": is_self, "may_have_file": may_have_file, "organization": person.organization}
    return render(request, "analytics/personal/page.html", context)


def _context(person: User, viewer: Viewer) -> dict[str, Any]:
    """The person's requests, and the number of all other rows, as far as the viewer sees them."""
    own = viewer.narrowed_to(person)
    points = [point for point in Report(own, always(own)).series("day") if point.totals.requests]
    return {
        "person": person,
        "requests": sum(point.totals.requests for point in points),
        "first_day": points[0].day if points else None,
        "last_day": points[-1].day if points else None,
        "columns": [name for name, _ in columns_of(own)],
        "rows": _rows(person, viewer),
        "is_user": person.role is Role.USER,
    }


def _rows(person: User, viewer: Viewer) -> list[tuple[str, int]]:
    """What else names the person, each with the number of rows."""
    return [
        ("Former names in calls", person.aliases.count()),
        ("Keys and API tokens", keys_of(person, viewer).count()),
        ("Saved views", views_of(person, viewer).count()),
        ("Sign-ins that have not ended", sign_ins_of(person).count()),
        ("Second factors", Authenticator.objects.filter(user=person).count()),
        ("Records in the audit trail", audit_of(person, viewer).count()),
    ]


def _file(request: HttpRequest, person: User) -> HttpResponseBase:
    reader = actor_of(request)
    chunks = personal_file(person, viewer_of(request), is_self=person == reader)
    try:
        return download(request, chunks, "personal_data.jsonl", JSONL.content_type, reader=reader.pk)
    except NoPlaceError:
        headers = {"Retry-After": str(BUSY_SECONDS)}
        return HttpResponse(BUSY, "text/plain; charset=utf-8", status=503, headers=headers)
    except DatabaseError:
        logger.exception("The file of what is recorded about a person could not begin.")
        return failed(request)
