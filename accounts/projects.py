"""The pages that list, add and rename the projects of an organization. Calls still find a project by former slugs."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.changes import save_recorded
from accounts.decorators import actor_of, administered
from accounts.forms import ProjectForm, RenameForm, SearchForm
from accounts.merging import still_moving
from accounts.models import Organization, Project
from accounts.paging import page_of
from accounts.search import containing
from accounts.viewer import Viewer

WORDS = ("name", "slug_key", "aliases__slug_key")
"""The fields that are searched."""


@require_safe
@never_cache
@administered(Organization)
def projects(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    form = SearchForm(request.GET)
    rows: QuerySet[Project] = organization.projects.filter(merged_into=None).order_by("name", "pk")
    rows = containing(rows, form.cleaned_data["q"], WORDS) if form.is_valid() else rows.none()
    context = {"organization": organization, "tab": "projects", "form": form, "page": page_of(request, rows)}
    return render(request, "accounts/projects.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(Organization)
def project_add(request: HttpRequest, viewer: Viewer, organization: Organization) -> HttpResponse:
    form = ProjectForm(request.POST or None, instance=Project(organization=organization))
    if request.method == "POST" and form.is_valid() and save_recorded(form, "project.add", by=actor_of(request)):
        messages.success(request, f"{form.instance.name} is added.")
        return redirect("projects", organization.pk)
    context = {"organization": organization, "tab": "projects", "form": form, "project": None}
    return render(request, "accounts/project.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@administered(Project)
def project(request: HttpRequest, viewer: Viewer, project: Project) -> HttpResponse:
    if project.merged_into is not None:
        return redirect("project", project.merged_into.pk)
    form = RenameForm(request.POST or None, instance=project)
    if request.method == "POST" and form.is_valid() and save_recorded(form, "project.rename", by=actor_of(request)):
        messages.success(request, f"{project.name} is saved.")
        return redirect("projects", project.organization_id)
    context = {"organization": project.organization, "tab": "projects", "form": form, "project": project}
    context["still_moving"] = still_moving(project)
    return render(request, "accounts/project.html", context)
