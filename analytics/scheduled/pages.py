"""The page of an organization's scheduled exports, for Admins who may export."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit
from accounts.decorators import actor_of, administered, for_admins
from accounts.models import Organization
from accounts.viewer import Viewer
from analytics.models import ExportRun, ScheduledExport
from analytics.scheduled.form import ScheduleForm
from analytics.scheduled.places import offered

RUNS_SHOWN = 5


@require_safe
@never_cache
@administered(Organization)
def exports(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    _check(viewer)
    schedules = organization.scheduled_exports.select_related("author", "organization")
    rows = [(schedule, schedule.runs.all()[:RUNS_SHOWN]) for schedule in schedules]
    context = {"rows": rows, "places": offered(), "zone": ZoneInfo(organization.time_zone)}
    return _page(request, organization, "list", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(Organization)
def export_add(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    _check(viewer)
    form = ScheduleForm(request.POST or None, instance=ScheduledExport(organization=organization))
    if request.method == "POST" and form.is_valid():
        form.instance.author = actor_of(request)
        form.instance.first_day = _today(organization)
        with transaction.atomic():
            form.save()
            _audit(request, "export.add", form.instance)
        messages.success(request, "The export is scheduled. Its first files come when the present period is over.")
        return redirect("exports", organization.pk)
    return _page(request, organization, "add", {"form": form, "places": offered()})


@require_POST
@for_admins
def export_remove(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    schedule = ScheduledExport.objects.select_related("organization").filter(pk=pk).first()
    if schedule is None or not viewer.may_administer(schedule.organization_id):
        raise Http404
    _check(viewer)
    with transaction.atomic():
        _audit(request, "export.remove", schedule)
        schedule.delete()
    messages.success(request, "The export is removed. The files that it made stay where they are.")
    return redirect("exports", schedule.organization_id)


@require_POST
@for_admins
def export_again(request: HttpRequest, viewer: Viewer, pk: int) -> HttpResponse:
    """Try a failed export again without waiting for the end of its pause."""
    run = ExportRun.objects.select_related("schedule").filter(pk=pk).first()
    if run is None or not viewer.may_administer(run.schedule.organization_id):
        raise Http404
    _check(viewer)
    ExportRun.objects.filter(pk=pk, finished_at=None).update(retry_at=None)
    messages.success(request, "It is tried again within five minutes.")
    return redirect("exports", run.schedule.organization_id)


def _check(viewer: Viewer) -> None:
    if not (viewer.may_export and viewer.sees_cost):
        raise PermissionDenied


def _page(request: HttpRequest, organization: Organization, name: str, context: dict[str, Any]) -> HttpResponse:
    context |= {"organization": organization, "tab": "exports"}
    return render(request, f"analytics/scheduled/{name}.html", context)


def _audit(request: HttpRequest, action: str, schedule: ScheduledExport) -> None:
    where = f"{schedule.place}: {schedule.directory}"
    changes = {"files": (None, where) if action == "export.add" else (where, None)}
    audit.record(action, str(schedule), by=actor_of(request), organization=schedule.organization, changes=changes)


def _today(organization: Organization) -> date:
    return timezone.now().astimezone(ZoneInfo(organization.time_zone)).date()
