"""The audit trail as a page: who changed what, newest first."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import administered, for_super_admins
from accounts.forms import SearchForm
from accounts.models import AuditRecord, Organization
from accounts.paging import PAGE_SIZE
from accounts.search import containing
from accounts.viewer import Viewer

WORDS = ("action", "subject", "actor__handle_key", "actor__username", "actor__first_name", "actor__last_name")
"""The fields that are searched: "invite member" finds member.invite."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A page of records. ``before`` is the id of the last one, for the link ``?before=`` to older records; None if
    there are none."""

    records: list[AuditRecord]
    before: int | None


@require_safe
@never_cache
@administered(Organization)
def audit_trail(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    return _trail(request, AuditRecord.objects.filter(organization=organization), organization)


@require_safe
@never_cache
@for_super_admins
def whole_audit_trail(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The audit trail of all organizations, with records that concern everybody."""
    return _trail(request, AuditRecord.objects.select_related("organization"), None)


def _trail(request: HttpRequest, records: QuerySet[AuditRecord], organization: Organization | None) -> HttpResponse:
    form = SearchForm(request.GET)
    found = containing(records, form.cleaned_data["q"], WORDS) if form.is_valid() else records.none()
    stretch = _stretch(found, request.GET.get("before", ""))
    zone = organization.time_zone if organization else "UTC"
    context = {"organization": organization, "tab": "audit", "form": form, "stretch": stretch, "zone": zone}
    return render(request, "accounts/audit.html", context)


def _stretch(records: QuerySet[AuditRecord], before: str) -> Stretch:
    """The newest records, or those older than the record with the id ``before``. Old pages are as fast as new ones."""
    last = records.filter(pk=before).first() if before.isdecimal() and len(before) < 19 else None
    if last is not None:
        records = records.filter(Q(at__lt=last.at) | Q(at=last.at, pk__lt=last.pk), at__lte=last.at)
    rows = list(records.select_related("actor").order_by("-at", "-pk")[: PAGE_SIZE + 1])
    return Stretch(rows[:PAGE_SIZE], rows[PAGE_SIZE - 1].pk if len(rows) > PAGE_SIZE else None)
