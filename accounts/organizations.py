"""The pages that list organizations for Super Admins, add an organization, and change its settings."""

from django.contrib import messages
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import pluralize
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.changes import save_recorded
from accounts.day_changes import days_are_changing
from accounts.decorators import actor_of, administered, for_admins, for_super_admins
from accounts.forms import OrganizationForm, SearchForm, SettingsForm
from accounts.models import SEEN_IN_CALLS, Organization, Project, User
from accounts.paging import page_of
from accounts.search import containing
from accounts.viewer import Viewer


@require_safe
@never_cache
@for_super_admins
def organizations(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    form = SearchForm(request.GET)
    everything = Organization.objects.order_by("name", "pk")
    found = containing(everything, form.cleaned_data["q"], ("name", "slug")) if form.is_valid() else everything.none()
    rows = found.annotate(
        members=_count_of(User.objects.exclude(SEEN_IN_CALLS)),
        seen_in_calls=_count_of(User.objects.filter(SEEN_IN_CALLS, merged_into=None, anonymised_at=None)),
        project_count=_count_of(Project.objects.filter(merged_into=None).order_by()),
    )
    context = {"organization": None, "tab": "organizations", "form": form, "page": page_of(request, rows)}
    return render(request, "accounts/organizations.html", context)


def _count_of(rows: QuerySet[User] | QuerySet[Project]) -> Coalesce:
    """The number of ``rows`` of an organization, from a subquery, since several joins would multiply the counts."""
    own = rows.filter(organization=OuterRef("pk")).values("organization").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(own, output_field=IntegerField()), 0)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@for_super_admins
def organization_add(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    form = OrganizationForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and save_recorded(form, "organization.add", by=actor_of(request)):
        messages.success(request, f"{form.instance.name} is added. Invite its first members.")
        return redirect("members", form.instance.pk)
    context = {"organization": None, "tab": "organizations", "form": form}
    return render(request, "accounts/organization_add.html", context)


@require_safe
@for_admins
def organization(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Redirects an Admin to their own organization, and a Super Admin to the list."""
    if viewer.organization_ids is None:
        return redirect("organizations")
    return redirect("members", *viewer.organization_ids)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(Organization)
def organization_settings(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    form = SettingsForm(request.POST or None, instance=organization)
    by = actor_of(request)
    if request.method == "POST" and form.is_valid() and save_recorded(form, "organization.change", by=by):
        messages.success(request, _saved(form))
        return redirect("organization-settings", organization.pk)
    context = {"organization": organization, "tab": "settings", "form": form}
    context["days_are_changing"] = days_are_changing(organization.pk)
    return render(request, "accounts/settings.html", context)


def _saved(form: SettingsForm) -> str:
    """The message after saving. It warns if the change will delete requests."""
    days = form.instance.retention_days
    if days is None or "retention_days" not in form.changed_data:
        return "The settings are saved."
    old = f"more than {days:,} day{pluralize(days)} old"
    return f"The settings are saved. Tonight, requests {old} are deleted for good; until then you can change this."
